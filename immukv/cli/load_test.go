package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// logOf is the log of a store, oldest first.
func logOf(t *testing.T, store backend.VersionedStore) []immukv.Entry[string] {
	t.Helper()
	db, err := immukv.Open[string](t.Context(), store)
	check(t, err)
	var entries []immukv.Entry[string]
	for e, err := range db.Log(t.Context()) {
		check(t, err)
		entries = append(entries, e)
	}
	slices.Reverse(entries)
	return entries
}

// numberedLines are lines of which each says which one it is, from 1. A few of the
// keys have most of them.
func numberedLines(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, `{"key":"key-%d","value":"%d"}`+"\n", i*i%11, i)
	}
	return b.String()
}

// TestLoadOrder loads with and without concurrency: the values of a key keep their
// order, and without it all lines do.
func TestLoadOrder(t *testing.T) {
	t.Parallel()
	const lines = 400
	for _, concurrency := range []string{"1", "2", "8", "256"} {
		t.Run(concurrency, func(t *testing.T) {
			t.Parallel()
			url, held := holdStore(t)
			r := runHere(t.Context(), numberedLines(lines), "--store", url, "load", "--concurrency", concurrency, "-")
			if r.code != exitDone || r.stdout != fmt.Sprintf("%d set\n", lines) {
				t.Fatalf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
			}
			last := make(map[string]int)
			for _, e := range logOf(t, held.store) {
				key := e.Key
				if concurrency == "1" {
					key = ""
				}
				n, err := strconv.Atoi(e.Value)
				check(t, err)
				if n <= last[key] {
					t.Fatalf("line %d of key %s was set after line %d", n, e.Key, last[key])
				}
				last[key] = n
			}
			if r := runHere(t.Context(), "", "--store", url, "--json", "audit"); !strings.Contains(r.stdout, fmt.Sprintf(`"valid":true,"entries":%d,`, lines)) {
				t.Errorf("audit: %s%s", r.stdout, r.stderr)
			}
		})
	}
}

// TestLoadStops has a line fail that others have overtaken: it says which they are,
// and all lines before it are set.
func TestLoadStops(t *testing.T) {
	t.Parallel()
	const lines, failing = 60, 23
	url, held := holdStore(t)
	failed := errors.New("disk on fire")
	held.front = func(inner backend.VersionedStore) backend.VersionedStore {
		return &putStore{inner, func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			if strings.Contains(string(body), fmt.Sprintf(`"value":"%d"`, failing)) {
				return backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrTooLarge, Err: failed}
			}
			return inner.Put(ctx, name, body, cond)
		}}
	}
	r := runHere(t.Context(), numberedLines(lines), "--store", url, "load", "--concurrency", "8", "-")
	said := regexp.MustCompile(`; every line before line 23 is set, and (none after it|of those after it ([0-9, ]+))\n`).FindStringSubmatch(r.stderr)
	if r.code != exitFailed || said == nil || !strings.Contains(r.stderr, "line 23: ") || !strings.Contains(r.stderr, failed.Error()) {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	var want []string
	for i := 1; i < failing; i++ {
		want = append(want, strconv.Itoa(i))
	}
	if said[2] != "" {
		want = append(want, strings.Split(said[2], ", ")...)
	}
	var got []string
	for _, e := range logOf(t, held.store) {
		got = append(got, e.Value)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the log has lines %v\nload said %v", got, want)
	}
	if want := fmt.Sprintf("%d set\n", len(got)); r.stdout != want {
		t.Errorf("standard output %q, want %q", r.stdout, want)
	}
}

// TestLoadSaysWhatWasOvertaken checks the account of a line that fails after lines
// behind it were set.
func TestLoadSaysWhatWasOvertaken(t *testing.T) {
	t.Parallel()
	l := &loader{app: &app{stdout: io.Discard, stderr: io.Discard}, bar: &progress{}, begun: make(map[int64]bool), stopAt: noStop}
	for n := int64(1); n <= 3000; n++ {
		if !l.begin(line{number: n}) {
			t.Fatalf("line %d is not begun, and nothing failed", n)
		}
		if n != 2000 && n != 2998 && n != 2999 {
			l.acknowledge(line{number: n}, immukv.Entry[value]{})
		}
	}
	l.fail(&lineError{2998, errors.New("late")})
	l.fail(&lineError{2000, errors.New("early")})
	unknown := &lineError{2999, &immukv.OutcomeUnknownError{Key: "k", WriteID: "w", Sequence: 7, Err: errors.New("later")}}
	l.fail(unknown)
	if l.begin(line{number: 3001}) || !l.passed(line{number: 2001}) || l.passed(line{number: 1999}) {
		t.Error("a failed line does not stop those behind it alone")
	}
	err := l.report("file", nil)
	var after []string
	for n := 2001; n <= 3000; n++ {
		if n != 2998 && n != 2999 {
			after = append(after, strconv.Itoa(n))
		}
	}
	want := "load file: line 2000: early; every line before line 2000 is set, and of those after it " + strings.Join(after, ", ") + "\n" + unknown.Error()
	if err == nil || err.Error() != want {
		t.Errorf("got %.200v…\nwant %.200s…", err, want)
	}
	if code := exitCode(err); code != exitUnknown {
		t.Errorf("exit code %d, want %d", code, exitUnknown)
	}
}

