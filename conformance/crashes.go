package conformance

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/sim"
)

// The protocol with processes that die and answers that get lost, at every
// request in turn.
var crashChecks = []check{
	{
		clause: "I2", name: "lost-answers-everywhere", cost: cost{fixed: 4000},
		title: "whichever request of a write fails, loses its answer or applies late, what the caller was told holds, and the next write commits",
		run: func(ctx context.Context, e *env) error {
			return e.injected(ctx, sim.Injections(answerFaults...))
		},
	},
	{
		clause: "I4", name: "crash-everywhere", cost: cost{fixed: 800},
		title: "a client that dies at any request leaves at most one orphan, at the head, and the next write repairs it",
		run: func(ctx context.Context, e *env) error {
			return e.injected(ctx, sim.Crashes())
		},
	},
	{
		clause: "I13", name: "after-an-outage", cost: cost{fixed: 60},
		title: "a client that was open during an outage commits its next write, and leaves no orphan",
		run:   checkAfterOutage,
	},
}

// answerFaults are what can become of a request without a scheduler, save those
// that take time to answer: a wait that the store asks for is the simulator's to
// play, which has a clock of its own.
var answerFaults = []sim.Fault{
	{Effect: sim.Never, Answer: sim.Lost},
	{Effect: sim.Now, Answer: sim.Lost},
	{Effect: sim.Again, Answer: sim.Own},
	{Effect: sim.Again, Answer: sim.Lost},
	{Effect: sim.Copy, Answer: sim.Own},
	{Effect: sim.Never, Answer: sim.Denied},
	{Effect: sim.Now, Answer: sim.Cancelled},
	{Effect: sim.Never, Answer: sim.Cancelled},
	{Effect: sim.Now, Answer: sim.Short},
	{Effect: sim.Now, Answer: sim.Hollow},
}

// injected runs a short program once for each injection, each under a prefix
// of its own, and looks whether all is well afterwards.
func (e *env) injected(ctx context.Context, injections iter.Seq[*sim.Injection]) error {
	stores, err := e.openAll(ctx, 2)
	if err != nil {
		return err
	}
	n := 0
	for injection := range injections {
		n++
		prefix := fmt.Sprintf("%d/", n)
		l := &ledger{}
		_ = injection.Run(ctx, stores[0], func(ctx context.Context, s backend.VersionedStore) error { // what it is told is in the ledger
			return l.program(ctx, s, prefix)
		})
		if err := sound(ctx, stores[1], prefix, l); err != nil {
			return fmt.Errorf("%v: %w", injection, err)
		}
	}
	if n < 10 {
		return fmt.Errorf("only %d places found at which something can go wrong", n)
	}
	return nil
}

// program is the life of a client: a new key, the same again, another.
func (l *ledger) program(ctx context.Context, s backend.VersionedStore, prefix string) error {
	c, err := connect(ctx, s, prefix)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // it may be dead
	for i, key := range []string{"a", "a", "b"} {
		// A write that fails does not keep the client from the next.
		err := l.set(ctx, c, key, fmt.Sprintf("%swrite %d", prefix, i))
		if unknown, ok := errors.AsType[*immukv.OutcomeUnknownError](err); ok && ctx.Err() == nil {
			if err := l.settle(ctx, c, unknown); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle asks what became of the last write, and records the answer if there
// is one.
func (l *ledger) settle(ctx context.Context, c *client, unknown *immukv.OutcomeUnknownError) error {
	e, err := c.Settle(ctx, unknown)
	if err != nil && !errors.Is(err, immukv.ErrConflict) {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.attempts[len(l.attempts)-1]
	last.entry, last.err = e, err
	return nil
}

// outage is a store that answers nothing while it is down.
type outage struct {
	backend.VersionedStore
	down   atomic.Bool
	failed func() // called when a request gets no answer
}

var errOutage = errors.New("no answer: the store is down")

func (o *outage) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if o.down.Load() {
		o.failed()
		return backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrOutcomeUnknown, Err: errOutage}
	}
	return o.VersionedStore.Put(ctx, name, body, cond)
}

func (o *outage) Get(ctx context.Context, name string) (backend.Object, error) {
	if o.down.Load() {
		o.failed()
		return backend.Object{}, &backend.Error{Op: "get", Name: name, Err: errOutage}
	}
	return o.VersionedStore.Get(ctx, name)
}

func (o *outage) Head(ctx context.Context, name string) (backend.Version, error) {
	if o.down.Load() {
		o.failed()
		return backend.Version{}, &backend.Error{Op: "head", Name: name, Err: errOutage}
	}
	return o.VersionedStore.Head(ctx, name)
}

func checkAfterOutage(ctx context.Context, e *env) error {
	s, err := e.open(ctx)
	if err != nil {
		return err
	}
	weak := &outage{VersionedStore: s}
	c, err := connect(ctx, weak, "")
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // what it wrote is looked at
	l := &ledger{}
	for i := range 3 {
		if err := l.set(ctx, c, "key", fmt.Sprintf("before outage %d", i)); err != nil {
			return unlike("a write to commit after an outage", "%v", err)
		}
		// The write is given up when it has met the outage.
		during, cancel := context.WithCancel(ctx)
		weak.failed = cancel
		weak.down.Store(true)
		if err := l.set(during, c, "key", fmt.Sprintf("during outage %d", i)); err == nil {
			return unlike("a write to fail while the store is down", "success")
		}
		weak.down.Store(false)
		cancel()
	}
	return sound(ctx, s, "", l)
}
