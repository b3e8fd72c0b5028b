package immukv_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// filled makes a store of n entries, of as many keys: k0, k1, …, k0, ….
func filled(t testing.TB, n, keys int) *memstore.Store {
	t.Helper()
	mem := memstore.New()
	db := open[int](t, mem)
	for i := range n {
		set(t, db, fmt.Sprint("k", i%keys), i)
	}
	return mem
}

// What each call costs, request by request.
func TestRequests(t *testing.T) {
	t.Parallel()
	store := counted(filled(t, 10, 2)) // the newest entry is of k1
	fresh := func() *immukv.Client[int] { return open[int](t, store) }
	db := fresh()

	get(t, db, "k0")
	store.want(t, "first get", "1 get _log.json", "1 head keys/k1.json", "1 get keys/k0.json")
	get(t, db, "k0")
	store.want(t, "get", "1 get keys/k0.json")
	_, _ = db.Get(t.Context(), "none")
	store.want(t, "get of a missing key", "1 get keys/none.json")
	e := set(t, db, "k1", 1)
	store.want(t, "set, known head and key", "1 put _log.json", "1 put keys/k1.json")
	set(t, db, "k0", 1)
	store.want(t, "set, known head and new key", "1 head keys/k0.json", "1 put _log.json", "1 put keys/k0.json")
	set(t, db, "k0", 1)
	store.want(t, "set, the same key again", "1 put _log.json", "1 put keys/k0.json")
	set(t, db, "k1", 1)
	store.want(t, "set, the key before again", "1 put _log.json", "1 put keys/k1.json")
	set(t, fresh(), "k0", 1)
	store.want(t, "set, fresh client", "1 get _log.json", "1 head keys/k1.json", "1 head keys/k0.json", "1 put _log.json", "1 put keys/k0.json")
	set(t, fresh(), "k0", 1)
	store.want(t, "set, fresh client, key of the head", "1 get _log.json", "1 head keys/k0.json", "1 put _log.json", "1 put keys/k0.json")
	if _, err := db.LogVersion(t.Context(), e.VersionID); err != nil {
		t.Fatal(err)
	}
	store.want(t, "log version", "1 version _log.json")
	if _, err := fresh().Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	store.want(t, "repair, nothing to do", "1 get _log.json", "1 head keys/k0.json")
	empty := counted(memstore.New())
	set(t, open[int](t, empty), "k", 1)
	empty.want(t, "the first set of all", "1 get _log.json", "1 versions _log.json", "1 head keys/k.json", "1 put _log.json", "1 put keys/k.json")
}

// A write that finds another's entry reads the log, and what that entry may have changed,
// and no more.
func TestRequestsAfterAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := filled(t, 10, 2)
		store := counted(mem)
		db, other := open[int](t, store), open[int](t, mem)
		set(t, db, "k0", 1)
		set(t, db, "k1", 1)
		set(t, other, "k1", 1)
		store.take()
		set(t, db, "k0", 1) // its tag is still known: the one entry that came is of k1
		store.want(t, "set after another's of another key", "2 put _log.json", "1 get _log.json", "1 head keys/k1.json", "1 put keys/k0.json")
		set(t, other, "k0", 1)
		set(t, db, "k0", 1)
		store.want(t, "set after another's of this key", "2 put _log.json", "1 get _log.json", "1 head keys/k0.json", "1 put keys/k0.json")
		set(t, other, "k0", 1)
		set(t, other, "k1", 1)
		set(t, db, "k0", 1)
		// With two entries, the lookup reads the one that this append raced, and then
		// the head again, which is old by then.
		store.want(t, "set after two of another's", "2 put _log.json", "2 get _log.json", "1 version _log.json",
			"1 head keys/k0.json", "1 head keys/k1.json", "1 put keys/k0.json")
	})
}

