package immukv

import (
	"errors"
	"sync"
)

// both runs two requests at once. It returns the error of the first or, if that is nil,
// of the second.
func both(first, second func() error) error {
	var wg sync.WaitGroup
	var secondErr error
	wg.Go(func() { secondErr = second() })
	err := first()
	wg.Wait()
	if err != nil {
		return err
	}
	return secondErr
}

// wide runs f for each index below n, many at once, and waits for all. It returns the
// error of the first index that has one. An error that is not [ErrDiverged] comes before
// one that is: the latter is about one key, so that reads of other keys may continue.
func (c *core) wide(n int, f func(i int) error) error {
	if n == 1 {
		return f(0)
	}
	errs := make([]error, n)
	var running sync.WaitGroup
	slots := make(chan struct{}, writeWidth)
	for i := range n {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			errs[i] = f(i)
		})
	}
	running.Wait()
	var first error
	for _, err := range errs {
		if first == nil || err != nil && errors.Is(first, ErrDiverged) && !errors.Is(err, ErrDiverged) {
			first = err
		}
	}
	return first
}

// writeWidth is how many key objects a write or repair reads, or writes, at once. Each
// further round is one more round trip before the next append.
const writeWidth = 128
