package conformance

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/sim"
)

// injected runs a short program once for each injection, each under its own
// prefix, and checks the result.
func (e *env) injected(ctx context.Context, injections iter.Seq[*sim.Injection]) error {
	stores := e.stores
	n := 0
	for injection := range injections {
		n++
		prefix := fmt.Sprintf("%d/", n)
		l := &ledger{}
		_ = injection.Run(ctx, stores[0], func(ctx context.Context, s backend.VersionedStore) error { // the ledger has the outcome
			return l.program(ctx, s, prefix)
		})
		if err := sound(ctx, stores[1], prefix, l); err != nil {
			return fmt.Errorf("%v: %w", injection, err)
		}
	}
	if n < 10 {
		return fmt.Errorf("only %d places found for faults", n)
	}
	return nil
}

// program sets a new key, the same key again, and another key.
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

// settle finds out whether the last write is in the log, and records the answer
// if there is one.
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
