package immukv_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

const logObject = "_log.json"

// occurrences is how often a value stands in the log.
func occurrences(t *testing.T, store *memstore.Store, value string) (n int) {
	t.Helper()
	for _, f := range stored(t, store, logObject) {
		if string(f.Value) == fmt.Sprintf("%q", value) {
			n++
		}
	}
	return n
}

// checkOutcome checks the promise of Set: with a nil error the entry is in the log
// once; with an unknown outcome, once or not at all; with any other, not at all.
func checkOutcome(t *testing.T, store *memstore.Store, value string, err error) {
	t.Helper()
	least, most := 0, 0
	switch {
	case err == nil:
		least, most = 1, 1
	case errors.Is(err, immukv.ErrOutcomeUnknown):
		most = 1
	}
	if n := occurrences(t, store, value); n < least || n > most {
		t.Errorf("the value stands %d times in the log after the answer: %v", n, err)
	}
}

// asUnknown is the error with which a write of unknown outcome can be settled.
func asUnknown(t *testing.T, err error) *immukv.OutcomeUnknownError {
	t.Helper()
	var unknown *immukv.OutcomeUnknownError
	if !errors.As(err, &unknown) || !errors.Is(err, immukv.ErrOutcomeUnknown) {
		t.Fatalf("outcome is not unknown: %v", err)
	}
	return unknown
}

// lostAnswer is one thing that can happen to a write of the log.
type lostAnswer struct {
	name  string
	fault func(*mail) fault
}

func lostAnswers() []lostAnswer {
	var all []lostAnswer
	add := func(name string, f func(*mail) fault) { all = append(all, lostAnswer{name, f}) }
	for _, answer := range []error{
		backend.ErrOutcomeUnknown, backend.ErrPreconditionFailed, backend.ErrUnavailable, backend.ErrAccessDenied,
	} {
		add("not applied, "+answer.Error(), func(*mail) fault { return notApplied(storeError(answer)) })
		add("applied, "+answer.Error(), func(*mail) fault { return appliedBut(storeError(answer)) })
	}
	add("applied later, outcome unknown", func(m *mail) fault { return m.later(storeError(backend.ErrOutcomeUnknown)) })
	add("an error of no kind, applied", func(*mail) fault { return appliedBut(errors.New("broken pipe")) })
	add("applied twice", func(*mail) fault { return twice })
	return all
}

// followedBy has another client append after the fault took its effect and before
// the writer learns of anything.
func followedBy(f fault, other func()) fault {
	return func(send func() (backend.Version, error)) (backend.Version, error) {
		v, err := f(send)
		other()
		return v, err
	}
}

// Whatever becomes of an append and of its answer, the entry is in the log as the
// answer says, then and after everything that was under way has arrived, and
// asking settles what was left unknown.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for _, lost := range lostAnswers() {
		for _, times := range []int{1, 2, 20} {
			for _, before := range []int{0, 3} {
				for _, others := range []int{0, 1, 3} {
					name := fmt.Sprintf("%s/%d times/%d before/%d others", lost.name, times, before, others)
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						synctest.Test(t, func(t *testing.T) { testLostAnswer(t, lost, times, before, others) })
					})
				}
			}
		}
	}
}

func testLostAnswer(t *testing.T, lost lostAnswer, times, before, others int) {
	mem := memstore.New()
	other := open[string](t, mem)
	for i := range before {
		set(t, other, fmt.Sprintf("k%d", i%2), "before")
	}
	var undelivered mail
	faults := slices.Repeat([]fault{lost.fault(&undelivered)}, times)
	if others > 0 {
		faults[0] = followedBy(faults[0], func() {
			for i := range others {
				set(t, other, fmt.Sprintf("k%d", i%2), "other")
			}
		})
	}
	disturbed := onPut(mem, logObject, faults...)
	db := open[string](t, disturbed)
	e, err := db.Set(t.Context(), "k0", "value")
	checkOutcome(t, mem, "value", err)
	if undelivered.deliver(); t.Failed() {
		return
	}
	checkOutcome(t, mem, "value", err)

	if errors.Is(err, immukv.ErrOutcomeUnknown) {
		unknown := asUnknown(t, err)
		sane := open[string](t, mem)
		e, err = sane.Settle(t.Context(), unknown)
		switch {
		case err == nil:
			if e.WriteID != unknown.WriteID || e.Sequence != unknown.Sequence || e.PreviousVersionID != unknown.Follows {
				t.Errorf("settled as %+v, and it was %+v", e, unknown)
			}
		case !errors.Is(err, immukv.ErrConflict):
			t.Errorf("not settled though the store is sound: %v", err)
		}
		undelivered.deliver()
		checkOutcome(t, mem, "value", err)
	}
	if err == nil {
		if e.Value != "value" || e.Key != "k0" {
			t.Errorf("entry is %+v", e)
		}
		fromLog, logErr := other.LogVersion(t.Context(), e.VersionID)
		if logErr != nil || len(fromLog) != 1 || fromLog[0].WriteID != e.WriteID || fromLog[0].Hash != e.Hash {
			t.Errorf("log has %+v, Set returned %+v, %v", fromLog, e, logErr)
		}
	}
	// The next write goes through and leaves no orphan.
	disturbed.put = nil
	set(t, db, "k0", "after")
	if r := audit(t, mem); len(r.Orphans) > 0 {
		t.Errorf("orphan left: %+v", r.Orphans)
	}
	checkOutcome(t, mem, "value", err)
}

