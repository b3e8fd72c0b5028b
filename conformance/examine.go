package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// checkLimit bounds one check. Thousands of writes, one after another, take
// minutes on a network.
const checkLimit = 30 * time.Minute

// grace is how long a check has to end after its context has ended. After that,
// a call that ignores the context is abandoned.
const grace = 10 * time.Second

// overdueAtMost is how many checks may time out on calls that do not return.
// The suite then skips the checks that have not begun.
const overdueAtMost = 3

// parallelChecks is how many checks run side by side, each on a store of its
// own.
const parallelChecks = 8

// suite runs the checks that a harness selects.
type suite struct {
	Harness
	checks  []check
	overdue atomic.Int64 // checks with a call that did not return
}

// newSuite returns an error if the harness is invalid.
func newSuite(h Harness) (*suite, error) {
	if err := h.validate(); err != nil {
		return nil, err
	}
	checks, err := h.selected()
	if err != nil {
		return nil, err
	}
	return &suite{Harness: h, checks: checks}, nil
}

// Examine runs the suite without package testing. It calls report after each
// check, one call at a time, and returns all results in the order of the
// clauses. The error reports an invalid harness. A store that fails checks is
// not an error.
//
// A call of the store that does not return within two minutes fails its check.
// If it does not return after its context has ended either, Examine abandons
// the goroutine that made the call.
func Examine(ctx context.Context, h Harness, report func(Result)) ([]Result, error) {
	s, err := newSuite(h)
	if err != nil {
		return nil, err
	}
	results := make([]Result, len(s.checks))
	var mu sync.Mutex
	var running errgroup.Group
	running.SetLimit(parallelChecks)
	for i, c := range s.checks {
		running.Go(func() error {
			result := s.run(ctx, c)
			mu.Lock()
			defer mu.Unlock()
			results[i] = result
			report(result)
			return nil
		})
	}
	return results, running.Wait()
}

// run runs one check on a store made for it, for a limited time.
func (s *suite) run(ctx context.Context, c check) Result {
	result := Result{Check: c.id(), Clause: c.clause, Title: c.title}
	if n := s.overdue.Load(); n >= overdueAtMost {
		result.fill(fmt.Errorf("not tried: in %d earlier checks, a call did not return", n))
		return result
	}
	ctx, cancel := context.WithTimeoutCause(ctx, checkLimit, overdue(fmt.Sprintf("the check did not end within %v", checkLimit)))
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	w := &watch{giveUp: giveUp}
	ended := make(chan Result, 1)
	go func() { ended <- s.examine(ctx, c, w, result) }()

	left := false
	select {
	case result = <-ended:
	case <-ctx.Done():
		select {
		case result = <-ended:
		case <-time.After(grace):
			left = true
		}
	}
	result.Requests, result.Unavailable = int(w.requests.Load()), int(w.unavailable.Load())
	cause := context.Cause(ctx)
	late := errors.As(cause, new(overdue))
	switch {
	case left:
		result.fill(fmt.Errorf("%w; then the check did not end, either, and its goroutine was abandoned", cause))
	case late, errors.As(cause, new(*mismatch)):
		result.fill(cause)
	}
	if left || late {
		s.overdue.Add(1)
	}
	return result
}

// examine makes a store and runs a check on it.
func (s *suite) examine(ctx context.Context, c check, w *watch, result Result) Result {
	var store Store
	err := w.doing("make a store", func() error {
		return safely(func() (err error) {
			store, err = s.New(ctx)
			return err
		})
	})
	switch {
	case err != nil:
		result.fill(fmt.Errorf("the harness cannot make a store: %w", err))
		return result
	case store.Open == nil:
		result.fill(errors.New("the harness makes a store that cannot be opened: Open is nil"))
		return result
	}
	e := newEnv(&s.Harness, c, store, w)
	result.fill(s.outcome(ctx, c, e))
	if err := safely(func() error { return e.close(ctx) }); err != nil && result.Outcome != Fail {
		result.fill(err)
	}
	return result
}

// outcome runs a check if the store has the facilities that it needs.
func (s *suite) outcome(ctx context.Context, c check, e *env) error {
	for _, f := range c.needs {
		reason, lacking := s.Lacks[f]
		switch {
		case lacking && e.store.has(f):
			return fmt.Errorf("the harness has %s, but declares it to be lacking", f)
		case lacking:
			return inapplicable(reason)
		case !e.store.has(f):
			return fmt.Errorf("the harness has no %s, and does not declare that it is lacking", f)
		}
	}
	err := safely(func() error {
		if err := e.openStores(ctx, max(2, c.handles)); err != nil {
			return err
		}
		return c.run(ctx, e)
	})
	if err != nil {
		return err
	}
	if e.watch.requests.Load() == 0 {
		return errors.New("the check passed without a request to the store, which is a bug in the suite")
	}
	return e.watch.malformedError()
}
