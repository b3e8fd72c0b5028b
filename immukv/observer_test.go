package immukv_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// heard notes what an observer is told.
type heard struct {
	mu    sync.Mutex
	lines []string
}

func (h *heard) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, fmt.Sprintf(format, args...))
}

// want checks what was noted since it was called last.
func (h *heard) want(t *testing.T, what string, want ...string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.lines, want) {
		t.Errorf("%s: the observer heard\n%q, want\n%q", what, h.lines, want)
	}
	h.lines = nil
}

type callMark struct{}

// observer is an observer that notes everything.
func (h *heard) observer() immukv.Observer {
	return immukv.Observer{
		Call: func(ctx context.Context, call immukv.Call) (context.Context, func(immukv.CallResult)) {
			return context.WithValue(ctx, callMark{}, call.Method), func(r immukv.CallResult) {
				h.note("%s%s %s: head %d, %s", call.Prefix, call.Method, call.Key, r.Head, kindOf(r.Err))
			}
		},
		Append: func(ctx context.Context, entries int) {
			if entries > 1 {
				h.note("append in %v: %d entries", ctx.Value(callMark{}), entries)
			}
		},
		Watched: func(ctx context.Context, e immukv.Observed, lag time.Duration) {
			h.note("watched in %v: %v, %v behind", ctx.Value(callMark{}), e, lag.Truncate(time.Second)) // times are cut to milliseconds
		},
		Conflict: func(ctx context.Context, e immukv.Observed) { h.note("conflict in %v: %v", ctx.Value(callMark{}), e) },
		Repair: func(ctx context.Context, e immukv.Observed, err error) {
			h.note("repair in %v: %v, %s", ctx.Value(callMark{}), e, kindOf(err))
		},
		Settled: func(ctx context.Context, e immukv.Observed, err error) {
			h.note("settled in %v: %v, %s", ctx.Value(callMark{}), e, kindOf(err))
		},
	}
}

func kindOf(err error) string {
	for _, kind := range []error{immukv.ErrOutcomeUnknown, immukv.ErrConflict, immukv.ErrNotFound, immukv.ErrInvalidKey, immukv.ErrReadOnly, backend.ErrAccessDenied} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	if err != nil {
		return "other error"
	}
	return "done"
}

func TestObserver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		var h heard
		db := open[string](t, mem, immukv.WithObserver(h.observer()), immukv.WithPrefix("p/"))
		other := open[string](t, mem, immukv.WithPrefix("p/"))

		e := set(t, db, "a", "1")
		h.want(t, "set", "p/set a: head 0, done")
		_, _ = db.Get(t.Context(), "none")
		_, _ = db.Set(t.Context(), "/../", "1")
		h.want(t, "errors", "p/get none: head 0, not found", "p/set /../: head 0, invalid key")
		set(t, other, "a", "2")
		set(t, db, "a", "3")
		h.want(t, "lost race", "conflict in set: {a 1}", "p/set a: head 2, done")
		_, _ = db.LogVersion(t.Context(), e.VersionID)
		_, _ = db.VerifyLog(t.Context())
		_, _ = db.Audit(t.Context())
		_, _ = db.Repair(t.Context())
		_, _ = db.Settle(t.Context(), nil)
		h.want(t, "the others", "p/log_version : head 2, done", "p/verify_log : head 2, done", "p/audit : head 2, done",
			"p/repair : head 2, done", "p/settle : head 2, other error")
		for range db.Log(t.Context()) {
			h.note("entry")
			break
		}
		_, _ = collect(db.History(t.Context(), "a"))
		_, _ = collect(db.Keys(t.Context()))
		h.want(t, "sequences", "entry", "p/log : head 2, done", "p/history a: head 2, done", "p/keys : head 2, done")

		crashing := always(mem, "p/keys/b.json", notApplied(storeError(backend.ErrAccessDenied)))
		set(t, open[string](t, crashing, immukv.WithPrefix("p/")), "b", "1")
		denied := open[string](t, crashing, immukv.WithObserver(h.observer()), immukv.WithPrefix("p/"))
		_, _ = denied.Repair(t.Context())
		h.want(t, "failed repair", "repair in repair: {b 3}, access denied", "p/repair : head 3, access denied")
		set(t, db, "a", "4")
		h.want(t, "repair", "conflict in set: {a 3}", "repair in set: {b 3}, done", "p/set a: head 4, done")
		reader := open[string](t, mem, immukv.WithObserver(h.observer()), immukv.WithPrefix("p/"))
		set(t, open[string](t, crashing, immukv.WithPrefix("p/")), "b", "2")
		get(t, reader, "a")
		h.want(t, "repair by a read", "repair in get: {b 5}, done", "p/get a: head 5, done")

		time.Sleep(time.Minute)
		_, err := db.SetAll(t.Context(), immukv.Write[string]{Key: "a", Value: "5"}, immukv.Write[string]{Key: "c", Value: "5"})
		if err != nil {
			t.Error(err)
		}
		h.want(t, "several entries", "conflict in set_all: {a 5}", "append in set_all: 2 entries", "p/set_all : head 7, done")
		time.Sleep(time.Second)
		for e := range db.Watch(t.Context(), immukv.From(6)) {
			if e.Sequence == 7 {
				break
			}
		}
		h.want(t, "watch", "watched in watch: {a 6}, 1s behind", "watched in watch: {c 7}, 1s behind", "p/watch : head 7, done")
	})
}

func TestObserverOfLostAnswers(t *testing.T) {
	t.Parallel()
	lost := storeError(backend.ErrOutcomeUnknown)
	for _, c := range []struct {
		name  string
		fault func(m *mail, other func()) fault
		want  []string
	}{
		{"applied", func(*mail, func()) fault { return appliedBut(lost) }, []string{"settled in set: {a 0}, done", "set a: head 0, done"}},
		{"not applied", func(*mail, func()) fault { return notApplied(lost) }, []string{"settled in set: {a 0}, done", "set a: head 0, done"}},
		{"overtaken", func(_ *mail, other func()) fault { return followedBy(notApplied(lost), other) },
			[]string{"settled in set: {a 0}, other error", "conflict in set: {a 0}", "set a: head 1, done"}},
		{"acknowledged", func(*mail, func()) fault { return nil }, []string{"set a: head 0, done"}},
		{"denied", func(*mail, func()) fault { return notApplied(storeError(backend.ErrAccessDenied)) }, []string{"set a: head -1, access denied"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := memstore.New()
				var h heard
				var m mail
				f := c.fault(&m, func() { set(t, open[string](t, mem), "other", "1") })
				db := open[string](t, onPut(mem, logObject, f), immukv.WithObserver(h.observer()))
				_, _ = db.Set(t.Context(), "a", "1")
				h.want(t, "set", c.want...)
			})
		})
	}
	t.Run("unknown", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			mem := memstore.New()
			var h heard
			var m mail
			db := open[string](t, always(mem, logObject, m.later(lost)), immukv.WithObserver(h.observer()))
			_, err := db.Set(t.Context(), "a", "1")
			unknown := asUnknown(t, err)
			h.want(t, "set", "settled in set: {a 0}, outcome unknown", "set a: head -1, outcome unknown")
			_, _ = db.Settle(t.Context(), unknown)
			h.want(t, "settle, still unknown", "settled in settle: {a 0}, outcome unknown", "settle : head -1, outcome unknown")
			m.deliver()
			if _, err := db.Settle(t.Context(), unknown); err != nil {
				t.Error(err)
			}
			h.want(t, "settle", "settled in settle: {a 0}, done", "settle : head 0, done")
		})
	})
}
