package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
)

// listener is a browser that reads a stream of events.
type listener struct {
	*bench
	cancel context.CancelFunc
	done   chan struct{} // closed when the stream has ended
	gate   chan struct{} // if not nil, writes wait until it is closed

	mu     sync.Mutex
	header http.Header
	status int
	body   bytes.Buffer
	taken  int // bytes that events returned
}

func (l *listener) Header() http.Header { return l.header }
func (l *listener) WriteHeader(status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status = status
}
func (l *listener) Flush() {}
func (l *listener) Write(p []byte) (int, error) {
	if l.gate != nil {
		<-l.gate
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.body.Write(p)
}

// listen opens a stream.
func (b *bench) listen(path string, header ...string) *listener {
	b.Helper()
	l := &listener{header: make(http.Header)}
	b.listenWith(l, path, header...)
	return l
}

func (b *bench) listenWith(l *listener, path string, header ...string) {
	b.Helper()
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(b.Context())
	l.bench, l.done = b, make(chan struct{})
	r := httptest.NewRequestWithContext(ctx, "GET", "http://127.0.0.1:8080"+path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	go func() {
		defer close(l.done)
		b.server.ServeHTTP(l, r)
	}()
}

// events are those that came since the last call, such as "entry 3" and "status live".
func (l *listener) events() (all []string) {
	l.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.body.String()[l.taken:]
	l.taken = l.body.Len()
	for block := range strings.SplitSeq(text, "\n\n") {
		var name, data string
		for line := range strings.Lines(block) {
			line = strings.TrimSuffix(line, "\n")
			if v, ok := strings.CutPrefix(line, "event: "); ok {
				name = v
			}
			if v, ok := strings.CutPrefix(line, "data: "); ok {
				data = v
			}
		}
		switch name {
		case "":
		case "entry":
			var e event
			l.check(json.Unmarshal([]byte(data), &e))
			all = append(all, fmt.Sprint("entry ", e.Sequence))
		case "status":
			var s status
			l.check(json.Unmarshal([]byte(data), &s))
			all = append(all, strings.TrimSpace("status "+s.State+" "+s.Text))
		default:
			all = append(all, name+" "+data)
		}
	}
	return all
}

func (l *listener) wants(want ...string) {
	l.Helper()
	if got := l.events(); strings.Join(got, "; ") != strings.Join(want, "; ") {
		l.Errorf("the events are %q, want %q", got, want)
	}
}

// pass lets time pass until everything rests.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// TestLive follows a log from its beginning on, and goes on where it was cut off.
func TestLive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		l := b.listen("/log/events?after=-1")
		pass(3 * time.Second)
		l.wants("status live")
		if l.header.Get("Content-Type") != "text/event-stream; charset=utf-8" || l.status != http.StatusOK {
			t.Errorf("%d %v", l.status, l.header)
		}
		b.set("k", `1`)
		b.set("k", `2`)
		pass(3 * time.Second)
		l.wants("entry 0", "entry 1")
		l.cancel()
		<-l.done
		b.set("k", `3`)
		pass(3 * time.Second)
		// As a browser comes again.
		l = b.listen("/log/events?after=-1", "Last-Event-ID", "1")
		pass(3 * time.Second)
		l.wants("entry 2", "status live")
		// As a page that was loaded later does.
		later := b.listen("/log/events?after=2")
		pass(3 * time.Second)
		later.wants("status live")
		b.set("k", `4`)
		pass(3 * time.Second)
		l.wants("entry 3")
		later.wants("entry 3")
		for _, path := range []string{"", "?after=x", "?after=-2", "?after=99999999999999999999"} {
			if a := b.do("GET", "/log/events"+path); a.status != http.StatusBadRequest {
				t.Errorf("%s: %d", path, a.status)
			}
		}
	})
}

