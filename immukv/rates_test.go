package immukv_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// How many writes a second one log takes, and how long its writer waits for each. The
// log is serial, and a write is two round trips of it, whoever waits for the second:
// a writer that never pauses gains nothing by having it deferred, one that pauses for
// a round trip between writes has its wait halved. Logs of their own add up.
func TestWriteRates(t *testing.T) {
	t.Parallel()
	deferred := []immukv.Option{immukv.WithDeferredApply()}
	for _, roundTrip := range []time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond} {
		for _, c := range []struct {
			name  string
			logs  int
			pause time.Duration // between writes
			opts  []immukv.Option
			wait  time.Duration
		}{
			{name: "plain", logs: 1, wait: 2 * roundTrip},
			{name: "deferred", logs: 1, opts: deferred, wait: 2 * roundTrip},
			{name: "deferred, with pauses", logs: 1, pause: roundTrip, opts: deferred, wait: roundTrip},
			{name: "plain, on 8 logs", logs: 8, wait: 2 * roundTrip},
		} {
			synctest.Test(t, func(t *testing.T) {
				const writes = 100
				store := far(memstore.New(), roundTrip)
				var writers sync.WaitGroup
				start := time.Now()
				for i := range c.logs {
					db := open[int](t, store, append(c.opts, immukv.WithPrefix(fmt.Sprintf("log-%d/", i)))...)
					writers.Go(func() { writeSteadily(t, db, writes, c.pause, c.wait) })
				}
				writers.Wait()
				// The first write of each, which finds the log empty, takes four.
				took := time.Since(start) - 4*roundTrip
				rate := float64(writes*c.logs) / took.Seconds()
				t.Logf("round trip %v, %s: %.0f writes a second, each a wait of %v", roundTrip, c.name, rate, c.wait)
				if want := writes * 2 * roundTrip; took != want {
					t.Errorf("%d writes took %v, want %v", writes, took, want)
				}
			})
		}
	}
}

// far is a store of which each request takes a round trip.
func far(store *memstore.Store, roundTrip time.Duration) *tapped {
	return &tapped{store: store, before: func(context.Context, request) error {
		time.Sleep(roundTrip)
		return nil
	}}
}

// writeSteadily sets a key once, and then so many times that take the caller so long.
func writeSteadily(t *testing.T, db *immukv.Client[int], writes int, pause, wait time.Duration) {
	set(t, db, "key", 0)
	for i := range writes {
		time.Sleep(pause)
		began := time.Now()
		set(t, db, "key", 1+i)
		if took := time.Since(began); took != wait {
			t.Errorf("set %d took %v, want %v", i, took, wait)
		}
	}
	if err := db.Close(); err != nil { // when the last apply is done
		t.Error(err)
	}
}

// With batching, 64 callers write 64 entries in two round trips and 65 requests.
func TestBatchedWriteRate(t *testing.T) {
	t.Parallel()
	const callers, rounds = 64, 400
	synctest.Test(t, func(t *testing.T) {
		store := counted(far(memstore.New(), roundTrip))
		db := open[int](t, store, immukv.WithBatching(immukv.Batching{}))
		writeFor := func(d time.Duration) (sets float64) {
			var running sync.WaitGroup
			var count atomic.Int64
			start := time.Now()
			for i := range callers {
				running.Go(func() {
					for n := 0; time.Since(start) < d; n++ {
						set(t, db, fmt.Sprint("key-", i), n)
						count.Add(1)
					}
				})
			}
			running.Wait()
			return float64(count.Load())
		}
		writeFor(roundTrip) // and the keys are known
		store.take()
		start := time.Now()
		sets := writeFor(rounds * 2 * roundTrip)
		rate := sets / time.Since(start).Seconds()
		requests := float64(len(store.take())) / sets
		t.Logf("round trip %v, %d callers with batching: %.0f writes a second, %.3f requests each, all of them PUTs: $%.2f a million",
			roundTrip, callers, rate, requests, 5*requests)
		if rate < 1500 || requests > 1.05 {
			t.Error("want at least 1500, and at most 1.05")
		}
	})
}
