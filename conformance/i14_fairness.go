package conformance

import (
	"context"
	"errors"
	"fmt"

	"github.com/immukv/immukv-go/immukv"
)

// I14: each of any number of contending writers commits.
var fairnessChecks = clause("I14",
	check{
		name: "everyone-gets-through", handles: 4, cost: cost{fixed: 100 + 16*4*40},
		title: "each of sixteen contending writers succeeds with all its writes",
		run:   checkEveryoneGetsThrough,
	},
	check{
		name: "everyone-gets-through-in-batches", handles: 4, cost: cost{fixed: 200 + (4*batchCallers+4)*4*40},
		title: "each caller of four contending clients that batch succeeds with all its writes, and so does each of four clients that do not batch",
		run:   checkBatchersGetThrough,
	},
)

func checkEveryoneGetsThrough(ctx context.Context, e *env) error {
	const writers, writes = 16, 4
	stores := e.stores
	l := &ledger{}
	err := together(writers, func(i int) error {
		c, err := connect(ctx, stores[i%4], "")
		if err != nil {
			return err
		}
		for n := range writes {
			if err := l.getsThrough(ctx, c, "the one key", fmt.Sprintf("writer %d, write %d", i, n)); err != nil {
				return err
			}
		}
		return c.Close()
	})
	if err != nil {
		return err
	}
	return sound(ctx, stores[0], "", l)
}

// getsThrough sets a key in contention. A server may fail under load; the log
// is checked at the end.
func (l *ledger) getsThrough(ctx context.Context, c *client, key, value string) error {
	err := l.set(ctx, c, key, value)
	if err != nil && !errors.Is(err, immukv.ErrOutcomeUnknown) {
		return unlike("every contending writer to get through", "%v", err)
	}
	return nil
}

func checkBatchersGetThrough(ctx context.Context, e *env) error {
	const clients, writes = 4, 4
	stores := e.stores
	l := &ledger{}
	err := together(2*clients, func(i int) error {
		callers, opts := batchCallers, batching(i)
		if i >= clients {
			callers, opts = 1, nil
		}
		return throughOne(ctx, stores[i%clients], opts, callers, func(c *client, caller int) error {
			for n := range writes {
				if err := l.getsThrough(ctx, c, fmt.Sprintf("key-%d", caller), fmt.Sprintf("client %d, caller %d, write %d", i, caller, n)); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	return sound(ctx, stores[0], "", l)
}
