package immukv_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

func writesOf(keys ...string) []immukv.Write[string] {
	var writes []immukv.Write[string]
	for _, key := range keys {
		writes = append(writes, immukv.Write[string]{Key: key, Value: "of " + key})
	}
	return writes
}

func setAll(t *testing.T, db *immukv.Client[string], keys ...string) []immukv.Entry[string] {
	t.Helper()
	entries, err := db.SetAll(t.Context(), writesOf(keys...)...)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// Entries of one version are read as all others are, by every method.
func TestSetAll(t *testing.T) {
	t.Parallel()
	mem := memstore.New()
	db := open[string](t, mem)
	first := set(t, db, "a", "alone")
	entries := setAll(t, db, "b", "a", "c")
	after := set(t, db, "c", "alone again")
	for i, e := range entries {
		want := first.VersionID
		if i > 0 {
			want = entries[0].VersionID
		}
		if e.Sequence != int64(i+1) || e.VersionID != entries[0].VersionID || e.PreviousVersionID != want {
			t.Errorf("entry %d is %+v", i, e)
		}
	}
	if after.PreviousVersionID != entries[0].VersionID || after.PreviousHash != entries[2].Hash {
		t.Errorf("the entry after is %+v", after)
	}
	for name, reader := range map[string]*immukv.Client[string]{"the same": db, "another": open[string](t, mem), "typescript": open[string](t, mem, immukv.WithDialect(immukv.TypeScript))} {
		for key, want := range map[string]int64{"a": 2, "b": 1, "c": 4} {
			for _, opts := range [][]immukv.GetOption{nil, {immukv.Consistent()}} {
				if e, err := reader.Get(t.Context(), key, opts...); err != nil || e.Sequence != want {
					t.Errorf("%s: get %q: %+v, %v", name, key, e, err)
				}
			}
		}
		there, err := reader.LogVersion(t.Context(), entries[0].VersionID)
		if err != nil || !slices.Equal(sequences(there), []int64{1, 2, 3}) {
			t.Errorf("%s: the version holds %v, %v", name, there, err)
		}
		for what, c := range map[string]struct {
			opt  immukv.LogOption
			want []int64
		}{
			"all":             {immukv.From(0), []int64{4, 3, 2, 1, 0}},
			"two":             {immukv.Limit(2), []int64{4, 3}},
			"three":           {immukv.Limit(3), []int64{4, 3, 2}},
			"from within":     {immukv.From(2), []int64{4, 3, 2}},
			"before the last": {immukv.Before(after.VersionID), []int64{3, 2, 1, 0}},
			"before it":       {immukv.Before(entries[0].VersionID), []int64{0}},
		} {
			if got := sequences(all(t, reader.Log(t.Context(), c.opt))); !slices.Equal(got, c.want) {
				t.Errorf("%s: log, %s: %v, want %v", name, what, got, c.want)
			}
			up := sequences(all(t, reader.Log(t.Context(), c.opt, immukv.OldestFirst())))
			switch what {
			case "two", "three":
				c.want = []int64{0, 1, 2}[:len(c.want)]
			default:
				slices.Reverse(c.want)
			}
			if !slices.Equal(up, c.want) {
				t.Errorf("%s: log oldest first, %s: %v, want %v", name, what, up, c.want)
			}
		}
		for n := range int64(5) {
			if e, err := reader.EntryAt(t.Context(), n); err != nil || e.Sequence != n {
				t.Errorf("%s: entry at %d: %+v, %v", name, n, e, err)
			}
		}
		if got := all(t, reader.History(t.Context(), "a", immukv.Before(entries[0].VersionID))); len(got) != 1 || got[0].Sequence != 0 {
			t.Errorf("%s: history before the batch: %v", name, got)
		}
		if e, err := reader.Get(t.Context(), "a", immukv.AtSequence(1)); err != nil || e.Sequence != 0 {
			t.Errorf("%s: a at sequence 1: %+v, %v", name, e, err)
		}
		s, err := reader.GetAll(t.Context(), []string{"a", "b", "c"}, immukv.Consistent())
		if err != nil || s.Sequence != 4 || len(s.Entries) != 3 {
			t.Errorf("%s: snapshot %+v, %v", name, s, err)
		}
	}
	if r := audit(t, mem); r.Entries != 5 || len(r.Orphans) > 0 {
		t.Errorf("report %+v", r)
	}
}

// What is too much, too little or twice is refused before anything is sent.
func TestInvalidSetAll(t *testing.T) {
	t.Parallel()
	store := counted(memstore.New())
	db := open[string](t, store, immukv.WithMaxValueBytes(32<<20))
	var many []string
	for i := range 1001 {
		many = append(many, fmt.Sprint(i))
	}
	big := immukv.Write[string]{Key: "big", Value: strings.Repeat("x", 8<<20)}
	for name, c := range map[string]struct {
		writes []immukv.Write[string]
		want   error
		says   string
	}{
		"nothing":        {nil, immukv.ErrInvalidOption, "no entry to write"},
		"a key twice":    {writesOf("a", "b", "a"), immukv.ErrInvalidOption, `"a"`},
		"too many":       {writesOf(many...), immukv.ErrInvalidOption, "1001"},
		"an invalid key": {writesOf("a", "b/../c"), immukv.ErrInvalidKey, ""},
		"too large":      {append(writesOf("a"), big), immukv.ErrValueTooLarge, "8388608"},
		"two conditions": {[]immukv.Write[string]{{Key: "k", If: []immukv.SetOption{immukv.IfAbsent(), immukv.IfAbsent()}}}, immukv.ErrInvalidOption, `"k"`},
	} {
		_, err := db.SetAll(t.Context(), c.writes...)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	store.want(t, "all")
	if _, err := db.SetAll(t.Context(), big); err != nil {
		t.Errorf("one entry may be as large as ever: %v", err)
	}
	if n := len(setAll(t, db, many[:1000]...)); n != 1000 {
		t.Errorf("%d entries", n)
	}
	for _, b := range []immukv.Batching{{MaxEntries: -1}, {MaxEntries: 1001}, {MaxBytes: -1}, {MaxBytes: 8<<20 + 1}} {
		if _, err := immukv.Open[string](t.Context(), store, immukv.WithBatching(b)); !errors.Is(err, immukv.ErrInvalidOption) {
			t.Errorf("%+v: %v", b, err)
		}
	}
}

// If one condition does not hold, nothing is written.
func TestConditionsOfSetAll(t *testing.T) {
	t.Parallel()
	mem := memstore.New()
	db := open[string](t, mem)
	setAll(t, db, "a", "b")
	for _, c := range []struct {
		a, b immukv.SetOption
		bad  string
	}{
		{immukv.IfSequence(0), immukv.IfAbsent(), "b"},
		{immukv.IfSequence(1), immukv.IfSequence(1), "a"},
		{immukv.IfAbsent(), immukv.IfAbsent(), "a"},
		{immukv.IfSequence(0), immukv.IfSequence(1), ""},
	} {
		for _, db := range []*immukv.Client[string]{db, open[string](t, mem)} {
			before := len(versionsOf(mem.Dump(), logObject))
			writes := writesOf("a", "b", "new")
			writes[0].If, writes[1].If = []immukv.SetOption{c.a}, []immukv.SetOption{c.b}
			_, err := db.SetAll(t.Context(), writes...)
			if c.bad == "" {
				if err != nil {
					t.Error(err)
				}
				audit(t, mem)
				return
			}
			if failed := failedCondition(t, err); failed.Key != c.bad || failed.Found == nil {
				t.Errorf("condition %+v", failed)
			}
			if n := len(versionsOf(mem.Dump(), logObject)); n != before {
				t.Errorf("%d versions, and there were %d", n, before)
			}
		}
	}
}

// Whichever entries of the newest version are orphans, the next activity of anybody
// repairs those and no others, and the bytes are those that their writer would have
// written.
func TestOrphansOfBatch(t *testing.T) {
	t.Parallel()
	keys := []string{"a", "b", "new"}
	whole := memstore.New()
	fill := func(store backend.VersionedStore) {
		db := open[string](t, store, immukv.WithClock(func() time.Time { return time.UnixMilli(1) }), immukv.WithRandom(&countingReader{}))
		set(t, db, "a", "before")
		set(t, db, "b", "before")
		setAll(t, db, keys...)
	}
	fill(whole)
	for mask := range 1 << len(keys) {
		lost := func(name string) bool {
			for i, key := range keys {
				if mask&(1<<i) != 0 && name == "keys/"+key+".json" {
					return true
				}
			}
			return false
		}
		broken := func() *memstore.Store {
			mem := whole
			for _, key := range keys {
				if lost("keys/" + key + ".json") {
					mem = edit(t, mem, "keys/"+key+".json", func(v []memstore.Version) []memstore.Version { return v[:len(v)-1] })
				}
			}
			return mem
		}
		orphans := 0
		for i := range keys {
			orphans += mask >> i & 1
		}
		for name, act := range map[string]func(*immukv.Client[string]){
			"repair": func(db *immukv.Client[string]) {
				r, err := db.Repair(t.Context())
				if err != nil || len(r.Orphans) != orphans || r.Repaired != (orphans > 0) {
					t.Errorf("%03b: repair: %+v, %v", mask, r, err)
				}
			},
			"get": func(db *immukv.Client[string]) {
				for i, key := range keys {
					if e := get(t, db, key); e.Sequence != int64(2+i) {
						t.Errorf("%03b: get %q: sequence %d", mask, key, e.Sequence)
					}
				}
			},
			"keys": func(db *immukv.Client[string]) {
				if got := all(t, db.Keys(t.Context())); !slices.Equal(got, keys) {
					t.Errorf("%03b: keys %q", mask, got)
				}
			},
		} {
			mem := broken()
			if r := audit(t, mem); len(r.Orphans) != orphans {
				t.Errorf("%03b: the audit finds orphans %+v", mask, r.Orphans)
			}
			reader := open[string](t, mem, immukv.WithReadOnly())
			for i, key := range keys {
				if e := get(t, reader, key); e.Sequence != int64(2+i) {
					t.Errorf("%03b: a reader gets %q: sequence %d", mask, key, e.Sequence)
				}
			}
			if got := all(t, reader.Keys(t.Context())); !slices.Equal(got, keys) {
				t.Errorf("%03b: a reader lists %q", mask, got)
			}
			act(open[string](t, mem))
			for _, key := range keys {
				object := "keys/" + key + ".json"
				got, want := versionsOf(mem.Dump(), object), versionsOf(whole.Dump(), object)
				if len(got) != len(want) || got[len(got)-1].Body != want[len(want)-1].Body {
					t.Errorf("%03b, %s: %s is not as its writer would have left it", mask, name, object)
				}
			}
			if r := audit(t, mem); len(r.Orphans) > 0 {
				t.Errorf("%03b, %s: orphans left: %+v", mask, name, r.Orphans)
			}
		}
	}
}

// That one key object has diverged does not hide that it is not known whether another
// entry of the version is applied.
func TestDivergedBesideFailure(t *testing.T) {
	t.Parallel()
	whole := memstore.New()
	db := open[string](t, whole)
	set(t, db, "a", "before")
	set(t, db, "b", "before")
	setAll(t, db, "a", "b")
	mem := edit(t, whole, "keys/a.json", func([]memstore.Version) []memstore.Version { return nil })
	mem = edit(t, mem, "keys/b.json", func(v []memstore.Version) []memstore.Version { return v[:1] })

	var failed atomic.Bool
	reader := open[string](t, &tapped{store: mem, before: func(_ context.Context, r request) error {
		if r.op == "head" && r.name == "keys/b.json" && failed.CompareAndSwap(false, true) {
			return backend.ErrUnavailable
		}
		return nil
	}})
	if e, err := reader.Get(t.Context(), "b"); !errors.Is(err, backend.ErrUnavailable) {
		t.Errorf("get: sequence %d, %v", e.Sequence, err)
	}
	if e := get(t, reader, "b"); e.Sequence != 3 {
		t.Errorf("get again: sequence %d", e.Sequence)
	}
}

// countingReader yields other bytes each time, and the same to each that reads alike.
type countingReader struct{ n byte }

func (r *countingReader) Read(p []byte) (int, error) {
	for i := range p {
		r.n++
		p[i] = r.n
	}
	return len(p), nil
}

// Writes that are under way at once go into few versions, each key's in order.
func TestBatching(t *testing.T) {
	t.Parallel()
	const callers, each = 64, 10
	for _, deferred := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			mem := memstore.New()
			store := far(mem, roundTrip)
			opts := []immukv.Option{immukv.WithBatching(immukv.Batching{})}
			if deferred {
				opts = append(opts, immukv.WithDeferredApply())
			}
			db := open[string](t, store, opts...)
			var running sync.WaitGroup
			for i := range callers {
				running.Go(func() {
					last := int64(-1)
					for n := range each {
						e, err := db.Set(t.Context(), fmt.Sprintf("k%d", i), fmt.Sprint(n))
						if err != nil || e.Sequence <= last || e.Value != fmt.Sprint(n) {
							t.Errorf("set: %+v after sequence %d, %v", e, last, err)
						}
						last = e.Sequence
					}
				})
			}
			running.Wait()
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			if r := audit(t, mem); r.Entries != callers*each || len(r.Orphans) > 0 {
				t.Errorf("report %+v", r)
			}
			versions := len(versionsOf(mem.Dump(), logObject))
			if versions > each+2 {
				t.Errorf("%d versions for %d rounds of %d entries", versions, each, callers)
			}
			t.Logf("deferred %v: %d entries in %d versions", deferred, callers*each, versions)
		})
	}
}