func TestRequestsOfSequences(t *testing.T) {
	t.Parallel()
	store := counted(filled(t, 100, 2)) // 50 entries of each key
	db := open[int](t, store)
	get(t, db, "k0")
	store.take()
	ctx := t.Context()

	all(t, db.History(ctx, "k0"))
	store.want(t, "history", "1 versions keys/k0.json", "50 version keys/k0.json")
	all(t, db.History(ctx, "k0", immukv.Limit(10))) // and what the store may have listed out of place
	store.want(t, "history of 10", "1 versions keys/k0.json", "18 version keys/k0.json")
	histories := all(t, db.History(ctx, "k1"))
	oldest := histories[len(histories)-2]
	store.take()
	page := all(t, db.Log(ctx, immukv.Limit(10)))
	store.want(t, "log of 10", "1 get _log.json", "1 versions _log.json", "9 version _log.json")
	all(t, db.Log(ctx, immukv.Limit(1)))
	store.want(t, "log of 1", "1 get _log.json")
	all(t, db.Log(ctx))
	store.want(t, "log", "1 get _log.json", "1 versions _log.json", "99 version _log.json")
	all(t, db.Log(ctx, immukv.Before(page[9].VersionID), immukv.Limit(10)))
	store.want(t, "log of the next 10", "1 versions _log.json", "11 version _log.json")
	all(t, db.History(ctx, "k1", immukv.Before(page[8].VersionID), immukv.Limit(10)))
	// The entry may be out of its place, and so may those around it: the ten and those
	// around either end are taken, and what nobody has asked for by then is left.
	const misplaced = 8
	if n := len(store.take()); n > 2+10+2*misplaced+immukv.DefaultConcurrency {
		t.Errorf("history from a log version: %d requests", n)
	}
	all(t, db.History(ctx, "k1", immukv.Before(oldest.VersionID), immukv.Limit(1))) // the whole listing in one page
	store.want(t, "history of the oldest", "1 version _log.json", "1 versions keys/k1.json", "17 version keys/k1.json")
	all(t, db.Keys(ctx))
	store.want(t, "keys", "1 names keys/")
	if _, err := db.VerifyLog(ctx); err != nil {
		t.Fatal(err)
	}
	store.want(t, "verify log", "1 get _log.json", "1 versions _log.json", "99 version _log.json")
	if _, err := db.Audit(ctx); err != nil {
		t.Fatal(err)
	}
	store.want(t, "audit", "1 get _log.json", "1 versions _log.json", "99 version _log.json", "1 names keys/",
		"1 versions keys/k0.json", "50 version keys/k0.json", "1 versions keys/k1.json", "50 version keys/k1.json")

	// A consumer that stops early has caused no more than the window beyond what it
	// took.
	for range db.Log(ctx) {
		break
	}
	store.want(t, "log, one taken", "1 get _log.json")
	for range db.History(ctx, "k0") {
		break
	}
	if n := len(store.take()); n > 1+1+misplaced+immukv.DefaultConcurrency {
		t.Errorf("history, one taken: %d requests", n)
	}
}

