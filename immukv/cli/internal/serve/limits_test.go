package serve

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// TestNoWrites visits everything there is, verifications and the live log among them, of
// a store with an orphan: any other client's read would repair it, which is a write.
func TestNoWrites(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(config *Config) {
		config.PollInterval = time.Millisecond
		config.Client = append(config.Client, immukv.WithRepairCheckInterval(0))
	})
	b.set("k", `1`)
	verifier := b.seal()
	v, err := tlog.NewVerifier(verifier)
	b.check(err)
	b.server.Verifier = v
	b.orphan("k", `2`)
	l := b.listen("/log/events?after=-1")
	for _, path := range everyPath {
		b.get(path)
	}
	b.run("verify").reads("#report", "Verification: valid")
	b.run("audit").reads("#report", "Audit: valid")
	b.get("/trust").reads("#orphan", "sequence 1 of key k")
	for !strings.Contains(strings.Join(l.events(), " "), "entry 1") {
		time.Sleep(time.Millisecond) // until the stream has come so far; the test's own limit ends it
	}
	l.cancel()
	<-l.done
	if n := b.tap.writes(); n > 0 {
		t.Errorf("%d writes reached the store", n)
	}
	// Even a client that could write would not get through.
	if _, err := b.server.store.Put(t.Context(), "x", nil, backend.IfAbsent()); err == nil || b.tap.writes() > 0 {
		t.Errorf("a write to the server's store: %v", err)
	}
	for _, db := range []*client{b.server.db, b.server.lists, b.server.whole} {
		if !db.ReadOnly() {
			t.Error("a client of the server may write")
		}
	}
	// The orphan was there to be repaired.
	db, err := immukv.Open[any](t.Context(), b.tap)
	b.check(err)
	if _, err := db.Get(t.Context(), "k"); err != nil || b.tap.writes() != 1 {
		t.Errorf("another client's read made %d writes: %v", b.tap.writes(), err)
	}
}

// storeTroubles are the ways in which a store does not answer, and what a page says then.
var storeTroubles = map[string]struct {
	answer func(context.Context, string, string) error
	status int
	says   string
}{
	"hangs":            {func(ctx context.Context, _, _ string) error { <-ctx.Done(); return ctx.Err() }, http.StatusGatewayTimeout, "The store does not answer"},
	"hangs for good":   {func(context.Context, string, string) error { time.Sleep(24 * time.Hour); return nil }, http.StatusGatewayTimeout, "The store does not answer"},
	"is not available": {func(context.Context, string, string) error { return fmt.Errorf("busy: %w", backend.ErrUnavailable) }, http.StatusServiceUnavailable, "The store is not available"},
	"denies access":    {func(context.Context, string, string) error { return fmt.Errorf("no: %w", backend.ErrAccessDenied) }, http.StatusBadGateway, "The store denies access"},
	"fails":            {func(context.Context, string, string) error { return io.ErrUnexpectedEOF }, http.StatusBadGateway, "The store failed"},
	"is damaged":       {func(context.Context, string, string) error { return backend.ErrDamaged }, http.StatusBadGateway, "What was read cannot be trusted"},
}

// TestStoreTroubles visits every page of a store that does not answer. Each says so within
// its time limit, and none is empty.
func TestStoreTroubles(t *testing.T) {
	t.Parallel()
	for name, c := range storeTroubles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				b.set("k", `1`)
				b.set("k", `2`)
				b.seal()
				b.tap.disturb(c.answer)
				for _, path := range everyPath {
					if strings.HasPrefix(path, "/static/") {
						b.get(path)
						continue
					}
					began := time.Now()
					a := b.do("GET", path)
					if took := time.Since(began); took > b.server.ReadTimeout {
						t.Errorf("%s took %v", path, took)
					}
					checkPage(a)
					if path == "/trust" { // its parts say it
						a.reads("#newest .problem", "")
						if a.status != http.StatusOK || !strings.Contains(a.text("#newest"), c.says) {
							t.Errorf("%s: %d: %s", path, a.status, a.text("#main"))
						}
						continue
					}
					if a.status != c.status || !strings.Contains(a.text("#error"), c.says) {
						if name == "is damaged" && a.status == http.StatusOK { // which is about entries, not about the store
							continue
						}
						t.Errorf("%s: %d: %s", path, a.status, a.text("#main"))
					}
				}
				b.do("POST", "/trust/audit")
				pass(time.Minute)
				a := b.get("/trust")
				if name != "is damaged" {
					a.reads("#report", "Audit failed", "There is no verdict")
				}
				checkPage(a)
				b.tap.disturb(nil)
				b.get("/keys").reads("#keys", "k")
				if name == "hangs for good" {
					time.Sleep(48 * time.Hour) // until the requests end that nobody waits for
				}
			})
		})
	}
}