// A caller whose context ends takes nobody along: before its entry was sent it is taken
// out, and after that its outcome is told by Settle.
func TestBatchingContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := wrote(t, "x")
		ending, end := context.WithCancel(t.Context())
		arrive, hold := make(chan struct{}), make(chan struct{})
		holding := false
		store := &tapped{store: mem, put: func(r request, send func() (backend.Version, error)) (backend.Version, error) {
			if holding && r.name == logObject {
				select {
				case <-hold:
				case <-ending.Done(): // the request is on its way all the same
					go func() { <-arrive; _, _ = send() }()
					ending = t.Context()
					return backend.Version{}, context.Canceled
				}
			}
			return send()
		}}
		db := open[string](t, store, immukv.WithBatching(immukv.Batching{}))
		set(t, db, "x", "first") // and the head is known
		holding = true
		errs, call, running := callers(db)
		call(ending, "sent")
		call(t.Context(), "waits")
		call(ending, "leaves")
		end()
		synctest.Wait()
		var unknown *immukv.OutcomeUnknownError
		if !errors.As(errs["sent"], &unknown) || !errors.Is(errs["sent"], context.Canceled) {
			t.Errorf("after it was sent: %v", errs["sent"])
		}
		if err := errs["leaves"]; !errors.Is(err, context.Canceled) || errors.Is(err, immukv.ErrOutcomeUnknown) {
			t.Errorf("before it was sent: %v", err)
		}
		close(arrive)
		synctest.Wait()
		close(hold)
		running.Wait()
		if errs["waits"] != nil {
			t.Errorf("its neighbour: %v", errs["waits"])
		}
		e, err := db.Settle(t.Context(), unknown)
		if err != nil || e.Key != "sent" || e.Value != "value of sent" {
			t.Errorf("settled: %+v, %v", e, err)
		}
		if n := occurrences(t, mem, "value of leaves"); n != 0 {
			t.Errorf("what was taken out stands %d times in the log", n)
		}
		audit(t, mem)
	})
}

