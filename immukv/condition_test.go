package immukv_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// failedCondition is the error of a write whose condition does not hold.
func failedCondition(t testing.TB, err error) *immukv.ConditionError {
	t.Helper()
	var failed *immukv.ConditionError
	if !errors.As(err, &failed) || !errors.Is(err, immukv.ErrConditionFailed) || errors.Is(err, immukv.ErrConflict) {
		t.Fatalf("no failed condition: %v", err)
	}
	return failed
}

// wantFound checks what a failed condition found: the sequence of an entry of key k, or
// -1 for none. The entry must verify, and be the log's.
func wantFound(t testing.TB, store backend.VersionedStore, err error, want int64) {
	t.Helper()
	failed := failedCondition(t, err)
	switch found := failed.Found; {
	case failed.Key != "k":
		t.Errorf("it is about key %q", failed.Key)
	case found == nil && want >= 0, found != nil && found.Sequence != want:
		t.Errorf("found %+v, want sequence %d", found, want)
	case found != nil:
		db := open[json.RawMessage](t, store, immukv.WithReadOnly())
		if err := db.Verify(*found); err != nil {
			t.Error(err)
		}
		inLog, err := db.LogVersion(t.Context(), found.VersionID)
		if err != nil || inLog[0].Hash != found.Hash || found.Key != "k" || string(found.Value) != string(inLog[0].JSON) {
			t.Errorf("found %+v, and the log has %+v, %v", found, inLog, err)
		}
	}
}

// Conditions hold or fail as the log says, on every state that a key can be in and
// whatever the client knows of it; where one fails, nothing is written.
func TestConditions(t *testing.T) {
	t.Parallel()
	keyObject := "keys/k.json"
	for name, c := range map[string]struct {
		store  func(t *testing.T) *memstore.Store
		newest int64 // -1: the key has no entry
	}{
		"empty log":  {func(*testing.T) *memstore.Store { return memstore.New() }, -1},
		"no entry":   {func(t *testing.T) *memstore.Store { return wrote(t, "x", "y") }, -1},
		"the head":   {func(t *testing.T) *memstore.Store { return wrote(t, "x", "k") }, 1},
		"below":      {func(t *testing.T) *memstore.Store { return wrote(t, "k", "k", "x", "y") }, 1},
		"orphan":     {func(t *testing.T) *memstore.Store { m, _ := orphaned(t, false); return m }, 2},
		"new orphan": {func(t *testing.T) *memstore.Store { m, _ := orphaned(t, true); return m }, 2},
		"below another's orphan": {func(t *testing.T) *memstore.Store {
			mem := wrote(t, "k", "x")
			set(t, open[string](t, deniedObject(mem, "keys/x.json")), "x", "orphan")
			return mem
		}, 0},
	} {
		for kind, warm := range map[string]func(*testing.T, *immukv.Client[string]){
			"fresh client": func(*testing.T, *immukv.Client[string]) {},
			"client that has read": func(t *testing.T, db *immukv.Client[string]) {
				_, _ = db.Get(t.Context(), "k")
			},
			"client that knows the head": func(t *testing.T, db *immukv.Client[string]) {
				if _, err := db.Repair(t.Context()); err != nil {
					t.Fatal(err)
				}
			},
		} {
			for _, n := range []int64{0, 1, 2, 3} {
				t.Run(fmt.Sprintf("%s/%s/%d", name, kind, n), func(t *testing.T) {
					mem := c.store(t)
					db := open[string](t, mem)
					warm(t, db)
					before := len(versionsOf(mem.Dump(), logObject))
					opt, holds := immukv.IfSequence(n), n == c.newest
					if n == 3 {
						opt, holds = immukv.IfAbsent(), c.newest < 0
					}
					e, err := db.Set(t.Context(), "k", "value", opt)
					entries := len(versionsOf(mem.Dump(), logObject)) - before
					if holds {
						if err != nil || e.Value != "value" || e.Sequence != int64(before) || entries != 1 {
							t.Fatalf("set %+v, %v", e, err)
						}
					} else {
						wantFound(t, mem, err, c.newest)
						if entries != 0 {
							t.Errorf("%d entries appended", entries)
						}
						if got := len(versionsOf(mem.Dump(), keyObject)); got > 2 {
							t.Errorf("the key object has %d versions", got)
						}
						// The client can still write.
						set(t, db, "k", "after")
					}
					if r := audit(t, mem); len(r.Orphans) > 0 {
						t.Errorf("orphan left: %+v", r.Orphans)
					}
				})
			}
		}
	}
}