// Whatever becomes of the apply, Set succeeds, the client reads its write,
// and the next activity leaves the key object as it has to be.
func TestApplyLost(t *testing.T) {
	t.Parallel()
	for _, lost := range lostAnswers() {
		for _, times := range []int{1, 2, 8} {
			for _, before := range []int{0, 1} {
				t.Run(fmt.Sprintf("%s/%d times/%d before", lost.name, times, before), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						mem := memstore.New()
						for range before {
							set(t, open[string](t, mem), "k", "before")
						}
						var undelivered mail
						disturbed := onPut(mem, "keys/k.json", slices.Repeat([]fault{lost.fault(&undelivered)}, times)...)
						db := open[string](t, disturbed)
						e := set(t, db, "k", "value")
						if got := get(t, db, "k"); got.Hash != e.Hash {
							t.Errorf("the client does not read its own write: %+v", got)
						}
						if keys := all(t, db.Keys(t.Context())); !slices.Equal(keys, []string{"k"}) {
							t.Errorf("keys are %q", keys)
						}
						if got := sequences(all(t, db.History(t.Context(), "k"))); len(got) != before+1 {
							t.Errorf("history is %v", got)
						}
						audit(t, mem)
						undelivered.deliver()
						other := open[string](t, mem)
						if got := get(t, other, "k"); got.Hash != e.Hash {
							t.Errorf("another client's first read gives %+v", got)
						}
						undelivered.deliver()
						disturbed.put = nil
						set(t, db, "k", "after")
						if r := audit(t, mem); len(r.Orphans) > 0 || r.Entries != int64(before)+2 {
							t.Errorf("report is %+v", r)
						}
						if n := len(stored(t, mem, "keys/k.json")); n != before+2 {
							t.Errorf("the key object has %d versions, want %d", n, before+2)
						}
					})
				})
			}
		}
	}
}

// An apply that fails for a moment is tried again before Set returns.
func TestApplyRetried(t *testing.T) {
	t.Parallel()
	for _, why := range []error{backend.ErrOutcomeUnknown, backend.ErrUnavailable, backend.ErrPreconditionFailed} {
		synctest.Test(t, func(t *testing.T) {
			mem := memstore.New()
			set(t, open[string](t, onPut(mem, "keys/k.json", notApplied(storeError(why)))), "k", "value")
			if r := audit(t, mem); len(r.Orphans) > 0 {
				t.Errorf("%v: orphan left", why)
			}
		})
	}
}

// An entry found in the log after its answer was lost, whose apply then
// fails, is one that the client's own reads see.
func TestAppendAndApplyLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		db := open[string](t, deniedObject(onPut(mem, logObject, appliedBut(storeError(backend.ErrOutcomeUnknown))), "keys/k.json"),
			immukv.WithRepairCheckInterval(-1))
		e := set(t, db, "k", "value")
		if got := get(t, db, "k"); got.Hash != e.Hash {
			t.Errorf("the client does not read its own write: %+v", got)
		}
	})
}

// Where others have appended to it, an entry has its apply already.
func TestNothingLeftToApply(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		other := open[string](t, mem)
		store := counted(onPut(mem, logObject, followedBy(appliedBut(storeError(backend.ErrOutcomeUnknown)), func() { set(t, other, "x", "other") })))
		set(t, open[string](t, store), "k", "value")
		if n := writes(store.take()); n != 1 {
			t.Errorf("%d writes sent", n)
		}
		audit(t, mem)
	})
}

