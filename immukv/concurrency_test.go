package immukv_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// A client, and several that share a store, take every call from any number of
// goroutines at once.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	for _, deferred := range []bool{false, true} {
		t.Run(fmt.Sprint("deferred=", deferred), func(t *testing.T) {
			t.Parallel()
			mem := memstore.New()
			var opts []immukv.Option
			if deferred {
				opts = append(opts, immukv.WithDeferredApply())
			}
			opts = append(opts, immukv.WithRepairCheckInterval(0), immukv.WithConcurrency(4))
			clients := []*immukv.Client[int]{open[int](t, mem, opts...), open[int](t, mem, opts...)}
			var mu sync.Mutex
			acknowledged := make(map[string]bool)
			var wg sync.WaitGroup
			for g := range 12 {
				wg.Go(func() {
					random := rand.New(rand.NewPCG(1, uint64(g)))
					db := clients[g%len(clients)]
					for i := range 12 {
						e, err := oneCall(t.Context(), db, random, g*100+i)
						if err != nil {
							t.Error(err)
						}
						if e.WriteID != "" {
							mu.Lock()
							acknowledged[e.WriteID] = true
							mu.Unlock()
						}
					}
				})
			}
			wg.Wait()
			for _, db := range clients {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			}
			for _, f := range stored(t, mem, logObject) {
				delete(acknowledged, f.WriteID)
			}
			if len(acknowledged) > 0 {
				t.Errorf("%d acknowledged writes are not in the log", len(acknowledged))
			}
			audit(t, mem)
		})
	}
}

// oneCall makes a call drawn by chance, and returns the entry if it was a write.
func oneCall(ctx context.Context, db *immukv.Client[int], random *rand.Rand, value int) (immukv.Entry[int], error) {
	key := fmt.Sprint("k", random.IntN(4))
	var none immukv.Entry[int]
	valid := func(r *immukv.Report, err error) (immukv.Entry[int], error) {
		if err == nil {
			err = r.Err()
		}
		return none, err
	}
	switch random.IntN(10) {
	default:
		return db.Set(ctx, key, value)
	case 4:
		e, err := db.Get(ctx, key)
		if err == nil {
			err = db.Verify(e)
		}
		if errors.Is(err, immukv.ErrNotFound) {
			err = nil
		}
		return none, err
	case 5:
		entries, err := collect(db.History(ctx, key))
		if got := sequences(entries); !slices.IsSortedFunc(got, func(a, b int64) int { return int(b - a) }) {
			err = fmt.Errorf("history is %v", got)
		}
		return none, err
	case 6:
		n := 0
		for _, err := range db.Log(ctx) {
			if n++; n > 5 || err != nil {
				return none, err
			}
		}
		return none, nil
	case 7:
		keys, err := collect(db.Keys(ctx))
		if !slices.IsSorted(keys) {
			err = fmt.Errorf("keys are %q", keys)
		}
		return none, err
	case 8:
		if random.IntN(2) == 0 {
			return valid(db.Audit(ctx))
		}
		return valid(db.VerifyLog(ctx))
	case 9:
		_, err := db.Repair(ctx)
		return none, err
	}
}

// A consumer that stops early, and a context that ends on the way, leave nothing
// running, and the end of the context is the error.
func TestSequencesLeaveNothing(t *testing.T) {
	mem := filled(t, 200, 2)
	ignore := goleak.IgnoreCurrent()
	slow := &tapped{store: mem, page: 20, before: func(ctx context.Context, _ request) error {
		select {
		case <-time.After(time.Millisecond):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
	for name, run := range map[string]func(context.Context, *immukv.Client[int], func() bool) error{
		"history": func(ctx context.Context, db *immukv.Client[int], more func() bool) (err error) {
			for _, err = range db.History(ctx, "k0") {
				if err != nil || !more() {
					break
				}
			}
			return err
		},
		"log": func(ctx context.Context, db *immukv.Client[int], more func() bool) (err error) {
			for _, err = range db.Log(ctx) {
				if err != nil || !more() {
					break
				}
			}
			return err
		},
		"keys": func(ctx context.Context, db *immukv.Client[int], more func() bool) (err error) {
			for _, err = range db.Keys(ctx) {
				if err != nil || !more() {
					break
				}
			}
			return err
		},
		"audit": func(ctx context.Context, db *immukv.Client[int], more func() bool) error {
			_, err := db.Audit(ctx, immukv.Progress(func(int64, int64) { more() }))
			return err
		},
	} {
		db := open[int](t, slow)
		if err := run(t.Context(), db, func() bool { return false }); err != nil {
			t.Errorf("%s: stopped early: %v", name, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err := run(ctx, db, func() bool { cancel(); return true })
		if name != "keys" && !errors.Is(err, context.Canceled) { // two keys are one page
			t.Errorf("%s: cancelled: %v", name, err)
		}
		cancel()
	}
	goleak.VerifyNone(t, ignore)
}

// No writer waits for the lock longer than its context lasts, and the lock passes to the
// next.
func TestQueueHonoursContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		release := make(chan struct{})
		hung := &tapped{store: mem, put: func(_ request, send func() (backend.Version, error)) (backend.Version, error) {
			<-release
			return send()
		}}
		db := open[string](t, hung)
		var wg sync.WaitGroup
		wg.Go(func() { set(t, db, "a", "first") })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := db.Set(ctx, "b", "impatient")
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, immukv.ErrOutcomeUnknown) {
			t.Errorf("error is %v", err)
		}
		closed := make(chan struct{})
		wg.Go(func() {
			_ = db.Close()
			close(closed)
		})
		synctest.Wait()
		select {
		case <-closed:
			t.Error("Close did not wait for the write under way")
		default:
		}
		wg.Go(func() {
			if _, err := db.Set(t.Context(), "c", "too late"); !errors.Is(err, immukv.ErrClosed) {
				t.Errorf("a write that waited while the client was closed: %v", err)
			}
		})
		synctest.Wait()
		close(release)
		wg.Wait()
		checkOutcome(t, mem, "impatient", context.Canceled)
		audit(t, mem)
	})
}