// wrote is a store with an entry of each of the keys.
func wrote(t testing.TB, keys ...string) *memstore.Store {
	t.Helper()
	mem := memstore.New()
	db := open[string](t, mem)
	for i, key := range keys {
		set(t, db, key, fmt.Sprint("before ", i))
	}
	return mem
}

// What a client remembers of a key never makes a condition fail or hold that others have
// changed since, whatever they wrote.
func TestConditionOnOldMemory(t *testing.T) {
	t.Parallel()
	for _, others := range [][]string{{"k"}, {"x"}, {"k", "x"}, {"x", "k"}, {"k", "k"}, {"x", "k", "y"}, {"k", "x", "y", "x"}} {
		for _, own := range [][]string{{}, {"k"}, {"k", "x"}, {"x"}} { // what the client knows best
			t.Run(fmt.Sprint(own, others), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					fresh := func() (mem *memstore.Store, db *immukv.Client[string], old, newest int64) {
						mem = wrote(t, "k", "x")
						db = open[string](t, mem)
						newest = 0
						for _, key := range own {
							if e := set(t, db, key, "own"); key == "k" {
								newest = e.Sequence
							}
						}
						old = newest
						other := open[string](t, mem)
						for _, key := range others {
							if e := set(t, other, key, "other"); key == "k" {
								newest = e.Sequence
							}
						}
						return mem, db, old, newest
					}
					mem, db, old, newest := fresh()
					if _, err := db.Set(t.Context(), "k", "value", immukv.IfSequence(newest)); err != nil {
						t.Errorf("on the newest, %d: %v", newest, err)
					}
					audit(t, mem)
					if old != newest {
						mem, db, old, newest = fresh()
						_, err := db.Set(t.Context(), "k", "value", immukv.IfSequence(old))
						wantFound(t, mem, err, newest)
						if n := len(versionsOf(mem.Dump(), logObject)); n != 2+len(own)+len(others) {
							t.Errorf("%d entries", n)
						}
					}
					mem, db, _, newest = fresh()
					_, err := db.Set(t.Context(), "k", "value", immukv.IfAbsent())
					wantFound(t, mem, err, newest)
				})
			})
		}
	}
}

// A conditional write whose answer is lost, however, is a success if it is in the log, and
// has failed for a reason of its own if it is not: never for its own entry.
func TestConditionAndLostAnswers(t *testing.T) {
	t.Parallel()
	for _, lost := range lostAnswers() {
		for _, times := range []int{1, 2, 20} {
			for _, others := range [][]string{nil, {"k"}, {"x"}, {"x", "k"}, {"k", "x"}} {
				for _, before := range []bool{false, true} { // what others append
					for _, absent := range []bool{false, true} {
						t.Run(fmt.Sprintf("%s/%d times/%v before=%v/absent=%v", lost.name, times, others, before, absent), func(t *testing.T) {
							t.Parallel()
							synctest.Test(t, func(t *testing.T) { testConditionAndLostAnswer(t, lost, times, others, before, absent) })
						})
					}
				}
			}
		}
	}
}

func testConditionAndLostAnswer(t *testing.T, lost lostAnswer, times int, others []string, before, absent bool) {
	mem, opt := wrote(t, "k", "x"), immukv.IfSequence(0)
	if absent {
		mem, opt = wrote(t, "x", "y"), immukv.IfAbsent()
	}
	other := open[string](t, mem)
	meanwhile := func() {
		for _, key := range others {
			set(t, other, key, "other")
		}
	}
	var undelivered mail
	faults := slices.Repeat([]fault{lost.fault(&undelivered)}, times)
	if first := faults[0]; before {
		faults[0] = func(send func() (backend.Version, error)) (backend.Version, error) {
			meanwhile()
			return first(send)
		}
	} else {
		faults[0] = followedBy(first, meanwhile)
	}
	db := open[string](t, onPut(mem, logObject, faults...))
	_, err := db.Set(t.Context(), "k", "value", opt)
	checkOutcome(t, mem, "value", err)
	if errors.Is(err, immukv.ErrConditionFailed) {
		failed := failedCondition(t, err)
		if !slices.Contains(others, "k") || failed.Found == nil || string(failed.Found.Value) != `"other"` {
			t.Errorf("failed of %+v", failed)
		}
	}
	undelivered.deliver()
	checkOutcome(t, mem, "value", err)
	if errors.Is(err, immukv.ErrOutcomeUnknown) {
		_, err = open[string](t, mem).Settle(t.Context(), asUnknown(t, err))
		if err != nil && !errors.Is(err, immukv.ErrConflict) {
			t.Errorf("settled as %v", err)
		}
		checkOutcome(t, mem, "value", err)
	}
	// The entry of k below the write, if it was made, is the one of the condition.
	keys := stored(t, mem, logObject)
	for i, f := range keys {
		if string(f.Value) != `"value"` {
			continue
		}
		for _, older := range keys[:i] {
			if older.Key == "k" && (absent || older.Sequence != 0) {
				t.Errorf("it was appended to a log with sequence %d of k", older.Sequence)
			}
		}
	}
	set(t, open[string](t, mem), "k", "after")
	audit(t, mem)
}

