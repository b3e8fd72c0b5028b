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

// startLine is where a number of goroutines wait for each other, so that they go on
// at the same time. Each of them comes to it once.
type startLine struct {
	missing atomic.Int64  // how many have not come
	all     chan struct{} // closed when all have come
}

func newStartLine(n int) *startLine {
	l := &startLine{all: make(chan struct{})}
	l.missing.Store(int64(n))
	return l
}

// come counts one goroutine in, which may go on without the others.
func (l *startLine) come() {
	if l.missing.Add(-1) == 0 {
		close(l.all)
	}
}

// wait waits for all to come. It polls, because goroutines that are woken start one
// after another. With few processors the last one may have to wait for those that poll.
func (l *startLine) wait() {
	for spins := 0; l.missing.Load() > 0; spins++ {
		if spins == maxSpins {
			<-l.all
		}
		runtime.Gosched()
	}
}

// together calls f n times, as nearly at the same time as possible. It returns
// the first error in the order of the calls, because the others say the same.
func together(n int, f func(i int) error) error {
	errs := make([]error, n)
	line := newStartLine(n)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			line.come()
			line.wait()
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