// TestThousandStreams counts what a thousand open pages cost the store: what one costs.
func TestThousandStreams(t *testing.T) {
	t.Parallel()
	cost := func(streams int) (idle, entry int) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, nil)
			b.set("k", `1`)
			var all []*listener
			for range streams {
				all = append(all, b.listen("/log/events?after=0"))
			}
			pass(5 * time.Second)
			before := b.tap.requests()
			pass(time.Minute)
			idle = b.tap.requests() - before
			b.set("k", `2`)
			before = b.tap.requests()
			pass(3 * time.Second)
			entry = b.tap.requests() - before
			for i, l := range all {
				if got := strings.Join(l.events(), "; "); got != "status live; entry 1" {
					t.Fatalf("stream %d of %d has the events %s", i, streams, got)
				}
			}
			// Nobody reads any more, and soon nobody follows.
			for _, l := range all {
				l.cancel()
				<-l.done
			}
			pass(2 * linger)
			before = b.tap.requests()
			pass(time.Hour)
			if n := b.tap.requests() - before; n > 0 {
				t.Errorf("without a page, %d requests in an hour", n)
			}
		})
		return idle, entry
	}
	idle, entry := cost(1)
	if idle < 50 || idle > 70 {
		t.Errorf("one page costs %d requests a minute", idle)
	}
	manyIdle, manyEntry := cost(1000)
	t.Logf("a minute costs %d requests with one page and %d with 1,000, and 3 s with a new entry %d and %d", idle, manyIdle, entry, manyEntry)
	if manyIdle > idle+10 || manyEntry > entry+3 { // the interval varies at random
		t.Errorf("1,000 pages cost %d requests a minute and %d for an entry; one costs %d and %d", manyIdle, manyEntry, idle, entry)
	}
}

// TestSlowReader holds one reader back: the others have every entry in time, and it is
// told how many it missed.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.set("k", `0`)
		slow := &listener{header: make(http.Header), gate: make(chan struct{})}
		b.listenWith(slow, "/log/events?after=0")
		fast := b.listen("/log/events?after=0")
		const rounds, each = 40, 10
		entries := 0
		for range rounds {
			for range each {
				b.set("k", `1`)
			}
			pass(2 * time.Second)
			for _, e := range fast.events() {
				if strings.HasPrefix(e, "entry") {
					entries++
				} else if e != "status live" {
					t.Errorf("the fast reader is told %s", e)
				}
			}
		}
		if entries != rounds*each {
			t.Errorf("the fast reader has %d of %d entries", entries, rounds*each)
		}
		close(slow.gate)
		pass(2 * time.Second)
		got := slow.events()
		if want := fmt.Sprintf("missed %d", rounds*each-ringEntries); len(got) != ringEntries+2 || got[0] != want || got[ringEntries] != "entry 400" {
			t.Errorf("the slow reader has %q, want %s first", got, want)
		}
	})
}

// TestLiveTrouble says on a live page that the store does not answer, and since when, and
// that it does again.
func TestLiveTrouble(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]func(context.Context, string, string) error{
		"hangs":          func(ctx context.Context, _, _ string) error { <-ctx.Done(); return ctx.Err() },
		"is unavailable": func(context.Context, string, string) error { return fmt.Errorf("busy: %w", backend.ErrUnavailable) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				b.set("k", `0`)
				l := b.listen("/log/events?after=0")
				pass(3 * time.Second)
				l.wants("status live")
				b.tap.disturb(trouble)
				pass(time.Minute)
				got := l.events()
				if len(got) != 1 || !strings.HasPrefix(got[0], "status trouble The store has not answered since") {
					t.Fatalf("the page is told %q", got)
				}
				b.tap.disturb(nil)
				b.set("k", `1`)
				pass(time.Minute)
				if got := l.events(); len(got) != 2 || got[0] != "entry 1" && got[1] != "entry 1" || got[0] != "status live" && got[1] != "status live" {
					t.Errorf("the store answers again, and the page is told %q", got)
				}
			})
		})
	}
}

// TestLiveBegins follows a log of which the first read fails, at its newest entry or at an
// older one: the page says so, and is live when the store answers.
func TestLiveBegins(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]func(context.Context) error{
		"hangs":          func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"is unavailable": func(context.Context) error { return fmt.Errorf("busy: %w", backend.ErrUnavailable) },
	} {
		for _, op := range []string{"get", "version", "versions"} {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				for range 3 {
					b.set("k", `0`)
				}
				var failures atomic.Int64
				b.tap.disturb(func(ctx context.Context, now, _ string) error {
					if now == op && failures.Add(1) == 1 {
						return trouble(ctx)
					}
					return nil
				})
				l := b.listen("/log/events?after=0")
				pass(time.Minute)
				got := strings.Join(l.events(), "; ")
				if failures.Load() == 0 {
					t.Errorf("the log is read without %s", op)
				}
				if !strings.Contains(got, "entry 1; entry 2") || strings.Contains(got, "ended") || !strings.HasSuffix(got, "status live") && !strings.HasSuffix(got, "entry 2") {
					t.Errorf("%s fails once: the store %s, and the page is told %s", op, name, got)
				}
			})
		}
	}
}