// Writes of one client queue up and cost what they would one after another.
func TestConcurrentSets(t *testing.T) {
	t.Parallel()
	for _, deferred := range []bool{false, true} {
		t.Run(fmt.Sprint("deferred=", deferred), func(t *testing.T) {
			t.Parallel()
			mem := filled(t, 2, 1)
			store := counted(mem)
			var opts []immukv.Option
			if deferred {
				opts = append(opts, immukv.WithDeferredApply())
			}
			db := open[int](t, store, opts...)
			set(t, db, "k0", 1)
			settle := func() { // waits for a deferred apply
				if _, err := db.Repair(t.Context()); err != nil {
					t.Error(err)
				}
			}
			settle()
			sixteen := func() int {
				store.take()
				var wg sync.WaitGroup
				for i := range 16 {
					wg.Go(func() {
						if _, err := db.Set(t.Context(), fmt.Sprint("new", i), i); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				settle()
				return len(store.take()) - 1
			}
			if n := sixteen(); n != 48 {
				t.Errorf("16 sets of new keys took %d requests, want 48", n)
			}
			if n := sixteen(); n != 32 {
				t.Errorf("16 sets of known keys took %d requests, want 32", n)
			}
			if r := audit(t, mem); r.Entries != 2+1+32 || len(r.Orphans) > 0 {
				t.Errorf("report is %+v", r)
			}
		})
	}
}

// roundTrips is how long a call takes, in requests that follow one another, on a
// store of which each request takes exactly one unit of time.
func roundTrips(t *testing.T, store backend.VersionedStore, warm, call func(*immukv.Client[int]) error, opts ...immukv.Option) int {
	t.Helper()
	unit := time.Duration(0)
	slow := &tapped{store: store, before: func(context.Context, request) error {
		time.Sleep(unit)
		return nil
	}}
	db := open[int](t, slow, opts...)
	if warm != nil {
		if err := warm(db); err != nil {
			t.Error(err)
		}
	}
	synctest.Wait()
	unit = time.Second
	start := time.Now()
	if err := call(db); err != nil {
		t.Error(err)
	}
	trips := int(time.Since(start) / unit)
	_ = db.Close()
	return trips
}

func TestRoundTrips(t *testing.T) {
	t.Parallel()
	setKey := func(key string) func(*immukv.Client[int]) error {
		return func(db *immukv.Client[int]) error { _, err := db.Set(context.Background(), key, 1); return err }
	}
	getKey := func(db *immukv.Client[int]) error { _, err := db.Get(context.Background(), "k0"); return err }
	deferred := immukv.WithDeferredApply()
	for _, c := range []struct {
		name       string
		entries    int
		warm, call func(*immukv.Client[int]) error
		opts       []immukv.Option
		want       int
	}{
		{"get", 10, getKey, getKey, nil, 1},
		{"first get", 10, nil, getKey, nil, 3},
		{"set, known head and key", 10, setKey("k0"), setKey("k0"), nil, 2},
		{"set, known head and new key", 10, setKey("k0"), setKey("new"), nil, 3},
		{"first set", 10, nil, setKey("k0"), nil, 4},
		{"first set, key of the head", 10, nil, setKey("k1"), nil, 4},
		{"first set of all", 0, nil, setKey("k0"), nil, 4},
		{"set, apply deferred", 10, setKey("k0"), setKey("k0"), []immukv.Option{deferred}, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			if got := roundTrips(t, filled(t, c.entries, 2), c.warm, c.call, c.opts...); got != c.want {
				t.Errorf("%s: %d round trips, want %d", c.name, got, c.want)
			}
		})
	}
}

// Sequences and verifications are as wide as the window.
func TestWideReads(t *testing.T) {
	t.Parallel()
	const n = 1000
	const most = n / 32. * 1.25
	ctx := context.Background()
	warm := func(db *immukv.Client[int]) error { _, err := db.Get(ctx, "k0"); return err }
	drain := func(seq func(func(immukv.Entry[int], error) bool)) error {
		entries, err := collect(seq)
		if err == nil && len(entries) != n {
			err = fmt.Errorf("%d entries", len(entries))
		}
		return err
	}
	for _, c := range []struct {
		name   string
		keys   int
		call   func(*immukv.Client[int]) error
		passes float64 // over n bodies
	}{
		{"history", 1, func(db *immukv.Client[int]) error { return drain(db.History(ctx, "k0")) }, 1},
		{"log", 7, func(db *immukv.Client[int]) error { return drain(db.Log(ctx)) }, 1},
		{"verify log", 7, func(db *immukv.Client[int]) error { _, err := db.VerifyLog(ctx); return err }, 1},
		{"audit, one key", 1, func(db *immukv.Client[int]) error { _, err := db.Audit(ctx); return err }, 2},
		{"audit, 10 keys", 10, func(db *immukv.Client[int]) error { _, err := db.Audit(ctx); return err }, 2},
		{"audit, 100 keys", 100, func(db *immukv.Client[int]) error { _, err := db.Audit(ctx); return err }, 2},
		// Each key object takes its own listing before its one body.
		{"audit, 1000 keys", 1000, func(db *immukv.Client[int]) error { _, err := db.Audit(ctx); return err }, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				got := roundTrips(t, filled(t, n, c.keys), warm, c.call)
				t.Logf("%s: %d round trips", c.name, got)
				if float64(got) > c.passes*most {
					t.Errorf("%d round trips, want at most %.0f", got, c.passes*most)
				}
			})
		})
	}
}

// The window is as wide as it was configured, and no wider.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	mem := filled(t, 200, 5)
	for _, window := range []int{1, 3, 32} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			var now, most int
			store := &tapped{store: mem, before: func(_ context.Context, r request) error {
				if r.op != "version" {
					return nil
				}
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				now--
				mu.Unlock()
				return nil
			}}
			db := open[int](t, store, immukv.WithConcurrency(window))
			ctx := t.Context()
			for name, call := range map[string]func() error{
				"log":   func() error { _, err := collect(db.Log(ctx)); return err },
				"audit": func() error { _, err := db.Audit(ctx); return err },
			} {
				most = 0
				if err := call(); err != nil {
					t.Error(err)
				}
				if most != window {
					t.Errorf("%s: %d bodies under way at once, want %d", name, most, window)
				}
			}
		})
	}
}