// TestLoadMemory feeds load a line only when those before are set, but for what its
// workers and the reader have in hand: it holds no more of its input.
func TestLoadMemory(t *testing.T) {
	t.Parallel()
	const lines, concurrency = 100, 4
	url, held := holdStore(t)
	var set atomic.Int64
	held.front = func(inner backend.VersionedStore) backend.VersionedStore {
		return &putStore{inner, func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			if name == logObject {
				set.Add(1)
			}
			return inner.Put(ctx, name, body, cond)
		}}
	}
	// A line each is with the reader, between it and the workers, and with each of
	// these; and the reader's buffer is smaller than two of them.
	const inHand = concurrency + 3
	in := &countedLines{line: func(n int) string {
		return fmt.Sprintf(`{"key":"key-%d","value":%q}`+"\n", n%7, strings.Repeat("x", 64<<10))
	}, lines: lines, check: func(read int) {
		if ahead := int64(read) - set.Load(); ahead > inHand {
			t.Errorf("line %d is read when %d are not set yet", read, ahead)
		}
	}}
	var stdout, stderr strings.Builder
	if code := Run(t.Context(), []string{"--store", url, "load", "--concurrency", strconv.Itoa(concurrency), "-"}, in, &stdout, &stderr); code != exitDone {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
}

// countedLines is a reader of lines, a read of it ending with a line at the latest.
type countedLines struct {
	line  func(n int) string
	lines int
	check func(read int)
	read  int
	rest  string
}

func (c *countedLines) Read(p []byte) (int, error) {
	if c.rest == "" {
		if c.read == c.lines {
			return 0, io.EOF
		}
		c.rest = c.line(c.read)
		c.read++
		c.check(c.read)
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// TestLoadTellsAtOnce wants each entry to be printed before the next line is there to
// be read: whoever reads along knows it even if the process then dies.
func TestLoadTellsAtOnce(t *testing.T) {
	t.Parallel()
	url, _ := holdStore(t)
	in, feed := io.Pipe()
	out, tell := io.Pipe()
	var stderr strings.Builder
	var running sync.WaitGroup
	running.Go(func() {
		if code := Run(t.Context(), []string{"--store", url, "--json", "load", "-"}, in, tell, &stderr); code != exitDone {
			t.Errorf("exit code %d: %s", code, &stderr)
		}
		_ = tell.Close()
	})
	dec := json.NewDecoder(out)
	for n := range 5 {
		if _, err := fmt.Fprintf(feed, `{"key":"k","value":%d}`+"\n", n); err != nil {
			t.Fatal(err)
		}
		var e entryJSON
		if err := dec.Decode(&e); err != nil || string(e.Value) != strconv.Itoa(n) {
			t.Fatalf("got %+v, %v", e, err)
		}
	}
	_ = feed.Close()
	running.Wait()
}

// failingWriter is an output that breaks.
type failingWriter struct{ after int }

var errFull = errors.New("no space left")

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.after--; w.after < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// TestBrokenOutput has the output break: what is not told is not taken for told.
func TestBrokenOutput(t *testing.T) {
	t.Parallel()
	url, held := holdStore(t)
	var stderr strings.Builder
	code := Run(t.Context(), []string{"--store", url, "--json", "load", "-"}, strings.NewReader(numberedLines(9)), &failingWriter{after: 3}, &stderr)
	if code != exitFailed || !strings.Contains(stderr.String(), "line 4 is set, but printing its entry failed: no space left; every line before line 5 is set, and none after it") {
		t.Errorf("load: exit code %d: %s", code, &stderr)
	}
	if n := len(logOf(t, held.store)); n != 4 {
		t.Errorf("the log has %d entries, want 4", n)
	}
	for _, args := range []string{"set k 1", "get key-1", "history key-1", "log", "keys", "verify", "audit", "repair", "--json log", "doctor"} {
		stderr.Reset()
		code := Run(t.Context(), append([]string{"--store", url}, strings.Fields(args)...), strings.NewReader(""), &failingWriter{}, &stderr)
		if code != exitFailed || !strings.Contains(stderr.String(), errFull.Error()) {
			t.Errorf("%s: exit code %d: %s", args, code, &stderr)
		}
	}
}
