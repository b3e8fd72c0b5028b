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

// A client that batches rests only after another client has written, and no more once
// nobody writes in its rests.
func TestRests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		store := counted(far(mem, roundTrip))
		db := open[int](t, store, immukv.WithBatching(immukv.Batching{}))
		other := open[int](t, mem)
		reads := func() (n int) {
			for _, r := range store.take() {
				if r.op == "get" && r.name == logObject {
					n++
				}
			}
			return n
		}
		stop := busyBatcher(t, db)
		time.Sleep(100 * roundTrip)
		if n := reads(); n != 1 {
			t.Errorf("alone, it read the head %d times, want once", n)
		}
		for i := range 3 {
			set(t, other, "other", i)
			time.Sleep(100 * roundTrip)
			// The lookup after the lost race reads it, and then each rest in vain.
			if n := reads(); n != 3 {
				t.Errorf("after another client's write, it read the head %d times, want 3", n)
			}
		}
		stop()
		audit(t, mem)
	})
}

// Close ends a rest, and those who wait for its end.
func TestCloseEndsRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		store := counted(far(mem, roundTrip))
		db := open[int](t, store, immukv.WithBatching(immukv.Batching{}))
		stop := busyBatcher(t, db)
		time.Sleep(10 * roundTrip)
		set(t, open[int](t, mem), "other", 1)
		for idle := 0; idle < 2; { // it rests: no request for two round trips
			store.take()
			time.Sleep(roundTrip + time.Millisecond)
			if len(store.take()) == 0 {
				idle++
			} else {
				idle = 0
			}
		}
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