// Of two callers in one batch one leaves, while the tags of its keys are asked for or when
// it was sent. The other's write goes on.
func TestNeighbourInBatchLeaves(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		held string // the object whose tag the batch asks for when the caller leaves
		sent bool
	}{
		{"before it was sent", "keys/leaves.json", false},
		{"after it was sent", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := wrote(t, "x")
				hold, release := make(chan struct{}), make(chan struct{})
				var puts atomic.Int64
				store := &tapped{store: mem,
					put: func(r request, send func() (backend.Version, error)) (backend.Version, error) {
						if r.name == logObject {
							switch puts.Add(1) {
							case 1:
								<-release
							case 2:
								<-hold
							}
						}
						return send()
					},
					before: func(_ context.Context, r request) error {
						if r.name == c.held && r.op == "head" {
							<-hold
						}
						return nil
					},
				}
				db := open[string](t, store, immukv.WithBatching(immukv.Batching{}))
				errs, call, running := callers(db)
				ending, end := context.WithCancel(t.Context())
				call(t.Context(), "first")
				call(ending, "leaves")
				call(t.Context(), "stays")
				close(release)
				synctest.Wait()
				end()
				synctest.Wait()
				close(hold)
				running.Wait()
				if err := errs["leaves"]; !errors.Is(err, context.Canceled) || errors.Is(err, immukv.ErrOutcomeUnknown) != c.sent {
					t.Errorf("the one that leaves: %v", err)
				}
				if errs["stays"] != nil {
					t.Errorf("the one that stays: %v", errs["stays"])
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
				there := slices.ContainsFunc(versionsOf(mem.Dump(), logObject), func(v memstore.Version) bool {
					return strings.Contains(v.Body, "value of leaves")
				})
				if there != c.sent {
					t.Errorf("what the one that leaves wrote is in the log: %v", there)
				}
				audit(t, mem)
			})
		})
	}
}