// Of many clients that want a key absent, or at one sequence, one gets it, and all others
// are told what it wrote.
func TestConditionOneWins(t *testing.T) {
	t.Parallel()
	for _, absent := range []bool{false, true} {
		for _, clients := range []int{2, 8} {
			t.Run(fmt.Sprintf("absent=%v/%d", absent, clients), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					mem, opt := wrote(t, "k"), immukv.IfSequence(0)
					if absent {
						mem, opt = memstore.New(), immukv.IfAbsent()
					}
					slow := &tapped{store: mem, before: func(context.Context, request) error {
						time.Sleep(10 * time.Millisecond)
						return nil
					}}
					var wg sync.WaitGroup
					var mu sync.Mutex
					var won []string
					found := make(map[string]int)
					for i := range clients {
						db := open[string](t, slow)
						wg.Go(func() {
							// Beside it somebody writes another key.
							if i%3 == 2 {
								set(t, db, "x", "other")
							}
							e, err := db.Set(t.Context(), "k", fmt.Sprint(i), opt)
							mu.Lock()
							defer mu.Unlock()
							if err == nil {
								won = append(won, `"`+e.Value+`"`)
							} else {
								found[string(failedCondition(t, err).Found.Value)]++
							}
						})
					}
					wg.Wait()
					if len(won) != 1 || found[won[0]] != clients-1 {
						t.Errorf("%v won, and the others found %v", won, found)
					}
					audit(t, mem)
				})
			})
		}
	}
}