// TestTrouble records what the store did with the last request, and not that a page's own
// time was over.
func TestTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit = time.Minute
		hangs := func(ctx context.Context, _, _ string) error { <-ctx.Done(); return ctx.Err() }
		fails := func(err error) func(context.Context, string, string) error {
			return func(context.Context, string, string) error { return err }
		}
		b := newBench(t, nil)
		store := newBoundedStore(b.tap, limit)
		for _, c := range []struct {
			name    string
			answer  func(context.Context, string, string) error
			wait    time.Duration // of the caller; zero if it has no limit
			trouble bool
		}{
			{"a request hangs, and the page has less time", hangs, limit / 2, false},
			{"a request hangs", hangs, 0, true},
			{"another one, of a page that has less time", hangs, limit / 2, true},
			{"access is denied", fails(fmt.Errorf("no: %w", backend.ErrAccessDenied)), 0, false},
			{"a request fails", fails(io.ErrUnexpectedEOF), 0, true},
			{"there is no such object", nil, 0, false},
		} {
			b.tap.disturb(c.answer)
			ctx, cancel := context.WithCancel(t.Context())
			if c.wait > 0 {
				ctx, cancel = context.WithTimeout(t.Context(), c.wait)
			}
			_, err := store.Get(ctx, "x")
			cancel()
			if since, trouble := store.trouble(); err == nil || (trouble != nil) != c.trouble || trouble != nil && since.IsZero() {
				t.Errorf("%s: %v, and the trouble is %v since %v", c.name, err, trouble, since)
			}
		}
	})
}

// TestManyPages opens many pages of a slow store at once: the store has few requests at a
// time, each page is answered, and who waits too long is told.
func TestManyPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		for i := range 60 {
			b.set(fmt.Sprint("k", i), `1`)
		}
		var mu sync.Mutex
		now, most := 0, 0
		b.tap.disturb(func(context.Context, string, string) error {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(100 * time.Millisecond)
			mu.Lock()
			now--
			mu.Unlock()
			return nil
		})
		const n = 400
		answers := make([]*answer, n)
		var pages sync.WaitGroup
		for i := range n {
			pages.Go(func() {
				began := time.Now()
				answers[i] = b.do("GET", "/keys")
				if took := time.Since(began); took > b.server.ReadTimeout {
					t.Errorf("a page took %v", took)
				}
			})
		}
		pages.Wait()
		count := make(map[int]int)
		for _, a := range answers {
			count[a.status]++
			if a.status == http.StatusServiceUnavailable {
				a.reads("#error", "Too many pages")
			}
		}
		t.Logf("of %d pages: %v; at most %d requests at a time", n, count, most)
		if count[http.StatusOK] < maxPages || count[http.StatusOK]+count[http.StatusServiceUnavailable] != n || count[http.StatusServiceUnavailable] == 0 {
			t.Errorf("of %d pages: %v", n, count)
		}
		if most > maxPages*concurrency {
			t.Errorf("the store had %d requests at a time", most)
		}
		b.get("/keys").reads("#keys", "k0")
	})
}

// TestHungRequests keeps few requests waiting for a store that never answers.
func TestHungRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		release := make(chan struct{})
		b.tap.disturb(func(context.Context, string, string) error { <-release; return nil })
		for range 40 {
			var pages sync.WaitGroup
			for range maxPages {
				pages.Go(func() { b.do("GET", "/trust") })
			}
			pages.Wait()
		}
		if n := b.tap.requests(); n > maxRequests {
			t.Errorf("%d requests wait", n)
		}
		b.tap.disturb(nil)
		close(release)
		synctest.Wait()
		b.get("/trust").reads("#newest", "The log is empty.")
	})
}

// TestServe listens on a real address and ends in good order, with streams and a
// verification under way.
//
//nolint:paralleltest // it looks for goroutines that are left
func TestServe(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	b := newBench(t, nil)
	for i := range 200 {
		b.set("k", fmt.Sprint(i))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	b.check(err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- b.server.Serve(ctx, listener) }()
	home := "http://" + listener.Addr().String()
	transport := &http.Transport{}
	client := &http.Client{Transport: transport}
	for _, path := range everyPath[:3] {
		resp, err := client.Get(home + path)
		b.check(err)
		_, err = io.Copy(io.Discard, resp.Body)
		b.check(err)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	// Reads hang from here on.
	hung := make(chan struct{}, 1)
	var bodies []io.ReadCloser
	open := func(path string) {
		t.Helper()
		resp, err := client.Get(home + path)
		b.check(err)
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", path, resp.Status)
		}
		bodies = append(bodies, resp.Body)
	}
	for range 5 {
		open("/log/events?after=100")
	}
	b.tap.disturb(func(ctx context.Context, _, _ string) error {
		select {
		case hung <- struct{}{}:
		default:
		}
		<-ctx.Done()
		return ctx.Err()
	})
	b.do("POST", "/trust/audit")
	open("/trust/events")
	<-hung
	page := make(chan struct{})
	go func() {
		defer close(page)
		if resp, err := client.Get(home + "/keys"); err == nil {
			_ = resp.Body.Close()
		}
	}()
	cancel()
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	<-page
	for _, body := range bodies {
		if _, err := io.ReadAll(body); err != nil {
			t.Errorf("a stream was cut off: %v", err)
		}
		_ = body.Close()
	}
	if _, running := b.server.jobs.state(); running {
		t.Error("the verification goes on")
	}
	transport.CloseIdleConnections()
	goleak.VerifyNone(t, ignore)
	// A server that was closed answers no more reads, and opens no stream that stays.
	l := b.listen("/log/events?after=0")
	<-l.done
}