// A batch ends with the context of its last caller, also if the others had their answers
// before.
func TestLastCallerOfBatchLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := wrote(t, "x")
		release := make(chan struct{})
		var puts atomic.Int64
		store := &tapped{store: mem, before: func(ctx context.Context, r request) error {
			if r.op == "put" && r.name == logObject {
				switch puts.Add(1) {
				case 1:
					<-release
				case 2: // the batch: it is never answered
					<-ctx.Done()
					return ctx.Err()
				}
			}
			return nil
		}}
		db := open[string](t, store, immukv.WithBatching(immukv.Batching{}))
		errs, call, running := callers(db)
		ending, end := context.WithCancel(t.Context())
		call(t.Context(), "first")
		running.Go(func() {
			if _, err := db.Set(t.Context(), "x", "value", immukv.IfAbsent()); !errors.Is(err, immukv.ErrConditionFailed) {
				t.Errorf("the one whose condition does not hold: %v", err)
			}
		})
		call(ending, "leaves")
		close(release)
		synctest.Wait()
		end()
		running.Wait()
		if err := errs["leaves"]; !errors.Is(err, context.Canceled) {
			t.Errorf("the one that leaves: %v", err)
		}
		if err := db.Close(); err != nil { // waits for the batch
			t.Error(err)
		}
		audit(t, mem)
	})
}