// A conditional write costs what another does. One whose condition fails costs a read of
// the head and, if the head is an entry of another key, a read of the key object.
func TestRequestsOfConditions(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store := counted(filled(t, 10, 2)) // the newest entry is of k1
	fresh := func() *immukv.Client[int] { return open[int](t, store) }
	conditional := func(db *immukv.Client[int], key string, opt immukv.SetOption, fails bool) immukv.Entry[int] {
		t.Helper()
		e, err := db.Set(ctx, key, 1, opt)
		if errors.Is(err, immukv.ErrConditionFailed) != fails || err != nil && !fails {
			t.Fatal(err)
		}
		return e
	}
	db := fresh()
	e := conditional(db, "k0", immukv.IfSequence(8), false)
	store.want(t, "fresh client", "1 get _log.json", "1 head keys/k1.json", "1 get keys/k0.json", "1 put _log.json", "1 put keys/k0.json")
	e = conditional(db, "k0", immukv.IfSequence(e.Sequence), false)
	store.want(t, "known head, of the key", "1 put _log.json", "1 put keys/k0.json")
	conditional(db, "k1", immukv.IfSequence(9), false)
	store.want(t, "known key", "1 put _log.json", "1 put keys/k1.json")
	e = conditional(db, "k0", immukv.IfSequence(e.Sequence), false)
	store.want(t, "known key again", "1 put _log.json", "1 put keys/k0.json")
	conditional(db, "new", immukv.IfAbsent(), false)
	store.want(t, "new key", "1 get keys/new.json", "1 put _log.json", "1 put keys/new.json")
	set(t, db, "k0", 1)
	store.take()
	last := conditional(fresh(), "k0", immukv.IfSequence(e.Sequence+2), false)
	store.want(t, "fresh client, key of the head", "1 get _log.json", "1 head keys/k0.json", "1 put _log.json", "1 put keys/k0.json")

	conditional(fresh(), "k0", immukv.IfAbsent(), true)
	store.want(t, "failing, fresh client, key of the head", "1 get _log.json", "1 head keys/k0.json")
	conditional(fresh(), "k1", immukv.IfAbsent(), true)
	store.want(t, "failing, fresh client", "1 get _log.json", "1 head keys/k0.json", "1 get keys/k1.json")
	db = fresh()
	set(t, db, "k1", 1)
	set(t, db, "k0", 1)
	store.take()
	conditional(db, "k0", immukv.IfSequence(last.Sequence), true)
	store.want(t, "failing, known head, of the key", "1 get _log.json")
	conditional(db, "k1", immukv.IfAbsent(), true)
	store.want(t, "failing, known key", "1 get _log.json", "1 get keys/k1.json")
	conditional(db, "none", immukv.IfSequence(0), true)
	store.want(t, "failing, missing key", "1 get _log.json", "1 get keys/none.json")

	empty := counted(memstore.New())
	if _, err := open[int](t, empty).Set(ctx, "k", 1, immukv.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	empty.want(t, "the first set of all", "1 get _log.json", "1 versions _log.json", "1 get keys/k.json", "1 put _log.json", "1 put keys/k.json")
}

// The key object is asked for beside the check of the head, not after it.
func TestRoundTripsOfConditions(t *testing.T) {
	t.Parallel()
	setIf := func(key string, opt func() immukv.SetOption) func(*immukv.Client[int]) error {
		return func(db *immukv.Client[int]) error {
			_, err := db.Set(context.Background(), key, 1, opt())
			return err
		}
	}
	plain := func(key string) func(*immukv.Client[int]) error {
		return func(db *immukv.Client[int]) error { _, err := db.Set(context.Background(), key, 1); return err }
	}
	at := func(n int64) func() immukv.SetOption { return func() immukv.SetOption { return immukv.IfSequence(n) } }
	consistent := func(key string) func(*immukv.Client[int]) error {
		return func(db *immukv.Client[int]) error {
			_, err := db.Get(context.Background(), key, immukv.Consistent())
			return err
		}
	}
	for _, c := range []struct {
		name       string
		warm, call func(*immukv.Client[int]) error
		want       int
	}{
		{"known head and key", plain("k0"), setIf("k0", at(10)), 2},
		{"known head and new key", plain("k0"), setIf("new", immukv.IfAbsent), 3},
		{"first set", nil, setIf("k0", at(8)), 4},
		{"consistent get", nil, consistent("k0"), 2},
		{"consistent get of the head", nil, consistent("k1"), 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			if got := roundTrips(t, filled(t, 10, 2), c.warm, c.call); got != c.want {
				t.Errorf("%s: %d round trips, want %d", c.name, got, c.want)
			}
		})
	}
}

// A condition on a key object that does not say what the key's newest entry is fails with
// an error that names the object, and a write without a condition succeeds.
func TestConditionOnDamagedKeyObject(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	newest := func(change func(string) string) func([]memstore.Version) []memstore.Version {
		return func(v []memstore.Version) []memstore.Version {
			v[len(v)-1].Body = change(v[len(v)-1].Body)
			return v
		}
	}
	for name, c := range map[string]struct {
		change func([]memstore.Version) []memstore.Version
		want   error // nil: the log has the entry
	}{
		"value": {newest(func(b string) string { return replaced(b, "before 1", "edited") }), nil},
		"value and log version": {newest(func(b string) string {
			return replaced(replaced(b, "before 1", "edited"), `"log_version_id":"`, `"log_version_id":"x`)
		}), immukv.ErrVerificationFailed},
		"sequence":    {newest(func(b string) string { return replaced(b, `"sequence":1`, `"sequence":0`) }), immukv.ErrVerificationFailed},
		"another key": {newest(func(b string) string { return replaced(b, `"key":"k"`, `"key":"j"`) }), immukv.ErrVerificationFailed},
		"no entry":    {newest(func(string) string { return "{}" }), immukv.ErrMalformedEntry},
	} {
		for _, opt := range []immukv.SetOption{immukv.IfSequence(1), immukv.IfAbsent()} {
			mem := edit(t, wrote(t, "k", "k", "x"), "keys/k.json", c.change)
			db := open[string](t, mem)
			_, err := db.Set(ctx, "k", "value", opt)
			switch {
			case c.want != nil:
				if !errors.Is(err, c.want) || errors.Is(err, immukv.ErrConditionFailed) || !strings.Contains(err.Error(), "keys/k.json") {
					t.Errorf("%s: %v", name, err)
				}
				if n := len(versionsOf(mem.Dump(), logObject)); n != 3 {
					t.Errorf("%s: %d entries", name, n)
				}
			case opt == immukv.IfAbsent():
				wantFound(t, mem, err, 1)
			case err != nil:
				t.Errorf("%s: %v", name, err)
			}
			set(t, db, "k", "after")
		}
	}
}

