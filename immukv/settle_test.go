package immukv_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// What is unknown stays so for as long as a copy may be under way, whatever it was
// that kept the client from finding out.
func TestSettleStaysUnknown(t *testing.T) {
	t.Parallel()
	for _, why := range []error{backend.ErrAccessDenied, backend.ErrUnavailable, backend.ErrPreconditionFailed, backend.ErrDamaged} {
		t.Run(why.Error(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				mem := memstore.New()
				set(t, open[string](t, mem), "k", "before")
				var undelivered mail
				flaky := onPut(mem, logObject, undelivered.later(storeError(backend.ErrOutcomeUnknown)))
				db := open[string](t, flaky)
				get(t, db, "k") // knows the head from here on
				flaky.before = func(_ context.Context, r request) error {
					if r.op == "get" {
						return storeError(why)
					}
					return nil
				}
				_, err := db.Set(t.Context(), "k", "value")
				unknown := asUnknown(t, err)
				if !errors.Is(err, why) {
					t.Errorf("the reason is not visible: %v", err)
				}
				flaky.before = nil
				flaky.put = func(r request, _ func() (backend.Version, error)) (backend.Version, error) {
					return backend.Version{}, storeError(backend.ErrAccessDenied)
				}
				_, err = db.Settle(t.Context(), unknown)
				unknown = asUnknown(t, err)
				if undelivered.deliver() != 1 {
					t.Fatal("the late copy did not apply")
				}
				flaky.put = nil
				if e, err := db.Settle(t.Context(), unknown); err != nil || e.WriteID != unknown.WriteID {
					t.Errorf("settled as %+v, %v", e, err)
				}
				audit(t, mem)
			})
		})
	}
}

// A write that lost the race while its answer was lost is settled as one that
// never applies, and does not.
func TestSettleLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		other := open[string](t, mem)
		set(t, other, "k", "before")
		var undelivered mail
		ctx, cancel := context.WithCancel(t.Context())
		db := open[string](t, onPut(mem, logObject, followedBy(undelivered.later(storeError(backend.ErrOutcomeUnknown)), cancel)))
		_, err := db.Set(ctx, "k", "value")
		unknown := asUnknown(t, err)
		for i := range 3 {
			set(t, other, fmt.Sprint("other", i), "other")
		}
		_, err = db.Settle(t.Context(), unknown)
		if !errors.Is(err, immukv.ErrConflict) || errors.Is(err, immukv.ErrOutcomeUnknown) {
			t.Errorf("settled as %v", err)
		}
		if undelivered.deliver() != 0 {
			t.Error("the late copy applied after all")
		}
		checkOutcome(t, mem, "value", err)
		audit(t, mem)
	})
}

// A write is settled as what it was, whichever client asks.
func TestSettleInOtherDialect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		ctx, cancel := context.WithCancel(t.Context())
		store := onPut(mem, logObject, followedBy(notApplied(storeError(backend.ErrOutcomeUnknown)), cancel))
		_, err := open[float64](t, store, immukv.WithDialect(immukv.TypeScript)).Set(ctx, "k", 1e-7)
		e, err := open[float64](t, mem).Settle(t.Context(), asUnknown(t, err))
		if err != nil || e.Dialect != immukv.TypeScript || e.Value != 1e-7 || string(e.JSON) != "1e-7" {
			t.Errorf("settled as %+v, %v", e, err)
		}
		if r := audit(t, mem); len(r.Orphans) > 0 || r.Dialects[0] != immukv.TypeScript {
			t.Errorf("report is %+v", r)
		}
	})
}

// With what the error tells, anybody can search the log for the write, in another
// process too.
func TestUnknownAfterRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		set(t, open[string](t, mem), "k", "before")
		ctx, cancel := context.WithCancel(t.Context())
		db := open[string](t, onPut(mem, logObject, followedBy(appliedBut(storeError(backend.ErrOutcomeUnknown)), cancel)))
		_, err := db.Set(ctx, "k", "value")
		unknown := asUnknown(t, err)

		restarted := open[string](t, mem)
		set(t, restarted, "k", "after")
		for e, err := range restarted.Log(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Sequence == unknown.Sequence {
				if e.WriteID != unknown.WriteID || e.Key != unknown.Key || e.PreviousVersionID != unknown.Follows {
					t.Errorf("found %+v, want %+v", e, unknown)
				}
				return
			}
		}
		t.Error("not found in the log")
	})
}

func TestSettleRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		ctx, cancel := context.WithCancel(t.Context())
		db := open[string](t, onPut(mem, logObject, followedBy(notApplied(storeError(backend.ErrOutcomeUnknown)), cancel)))
		_, err := db.Set(ctx, "k", "value")
		unknown := asUnknown(t, err)

		for _, bad := range []*immukv.OutcomeUnknownError{nil, {Key: "k", WriteID: "w"}} {
			if _, err := db.Settle(t.Context(), bad); !errors.Is(err, immukv.ErrInvalidOption) {
				t.Errorf("settle %v: %v", bad, err)
			}
		}
		readOnly := counted(mem)
		if _, err := open[string](t, readOnly, immukv.WithReadOnly()).Settle(t.Context(), unknown); !errors.Is(err, immukv.ErrReadOnly) {
			t.Errorf("read-only client settles: %v", err)
		}
		if n := writes(readOnly.take()); n > 0 {
			t.Errorf("read-only client sent %d writes", n)
		}
		closed := open[string](t, mem)
		if err := closed.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := closed.Settle(t.Context(), unknown); !errors.Is(err, immukv.ErrClosed) {
			t.Errorf("closed client settles: %v", err)
		}
		if _, err := db.Settle(ctx, unknown); !errors.Is(err, context.Canceled) {
			t.Errorf("settle with an ended context: %v", err)
		}
		if n := len(stored(t, mem, logObject)); n != 0 {
			t.Errorf("log has %d entries", n)
		}
	})
}
