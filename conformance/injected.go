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

// program is what a process does that meets a fault, on the objects under a
// prefix.
type program func(ctx context.Context, l *ledger, s backend.VersionedStore, prefix string) error

// injected runs a short program once for each injection, each under its own
// prefix, and checks the result.
func (e *env) injected(ctx context.Context, injections iter.Seq[*sim.Injection], run program) error {
	stores := e.stores
	n := 0
	for injection := range injections {
		n++
		prefix := fmt.Sprintf("%d/", n)
		l := &ledger{}
		_ = injection.Run(ctx, stores[0], func(ctx context.Context, s backend.VersionedStore) error { // the ledger has the outcome
			return run(ctx, l, s, prefix)
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

// setThree sets a new key, the same key again, and another key.
func setThree(ctx context.Context, l *ledger, s backend.VersionedStore, prefix string) error {
	c, err := connect(ctx, s, prefix)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // it may be dead
	for i, key := range []string{"a", "a", "b"} {
		// A write that fails does not keep the client from the next.
		err := l.set(ctx, c, key, fmt.Sprintf("%swrite %d", prefix, i))
		if err := l.settle(ctx, c, err); err != nil {
			return err
		}
	}
	return nil
}

// batchKeys are the keys of short batches.
var batchKeys = []string{"a", "b", "c"}

// batchKeysIn returns those of them whose bit is set in a subset.
func batchKeysIn(subset int) []string {
	var keys []string
	for i, key := range batchKeys {
		if subset&(1<<i) != 0 {
			keys = append(keys, key)
		}
	}
	return keys
}

// setBatch sets one key, which the batch after it sets again, with two others.
func setBatch(ctx context.Context, l *ledger, s backend.VersionedStore, prefix string) error {
	c, err := connect(ctx, s, prefix)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // it may be dead
	if err := l.settle(ctx, c, l.set(ctx, c, "a", prefix+"alone")); err != nil {
		return err
	}
	return l.settle(ctx, c, l.setAll(ctx, c, writesOf(prefix+"batch", batchKeys...)))
}

// settle finds out whether the last write is in the log, if it ended with an
// unknown outcome, and records the answer if there is one.
func (l *ledger) settle(ctx context.Context, c *client, failed error) error {
	unknown, ok := errors.AsType[*immukv.OutcomeUnknownError](failed)
	if !ok || ctx.Err() != nil {
		return nil
	}
	entries, err := c.SettleAll(ctx, unknown)
	if err != nil && !errors.Is(err, immukv.ErrConflict) {
		return err
	}
	l.mu.Lock()
	last := l.attempts[len(l.attempts)-1]
	l.mu.Unlock()
	attempts := last.with
	if attempts == nil {
		attempts = []*attempt{last}
	}
	l.end(attempts, entries, err)
	return nil
}