// A copy that a client of the other language has re-formatted is the entry it copies.
func TestConditionOnReformattedKeyObject(t *testing.T) {
	t.Parallel()
	store := reformatted(t, `[1,10000000000000000,12345678901234567000]`)
	other := open[json.RawMessage](t, store)
	if _, err := other.Set(t.Context(), "x", json.RawMessage(`1`)); err != nil {
		t.Fatal(err)
	}
	_, err := open[json.RawMessage](t, store).Set(t.Context(), "k", json.RawMessage(`2`), immukv.IfAbsent())
	wantFound(t, store, err, 0)
	if _, err := open[json.RawMessage](t, store).Set(t.Context(), "k", json.RawMessage(`2`), immukv.IfSequence(0)); err != nil {
		t.Error(err)
	}
}

// A key object that was deleted behind the protocol's back takes its key away, as it does
// for a read; the log's newest entry is there all the same.
func TestConditionOnDeletedKeyObject(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	mem := edit(t, wrote(t, "k", "x"), "keys/k.json", marked)
	_, err := open[string](t, mem).Set(ctx, "k", "value", immukv.IfSequence(0))
	wantFound(t, mem, err, -1)
	if _, err := open[string](t, mem).Set(ctx, "k", "value", immukv.IfAbsent()); err != nil {
		t.Error(err)
	}
	if r, err := open[string](t, mem).Audit(ctx); err != nil || r.Valid() || r.Findings[0].Kind != immukv.DeleteMarker {
		t.Errorf("the audit found %+v, %v", r, err)
	}
	mem = edit(t, wrote(t, "x", "k"), "keys/k.json", marked)
	db := open[string](t, mem)
	if _, err := db.Set(ctx, "k", "value", immukv.IfAbsent()); err == nil {
		t.Error("the key of the newest entry was taken for absent")
	}
}

// A key object that holds an entry beyond the log's end belongs to a log that is gone.
func TestConditionBeyondLog(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	mem := wrote(t, "k", "x", "k", "x")
	short := func(n int) *memstore.Store {
		return edit(t, mem, logObject, func(v []memstore.Version) []memstore.Version { return v[:n] })
	}
	for name, store := range map[string]*memstore.Store{"cut off": short(2), "gone": short(0)} {
		for _, opt := range []immukv.SetOption{immukv.IfSequence(2), immukv.IfSequence(0), immukv.IfAbsent()} {
			before := len(versionsOf(store.Dump(), logObject))
			_, err := open[string](t, store).Set(ctx, "k", "value", opt)
			if !errors.Is(err, immukv.ErrDiverged) || !strings.Contains(err.Error(), "keys/k.json") {
				t.Errorf("%s: %v", name, err)
			}
			if n := len(versionsOf(store.Dump(), logObject)); n != before {
				t.Errorf("%s: %d entries, and there were %d", name, n, before)
			}
		}
	}
}

// A key object read after an old head may be newer than that.
func TestConditionOnNewerKeyObject(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		mem := wrote(t, "k", "x")
		store := counted(mem)
		old := func() *immukv.Client[string] { // knows a head, and not the key
			db := open[string](t, store)
			if _, err := db.Repair(ctx); err != nil {
				t.Fatal(err)
			}
			return db
		}
		first, second := old(), old()
		other := open[string](t, mem)
		newest := set(t, other, "k", "other").Sequence
		set(t, other, "x", "other")
		store.take()
		_, err := first.Set(ctx, "k", "value", immukv.IfSequence(0))
		wantFound(t, mem, err, newest)
		if _, err := second.Set(ctx, "k", "value", immukv.IfSequence(newest)); err != nil {
			t.Error(err)
		}
		if n := occurrences(t, mem, "value"); n != 1 {
			t.Errorf("the value stands %d times in the log", n)
		}
		audit(t, mem)
	})
}

