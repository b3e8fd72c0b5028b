package immukv_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// busyBatcher writes with four callers until stop is called, or the client is closed.
func busyBatcher(t *testing.T, db *immukv.Client[int]) (stop func()) {
	ended := make(chan struct{})
	var running sync.WaitGroup
	for i := range 4 {
		running.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-ended:
					return
				default:
				}
				if _, err := db.Set(t.Context(), fmt.Sprint("busy-", i), n); errors.Is(err, immukv.ErrClosed) {
					return
				} else if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	return func() {
		close(ended)
		running.Wait()
	}
}

// restingBatcher returns a client that batches and rests, one look into the rest, and the
// function that stops its callers.
func restingBatcher(t *testing.T, mem *memstore.Store) (db *immukv.Client[int], store *counter, stop func()) {
	store = counted(far(mem, roundTrip))
	db = open[int](t, store, immukv.WithBatching(immukv.Batching{}))
	stop = busyBatcher(t, db)
	time.Sleep(10 * roundTrip)
	set(t, open[int](t, mem), "other", 1)
	for start := time.Now(); store.ofLog()["head"] == 0; time.Sleep(time.Millisecond) {
		if time.Since(start) > 100*roundTrip {
			stop()
			t.Fatal("it does not rest")
		}
	}
	time.Sleep(roundTrip) // the look is answered
	return db, store, stop
}

// ofLog counts the requests of the log since the last call, by operation.
func (c *counter) ofLog() map[string]int {
	counts := make(map[string]int)
	for _, r := range c.take() {
		if r.name == logObject {
			counts[r.op]++
		}
	}
	return counts
}

// A client that batches rests only after another client has written, and no more once
// nobody writes in its rests.
func TestRests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		store := counted(far(mem, roundTrip))
		db := open[int](t, store, immukv.WithBatching(immukv.Batching{}))
		other := open[int](t, mem)
		looks := func() int {
			counts := store.ofLog()
			return counts["get"] + counts["head"]
		}
		stop := busyBatcher(t, db)
		time.Sleep(100 * roundTrip)
		if n := looks(); n != 1 {
			t.Errorf("alone, it looked at the log %d times, want once", n)
		}
		for i := range 3 {
			set(t, other, "other", i)
			time.Sleep(100 * roundTrip)
			// The lookup after the lost race is one look, and each rest in vain is four.
			if n := looks(); n != 1+2*4 {
				t.Errorf("after another client's write, it looked at the log %d times, want 9", n)
			}
		}
		stop()
		audit(t, mem)
	})
}

// A rest ends at the first look after another client has appended.
func TestAppendEndsRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		_, store, stop := restingBatcher(t, mem)
		set(t, open[int](t, mem), "other", 2)
		looks := 0
		for puts := 0; puts == 0; {
			time.Sleep(time.Millisecond)
			counts := store.ofLog()
			looks += counts["head"]
			puts = counts["put"]
		}
		if looks != 1 {
			t.Errorf("it looked %d times, want once", looks)
		}
		stop()
		audit(t, mem)
	})
}

// A write after a time in which others could append does not wait.
func TestIdleClientDoesNotRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		db := open[int](t, far(mem, roundTrip), immukv.WithBatching(immukv.Batching{}))
		set(t, db, "key", 0)
		set(t, open[int](t, mem), "other", 1)
		for i := range 4 { // the first loses a race; then the turn ends
			set(t, db, "key", i)
		}
		time.Sleep(10 * roundTrip)
		began := time.Now()
		set(t, db, "key", 4)
		if took := time.Since(began); took != 2*roundTrip {
			t.Errorf("a write after %v without one took %v, want two round trips", 10*roundTrip, took)
		}
	})
}

// Close ends a rest, and those who wait for its end.
func TestCloseEndsRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		db, _, stop := restingBatcher(t, mem)
		began := time.Now()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		stop()
		if took := time.Since(began); took != 0 {
			t.Errorf("the callers waited %v", took)
		}
		audit(t, mem)
	})
}
