package conformance

import (
	"cmp"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// maxSpins is how often a goroutine that is ready polls for the others before
// it sleeps: far more than it takes when there is a processor for each.
const maxSpins = 1000

// together calls f n times, as nearly at the same time as possible. It returns
// the first error in the order of the calls, because the others say the same.
func together(n int, f func(i int) error) error {
	errs := make([]error, n)
	var ready atomic.Int64
	var running sync.WaitGroup
	all := make(chan struct{})
	for i := range n {
		running.Go(func() {
			if ready.Add(1) == int64(n) {
				close(all)
			}
			// All wait by polling, because goroutines that are woken start one
			// after another. With few processors the last one may have to wait
			// for those that poll.
			for spins := 0; ready.Load() < int64(n); spins++ {
				if spins == maxSpins {
					<-all
				}
				runtime.Gosched()
			}
			errs[i] = safely(func() error { return f(i) })
		})
	}
	running.Wait()
	return cmp.Or(errs...)
}

// safely turns a panic of the store into an error.
func safely(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f()
}