// Attempts that are spent are a conflict, not a failed condition: it may still hold.
func TestConditionAndSpentAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := wrote(t, "k", "x")
		other := open[string](t, mem)
		busy := &tapped{store: mem, put: func(r request, send func() (backend.Version, error)) (backend.Version, error) {
			if r.name == logObject {
				set(t, other, "x", "other")
			}
			return send()
		}}
		_, err := open[string](t, busy, immukv.WithMaxAttempts(3)).Set(t.Context(), "k", "value", immukv.IfSequence(0))
		if !errors.Is(err, immukv.ErrConflict) || errors.Is(err, immukv.ErrConditionFailed) {
			t.Errorf("error is %v", err)
		}
		if n := len(versionsOf(mem.Dump(), logObject)); n != 2+3 {
			t.Errorf("%d entries", n)
		}
	})
}

// Conditions that make no sense send nothing.
func TestInvalidConditions(t *testing.T) {
	t.Parallel()
	store := counted(memstore.New())
	db := open[string](t, store)
	for _, opts := range [][]immukv.SetOption{
		{immukv.IfSequence(-1)},
		{immukv.IfAbsent(), immukv.IfSequence(0)},
		{immukv.IfSequence(0), immukv.IfSequence(0)},
	} {
		if _, err := db.Set(t.Context(), "k", "value", opts...); !errors.Is(err, immukv.ErrInvalidOption) {
			t.Errorf("%v: %v", opts, err)
		}
	}
	reader := open[string](t, store, immukv.WithReadOnly())
	if _, err := reader.Set(t.Context(), "k", "value", immukv.IfAbsent()); !errors.Is(err, immukv.ErrReadOnly) {
		t.Errorf("read-only: %v", err)
	}
	store.want(t, "all")
}

// strictStore has names under which it makes no objects.
type strictStore struct {
	backend.VersionedStore
	unlisted string
}

func (s strictStore) CheckNewName(name string) error {
	if name == s.unlisted {
		return storeError(backend.ErrInvalidName)
	}
	return nil
}

func (s strictStore) AnyName() backend.VersionedStore {
	return &tapped{store: s.VersionedStore, before: func(_ context.Context, r request) error {
		if r.name == s.unlisted && r.op == "put" {
			return storeError(backend.ErrInvalidName)
		}
		return nil
	}}
}

// An entry that another client appended, and whose key object the store cannot hold,
// stands in the log alone. It is the newest of its key for as long as it is the head, and
// a write of that key fails under any condition; those of other keys succeed.
func TestConditionsBesideEntryInLogAlone(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	mem := memstore.New()
	first := set(t, open[int](t, mem), "k", 1)
	mem = edit(t, mem, logObject, func(v []memstore.Version) []memstore.Version {
		return append(v, forged(t, "CON", 1, first.Hash, backend.VersionID(first.VersionID)))
	})
	db := open[int](t, strictStore{mem, "keys/CON.json"})
	if e, err := db.Get(ctx, "CON", immukv.Consistent()); err != nil || e.Sequence != 1 {
		t.Errorf("got %+v, %v", e, err)
	}
	for _, opt := range []immukv.SetOption{immukv.IfAbsent(), immukv.IfSequence(1)} {
		if _, err := db.Set(ctx, "CON", 2, opt); !errors.Is(err, immukv.ErrInvalidKey) {
			t.Errorf("set: %v", err)
		}
	}
	if _, err := db.Update(ctx, "CON", increment); !errors.Is(err, immukv.ErrInvalidKey) {
		t.Errorf("update: %v", err)
	}
	if _, err := db.Set(ctx, "k", 2, immukv.IfAbsent()); failedCondition(t, err).Found.Sequence != 0 {
		t.Errorf("found %+v", err)
	}
	if e, err := db.Set(ctx, "k", 2, immukv.IfSequence(0)); err != nil || e.Sequence != 2 {
		t.Errorf("set %+v, %v", e, err)
	}
	if e, err := db.Get(ctx, "CON", immukv.Consistent()); !errors.Is(err, immukv.ErrNotFound) {
		t.Errorf("below the head, got %+v, %v", e, err)
	}
}
