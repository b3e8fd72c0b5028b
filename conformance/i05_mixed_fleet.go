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
)

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