// TestLiveEnds says why a log is not followed any more, and follows it again for a page
// that comes later.
func TestLiveEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		for range 3 {
			b.set("k", `0`)
		}
		l := b.listen("/log/events?after=2")
		pass(3 * time.Second)
		l.wants("status live")
		// The store is exchanged for an older one.
		older := memstore.New()
		if _, err := b.newWriter(older).Set(t.Context(), "k", json.RawMessage(`0`)); err != nil {
			t.Fatal(err)
		}
		b.tap.exchange(older)
		<-l.done
		got := l.events()
		if len(got) != 1 || !strings.HasPrefix(got[0], "status ended") || !strings.Contains(got[0], "not-extended") {
			t.Errorf("the page is told %q", got)
		}
		// A page that is loaded at once is told so, too, and a later one follows what
		// there is now.
		l = b.listen("/log/events?after=2")
		<-l.done
		if got := l.events(); len(got) != 1 || !strings.HasPrefix(got[0], "status ended") {
			t.Errorf("a page at once is told %q", got)
		}
		pass(2 * retryAfter)
		l = b.listen("/log/events?after=0")
		pass(3 * time.Second)
		l.wants("status live")
		// Access is denied from now on.
		b.tap.disturb(func(context.Context, string, string) error { return backend.ErrAccessDenied })
		<-l.done
		if got := l.events(); len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "status ended") {
			t.Errorf("access is denied, and the page is told %q", got)
		}
	})
}

// TestTooManyStreams opens one more than there may be.
func TestTooManyStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		var all []*listener
		for i := range maxStreams {
			path := "/log/events?after=-1"
			if i%2 == 0 {
				b.server.jobs.mu.Lock()
				if b.server.jobs.running == nil {
					b.server.jobs.running = &job{kind: auditJob, cancel: func() {}}
				}
				b.server.jobs.mu.Unlock()
				path = "/trust/events"
			}
			all = append(all, b.listen(path))
		}
		pass(time.Second)
		for _, path := range []string{"/log/events?after=-1", "/trust/events"} {
			a := b.do("GET", path)
			if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
				t.Errorf("%s: %d", path, a.status)
			}
		}
		if a := b.do("HEAD", "/log/events?after=-1"); a.status != http.StatusServiceUnavailable {
			t.Errorf("HEAD: %d", a.status)
		}
		for _, l := range all[:2] {
			l.cancel()
			<-l.done
		}
		if a := b.do("HEAD", "/log/events?after=-1"); a.status != http.StatusOK {
			t.Errorf("HEAD with room for it: %d", a.status)
		}
		l := b.listen("/log/events?after=-1")
		pass(time.Second)
		l.wants("status live")
		b.server.jobs.mu.Lock()
		b.server.jobs.running = nil
		b.server.jobs.mu.Unlock()
	})
}

// TestGoneReader ends a stream whose reader is gone, though nothing comes.
func TestGoneReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		w := &brokenWriter{header: make(http.Header), after: 4}
		r := httptest.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1:8080/log/events?after=-1", nil)
		done := make(chan struct{})
		go func() { b.server.ServeHTTP(w, r); close(done) }()
		pass(4 * heartbeat)
		select {
		case <-done:
		default:
			t.Error("the stream goes on")
		}
	})
}

// brokenWriter fails after some writes.
type brokenWriter struct {
	header http.Header
	after  int
}

func (w *brokenWriter) Header() http.Header { return w.header }
func (w *brokenWriter) WriteHeader(int)     {}
func (w *brokenWriter) Flush()              {}
func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.after--; w.after < 0 {
		return 0, errors.New("broken pipe")
	}
	return len(p), nil
}
