package immukv_test

import (
	"context"
	"fmt"
	"iter"
	"os"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// many is how many entries it takes to see what grows with them: a million in the
// long run, and the given share of them.
func many(share float64) int {
	if os.Getenv("IMMUKV_LONG") == "1" {
		return int(share * 1_000_000)
	}
	return 20_000
}

const mib = 1 << 20

func metric(name string) int64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// heap is the heap with the garbage in it.
func heap() int64 { return metric("/memory/classes/heap/objects:bytes") }

// inUse is the part of the heap that is reachable.
func inUse() int64 {
	runtime.GC()
	return metric("/gc/heap/live:bytes")
}

// peak calls f while it has the heap measured at every so many reads of a store, and
// returns how high above its beginning it rose: with garbage, and of what is in use,
// which is measured seldom, as it stops the world.
func peak(g *generated, entries int, f func()) (withGarbage, reachable int64) {
	before := inUse()
	var mu sync.Mutex
	reads := 0
	g.onRead = func() {
		mu.Lock()
		defer mu.Unlock()
		reads++
		if reads%500 == 0 {
			withGarbage = max(withGarbage, heap()-before)
		}
		if reads%(entries/10) == 0 {
			reachable = max(reachable, inUse()-before)
		}
	}
	f()
	return withGarbage, reachable
}

func entriesOf(r *immukv.Report, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.Entries, r.Err()
}

func count[T any](seq iter.Seq2[T, error]) (n int64, err error) {
	for _, err := range seq {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// Verifying a log takes as much memory whatever its length, and so does reading it in
// any other way. Of batches it takes a GET for each. An audit keeps 33 bytes an entry,
// and what its goroutines hold.
func TestMemoryOfReading(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name    string
		entries int
		keys    int
		batch   int
		read    func(*immukv.Client[string]) (entries int64, err error)
		each    int64 // bytes in use for each entry
	}{
		{"verify log", many(1), 100, 1, func(db *immukv.Client[string]) (int64, error) { return entriesOf(db.VerifyLog(ctx)) }, 0},
		{"verify log, batches of 100", many(1), 100, 100, func(db *immukv.Client[string]) (int64, error) { return entriesOf(db.VerifyLog(ctx)) }, 0},
		{"log", many(0.2), 100, 1, func(db *immukv.Client[string]) (int64, error) { return count(db.Log(ctx)) }, 0},
		{"history", many(0.2), 1, 1, func(db *immukv.Client[string]) (int64, error) { return count(db.History(ctx, "key-0000000")) }, 0},
		{"audit", many(1), many(0.1), 1, func(db *immukv.Client[string]) (int64, error) { return entriesOf(db.Audit(ctx)) }, 38},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := c.entries
			g := generate(t, n, c.keys, 100)
			g.batch = c.batch
			var entries int64
			var err error
			withGarbage, reachable := peak(g, n/c.batch, func() {
				entries, err = c.read(open[string](t, g, immukv.WithReadOnly()))
			})
			if err != nil || entries != int64(n) {
				t.Fatalf("%d entries of %d: %v", entries, n, err)
			}
			t.Logf("%d entries in %d GETs: %.1f MiB at most, %.2f MiB of them in use", n, g.reads.Load(), float64(withGarbage)/mib, float64(reachable)/mib)
			if gets := g.reads.Load(); c.batch > 1 && gets != int64(n/c.batch) {
				t.Errorf("%d GETs, want one for each batch", gets)
			}
			// Read ahead are 32 versions, each entry of them as it is stored and parsed.
			most := mib + c.each*int64(n)
			if c.batch > 1 {
				most += 32 * int64(c.batch) * 3 << 10
			}
			if reachable > most {
				t.Errorf("%d bytes in use, want at most %d", reachable, most)
			}
			if c.each == 0 && withGarbage > 64*mib+10*most {
				t.Errorf("the heap grew by %d bytes", withGarbage)
			}
			runtime.KeepAlive(g)
		})
	}
}

// Listing keys takes as much memory however many there are.
func TestMemoryOfKeys(t *testing.T) {
	n := many(0.2)
	g := generate(t, n, n, 100)
	db := open[string](t, g, immukv.WithReadOnly())
	before := inUse()
	keys, reachable := 0, int64(0)
	for _, err := range db.Keys(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if keys++; keys%(n/10) == 0 {
			reachable = max(reachable, inUse()-before)
		}
	}
	t.Logf("%d keys: %.2f MiB in use", keys, float64(reachable)/mib)
	if keys != n || reachable > mib {
		t.Errorf("%d keys of %d, with %d bytes in use", keys, n, reachable)
	}
	runtime.KeepAlive(g)
}

// forgetful is a store that takes any number of entries of new keys and keeps the
// newest one alone.
type forgetful struct {
	generated
	mu     sync.Mutex
	writes int
	head   backend.Object
}

func (s *forgetful) Get(_ context.Context, name string) (backend.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name != logObject || s.head.ID == "" {
		return backend.Object{}, &backend.Error{Op: "get", Name: name, Kind: backend.ErrNotFound}
	}
	return s.head, nil
}

func (s *forgetful) Put(_ context.Context, name string, body []byte, _ backend.Condition) (backend.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	v := s.version(logObject, s.writes)
	if name == logObject {
		s.head = backend.Object{Version: v, Body: body}
	}
	return v, nil
}

func (s *forgetful) Head(context.Context, string) (backend.Version, error) {
	return backend.Version{}, &backend.Error{Op: "head", Kind: backend.ErrNotFound}
}

// A client that has set any number of keys remembers a bounded number of them.
func TestMemoryOfWriting(t *testing.T) {
	n := many(0.2)
	db := open[int](t, &forgetful{generated: generated{batch: 1}})
	before, reachable := inUse(), int64(0)
	for i := range n {
		set(t, db, fmt.Sprint("key ", i), i)
		if (i+1)%(n/10) == 0 {
			reachable = max(reachable, inUse()-before)
		}
	}
	t.Logf("%d keys set: %.2f MiB in use at most", n, float64(reachable)/mib)
	if reachable > 2*mib {
		t.Errorf("%d bytes in use after %d keys", reachable, n)
	}
	runtime.KeepAlive(db)
}

// Read oldest first, or followed by a consumer that is slow, a log takes memory for the IDs
// of what waits, and no more.
func TestMemoryOfWhatWaits(t *testing.T) {
	n := many(0.2)
	for name, read := range map[string]func(*immukv.Client[string]) iter.Seq2[immukv.Entry[string], error]{
		"Log": func(db *immukv.Client[string]) iter.Seq2[immukv.Entry[string], error] {
			return db.Log(t.Context(), immukv.OldestFirst())
		},
		"Watch": func(db *immukv.Client[string]) iter.Seq2[immukv.Entry[string], error] {
			return db.Watch(t.Context(), immukv.UntilIdle())
		},
	} {
		g := generate(t, n, 100, 100)
		var entries int64
		var err error
		withGarbage, reachable := peak(g, n, func() {
			entries, err = count(read(open[string](t, g, immukv.WithReadOnly())))
		})
		if err != nil || entries != int64(n) {
			t.Fatalf("%s: %d entries of %d: %v", name, entries, n, err)
		}
		t.Logf("%s, %d entries: %.1f MiB at most, %.2f MiB of them in use", name, n, float64(withGarbage)/mib, float64(reachable)/mib)
		const each = 4 + len("v1000000") // an ID, and where it ends
		if most := mib + int64(each*n); reachable > most {
			t.Errorf("%s: %d bytes in use, want at most %d", name, reachable, most)
		}
		runtime.KeepAlive(g)
	}
}
