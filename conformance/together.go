package conformance

import (
	"cmp"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// maxSpins is how often those who are ready look for the others before they
// sleep: far more than it takes when there are processors for all.
const maxSpins = 1000

// together calls f n times at once, as nearly as can be, and returns the error of
// the first that has one: it is enough to tell, and the others say the same.
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
			// All wait at work: of many that are woken, each comes later. But
			// where processors are scarce, the last may wait for those who do.
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