// One whose condition does not hold leaves the batch alone.
func TestConditionsInBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := wrote(t, "a", "b")
		db := open[string](t, far(mem, roundTrip), immukv.WithBatching(immukv.Batching{}))
		set(t, db, "x", "value")
		var running sync.WaitGroup
		for i := range 8 {
			for key, n := range map[string]int64{"a": 0, "b": 1} {
				running.Go(func() {
					_, err := db.Set(t.Context(), key, fmt.Sprint(i), immukv.IfSequence(n))
					if err != nil && !errors.Is(err, immukv.ErrConditionFailed) {
						t.Error(err)
					}
				})
			}
			running.Go(func() {
				if _, err := db.Set(t.Context(), fmt.Sprintf("free-%d", i), "value"); err != nil {
					t.Error(err)
				}
			})
		}
		running.Wait()
		if r := audit(t, mem); r.Entries != 2+1+2+8 {
			t.Errorf("%d entries", r.Entries)
		}
	})
}

// Whoever sets a key that the store cannot hold, or does not answer for, fails alone: its
// neighbours in the batch are written. A SetAll with such a key is not written at all.
func TestKeyErrorsInBatch(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		of   error // that the store returns for the key object
		want error
		cond []immukv.SetOption
	}{
		"a name that the store cannot hold": {backend.ErrInvalidName, immukv.ErrInvalidKey, nil},
		"access to the key denied":          {backend.ErrAccessDenied, backend.ErrAccessDenied, nil},
		"access denied, with a condition":   {backend.ErrAccessDenied, backend.ErrAccessDenied, []immukv.SetOption{immukv.IfSequence(0)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				mem := wrote(t, "x")
				store := &tapped{store: mem, before: func(_ context.Context, r request) error {
					time.Sleep(roundTrip)
					if r.name == "keys/bad.json" || r.name == "keys/worse.json" {
						return storeError(c.of)
					}
					return nil
				}}
				db := open[string](t, store, immukv.WithBatching(immukv.Batching{}))
				keys := []string{"a", "bad", "b", "worse", "x", "c"}
				errs := make([]error, len(keys))
				var all error
				var running sync.WaitGroup
				running.Go(func() { set(t, db, "first", "so that the others come together") })
				synctest.Wait()
				for i, key := range keys {
					running.Go(func() {
						opts := c.cond
						if len(key) == 1 {
							opts = nil
						}
						_, errs[i] = db.Set(t.Context(), key, "value of "+key, opts...)
					})
				}
				running.Go(func() { _, all = db.SetAll(t.Context(), writesOf("d", "worse")...) })
				running.Wait()
				for i, key := range keys {
					if fails := len(key) > 1; fails != errors.Is(errs[i], c.want) || !fails && errs[i] != nil {
						t.Errorf("set %q: %v", key, errs[i])
					}
				}
				if !errors.Is(all, c.want) {
					t.Errorf("SetAll: %v", all)
				}
				if r := audit(t, mem); r.Entries != 2+4 {
					t.Errorf("%d entries", r.Entries)
				}
			})
		})
	}
}