// A context that ends while an append is under way leaves its outcome unknown;
// one that ends before leaves nothing.
func TestCancelledAppend(t *testing.T) {
	t.Parallel()
	for _, lost := range lostAnswers() {
		t.Run(lost.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				mem := memstore.New()
				set(t, open[string](t, mem), "k", "before")
				ctx, cancel := context.WithCancel(t.Context())
				var undelivered mail
				db := open[string](t, onPut(mem, logObject, followedBy(lost.fault(&undelivered), cancel)))
				_, err := db.Set(ctx, "k", "value")
				unknown := asUnknown(t, err)
				if !errors.Is(err, context.Canceled) {
					t.Errorf("the context's error is not visible: %v", err)
				}
				e, err := db.Settle(t.Context(), unknown)
				if err != nil || e.Value != "value" {
					t.Errorf("settled as %+v, %v", e, err)
				}
				undelivered.deliver()
				checkOutcome(t, mem, "value", err)
				again, err := db.Settle(t.Context(), unknown)
				if err != nil || again.VersionID != e.VersionID {
					t.Errorf("settled a second time as %+v, %v", again, err)
				}
				if _, err := db.Set(ctx, "k", "value 2"); !errors.Is(err, context.Canceled) || errors.Is(err, immukv.ErrOutcomeUnknown) {
					t.Errorf("set with an ended context: %v", err)
				}
				checkOutcome(t, mem, "value 2", context.Canceled)
				audit(t, mem)
			})
		})
	}
}

// A store that cannot name what it wrote is an error that names the clause, and the write
// is not reported as failed.
func TestUnsupportedStore(t *testing.T) {
	t.Parallel()
	mem := memstore.New()
	refusal := &backend.UnsupportedError{Clause: "S4", Problem: "the version ID is null", Remedy: "enable versioning"}
	store := counted(onPut(mem, logObject, appliedBut(storeError(refusal))))
	_, err := open[string](t, store).Set(t.Context(), "k", "value")
	var unsupported *backend.UnsupportedError
	if !errors.Is(err, backend.ErrUnsupported) || !errors.As(err, &unsupported) || unsupported.Clause != "S4" {
		t.Errorf("error is %v", err)
	}
	checkOutcome(t, mem, "value", err)
	if n := writes(store.take()); n != 1 {
		t.Errorf("%d writes were sent to it", n)
	}
}

// A store that asks for a pause gets it, and one that is never ready is reported
// as such: not as a lost race, nor as an unknown outcome.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		busy := &backend.Error{Op: "put", Name: logObject, Kind: backend.ErrUnavailable, RetryAfter: 30 * time.Second}
		mem := memstore.New()
		start := time.Now()
		set(t, open[string](t, onPut(mem, logObject, notApplied(busy))), "k", "value")
		if waited := time.Since(start); waited < 30*time.Second || waited > 31*time.Second {
			t.Errorf("waited %v", waited)
		}
		_, err := open[string](t, always(mem, logObject, notApplied(busy))).Set(t.Context(), "k", "value 2")
		if !errors.Is(err, backend.ErrUnavailable) || errors.Is(err, immukv.ErrConflict) || errors.Is(err, immukv.ErrOutcomeUnknown) {
			t.Errorf("error is %v", err)
		}
		checkOutcome(t, mem, "value 2", err)
	})
}

// A precondition that fails for no reason to be seen in the log ends as a conflict.
func TestPreconditionNeverHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		_, err := open[string](t, always(mem, logObject, notApplied(storeError(backend.ErrPreconditionFailed)))).Set(t.Context(), "k", "value")
		if !errors.Is(err, immukv.ErrConflict) || !errors.Is(err, backend.ErrPreconditionFailed) {
			t.Errorf("error is %v", err)
		}
		checkOutcome(t, mem, "value", err)
	})
}

// While the log cannot be read, what became of an append cannot be told.
func TestLookFails(t *testing.T) {
	t.Parallel()
	for _, answer := range []error{backend.ErrOutcomeUnknown, backend.ErrPreconditionFailed, backend.ErrUnavailable, backend.ErrAccessDenied} {
		for _, why := range []error{backend.ErrAccessDenied, backend.ErrUnavailable, errors.New("connection reset")} {
			t.Run(answer.Error()+"/"+why.Error(), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					mem := memstore.New()
					flaky := onPut(mem, logObject, appliedBut(storeError(answer)))
					db := open[string](t, flaky)
					set(t, open[string](t, mem), "k", "before")
					get(t, db, "k")
					flaky.before = func(_ context.Context, r request) error {
						if r.op == "get" {
							return storeError(why)
						}
						return nil
					}
					_, err := db.Set(t.Context(), "k", "value")
					checkOutcome(t, mem, "value", err)
					flaky.before = nil
					if e, err := db.Settle(t.Context(), asUnknown(t, err)); err != nil || e.Value != "value" {
						t.Errorf("settled as %+v, %v", e, err)
					}
				})
			})
		}
	}
}
