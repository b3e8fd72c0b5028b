package conformance

import (
	"context"
	"fmt"

	"github.com/immukv/immukv-go/immukv"
)

// I5: the versions of a key object are the log's entries of that key, in order, whichever
// clients wrote them.
var fleetChecks = clause("I5",
	check{
		name: "mixed-fleet", cost: cost{fixed: 100 + 8*contendingWrites*30},
		title: "clients of both dialects, with and without deferred apply, and one with the algorithm of the existing clients, share one log",
		run:   checkMixedFleet,
	},
	check{
		name: "batching-fleet", cost: cost{fixed: 200 + 30*contendingWrites*40},
		title: "clients that batch, in both dialects, with and without deferred apply, one that writes several keys at once and one that writes alone share one log",
		run:   checkBatchingFleet,
	},
)

func checkBatchingFleet(ctx context.Context, e *env) error {
	stores := e.stores
	few := immukv.WithBatching(immukv.Batching{MaxEntries: 3})
	fleet := []struct {
		callers int // 0: it writes several keys at once
		opts    []immukv.Option
	}{
		{batchCallers, append(batching(0), immukv.WithDialect(immukv.TypeScript))},
		{batchCallers, append(batching(0), immukv.WithDeferredApply())},
		{batchCallers, []immukv.Option{few, immukv.WithDialect(immukv.TypeScript), immukv.WithDeferredApply()}},
		{1, nil},
		{0, nil},
	}
	l := &ledger{}
	err := together(len(fleet), func(i int) error {
		return throughOne(ctx, stores[i%2], fleet[i].opts, max(1, fleet[i].callers), func(c *client, caller int) error {
			for n := range contendingWrites {
				var err error
				value := fmt.Sprintf("client %d, caller %d, write %d", i, caller, n)
				key := func(k int) string { return fmt.Sprintf("key-%d", (i+caller+n+k)%(batchCallers+2)) }
				if fleet[i].callers > 0 {
					err = l.set(ctx, c, key(0), value)
				} else {
					err = l.setAll(ctx, c, writesOf(value, key(0), key(3), key(1), key(7)))
				}
				if err != nil {
					return unlike("every client of a fleet to get through", "%v", err)
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	return sound(ctx, stores[1], "", l)
}

func checkMixedFleet(ctx context.Context, e *env) error {
	stores := e.stores
	options := [][]immukv.Option{
		{immukv.WithDialect(immukv.Python)},
		{immukv.WithDialect(immukv.TypeScript)},
		{immukv.WithDialect(immukv.Python), immukv.WithDeferredApply()},
		{immukv.WithDialect(immukv.TypeScript), immukv.WithDeferredApply()},
	}
	l := &ledger{}
	err := together(len(options)+1, func(i int) error {
		if i == len(options) {
			old := &oldClient{store: stores[0], ledger: l}
			for n := range contendingWrites {
				if err := old.set(ctx, fmt.Sprintf("key-%d", n%3), fmt.Sprintf("old client, write %d", n)); err != nil {
					return err
				}
			}
			return nil
		}
		c, err := connect(ctx, stores[i%2], "", options[i]...)
		if err != nil {
			return err
		}
		for n := range contendingWrites {
			if err := l.set(ctx, c, fmt.Sprintf("key-%d", (i+n)%3), fmt.Sprintf("client %d, write %d", i, n)); err != nil {
				return err
			}
		}
		return c.Close()
	})
	if err != nil {
		return err
	}
	return sound(ctx, stores[1], "", l)
}