// A lone write is stored and costs as without batching.
func TestLoneSetWithBatching(t *testing.T) {
	t.Parallel()
	dumps := make([]*memstore.Store, 2)
	for i, opts := range [][]immukv.Option{nil, {immukv.WithBatching(immukv.Batching{})}} {
		dumps[i] = memstore.New()
		store := counted(dumps[i])
		clock := immukv.WithClock(func() time.Time { return time.UnixMilli(1) })
		db := open[string](t, store, append(opts, clock, immukv.WithRandom(&countingReader{}))...)
		set(t, db, "k", "first")
		store.take()
		set(t, db, "k", "second")
		store.want(t, "known key", "1 put _log.json", "1 put keys/k.json")
	}
	for _, object := range []string{logObject, "keys/k.json"} {
		without, with := versionsOf(dumps[0].Dump(), object), versionsOf(dumps[1].Dump(), object)
		for i := range without {
			if without[i].Body != with[i].Body {
				t.Errorf("%s, version %d:\n%s without batching,\n%s with it", object, i, without[i].Body, with[i].Body)
			}
		}
	}
}

// Of a batch whose answer was lost, every caller learns what became of its own entries.
func TestSettleBatch(t *testing.T) {
	t.Parallel()
	for _, comes := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			mem := wrote(t, "x")
			var undelivered mail
			flaky := onPut(mem, logObject, undelivered.later(storeError(backend.ErrOutcomeUnknown)))
			db := open[string](t, flaky, immukv.WithBatching(immukv.Batching{}))
			if _, err := db.Repair(ctx); err != nil { // knows the head from here on
				t.Fatal(err)
			}
			flaky.before = func(_ context.Context, r request) error {
				if r.op == "get" {
					return storeError(backend.ErrUnavailable)
				}
				return nil
			}
			var set, all error
			var running sync.WaitGroup
			running.Go(func() { _, set = db.Set(ctx, "alone", "value") })
			running.Go(func() { _, all = db.SetAll(ctx, writesOf("a", "b")...) })
			running.Wait()
			unknownSet, unknownAll := asUnknown(t, set), asUnknown(t, all)
			flaky.before, flaky.put = nil, nil
			if comes {
				undelivered.deliver()
			} else {
				set := open[string](t, mem)
				if _, err := set.Set(ctx, "other", "value"); err != nil {
					t.Fatal(err)
				}
			}
			e, err := db.Settle(ctx, unknownSet)
			entries, allErr := db.SettleAll(ctx, unknownAll)
			switch {
			case comes && (err != nil || e.Key != "alone" || e.WriteID != unknownSet.WriteID):
				t.Errorf("set: settled as %+v, %v", e, err)
			case comes && (allErr != nil || len(entries) != 2 || entries[0].Key != "a" || entries[1].Value != "of b"):
				t.Errorf("set all: settled as %+v, %v", entries, allErr)
			case !comes && (!errors.Is(err, immukv.ErrConflict) || !errors.Is(allErr, immukv.ErrConflict)):
				t.Errorf("settled as %v, %v", err, allErr)
			}
			audit(t, mem)
		})
	}
}

// Who follows the log sees each entry of a version once, also when it begins within one.
func TestWatchBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		mem := memstore.New()
		db := open[string](t, mem)
		first := setAll(t, db, "a", "b", "c")
		go func() {
			for i := range 5 {
				time.Sleep(3 * time.Second)
				setAll(t, db, "a", "b")
				set(t, db, "c", fmt.Sprint(i))
			}
			time.Sleep(3 * time.Second)
			cancel()
		}()
		var got []int64
		for e, err := range open[string](t, mem).Watch(ctx, immukv.After(first[1].Checkpoint())) {
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				break
			}
			got = append(got, e.Sequence)
		}
		var want []int64
		for n := range int64(3 + 15) {
			if n > 1 {
				want = append(want, n)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("watched %v, want %v", got, want)
		}
	})
}

// callers has keys set beside one another, each call once those before it wait. It returns
// the error of each key's call, what makes a call, and what waits for all of them.
func callers(db *immukv.Client[string]) (errs map[string]error, call func(context.Context, string), running *sync.WaitGroup) {
	errs, running = make(map[string]error), new(sync.WaitGroup)
	var mu sync.Mutex
	return errs, func(ctx context.Context, key string) {
		running.Go(func() {
			_, err := db.Set(ctx, key, "value of "+key)
			mu.Lock()
			defer mu.Unlock()
			errs[key] = err
		})
		synctest.Wait()
	}, running
}
