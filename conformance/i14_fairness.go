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
			err := l.set(ctx, c, "the one key", fmt.Sprintf("writer %d, write %d", i, n))
			if errors.Is(err, immukv.ErrOutcomeUnknown) {
				continue // a server may fail under load; the log is checked below
			}
			if err != nil {
				return unlike("every contending writer to get through", "%v", err)
			}
		}
		return c.Close()
	})
	if err != nil {
		return err
	}
	return sound(ctx, stores[0], "", l)
}
