package conformance

import (
	"context"
	"fmt"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/sim"
)

// I9: a repair can be made by any client, any number of times.
var repairChecks = clause("I9",
	check{
		name: "crash-in-repair", cost: cost{fixed: 800},
		title: "a client that crashes at any request of a repair leaves an orphan that another can repair",
		run:   crashInRepair("key"),
	},
	check{
		name: "crash-in-repair-of-a-batch", cost: cost{fixed: 2000},
		title: "a client that crashes at any request of a repair of a batch leaves orphans that another can repair",
		run:   crashInRepair(batchKeys...),
	},
	check{
		name: "repairers-racing", cost: cost{fixed: 70, perRound: 45},
		title: "an orphan that eight clients repair at once gets one version of its key object",
		run:   repairersRacing("key"),
	},
	check{
		name: "repairers-racing-for-a-batch", cost: cost{fixed: 150, perRound: 80},
		title: "orphans of one batch that eight clients repair at once get one version of each key object",
		run:   repairersRacing("a", "b", "c", "d", "e", "f"),
	},
)

// crashInRepair is a check of the repair of an entry, or of a batch.
func crashInRepair(keys ...string) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error { return e.crashInRepair(ctx, keys) }
}

func (e *env) crashInRepair(ctx context.Context, keys []string) error {
	stores := e.stores
	for _, update := range []bool{false, true} {
		n := 0
		for injection := range sim.Crashes() {
			n++
			prefix := fmt.Sprintf("%t-%d/", update, n)
			l := &ledger{}
			if err := orphans(ctx, stores[0], prefix, l, update, keys...); err != nil {
				return err
			}
			_ = injection.Run(ctx, stores[0], func(ctx context.Context, s backend.VersionedStore) error { // it dies, or not
				c, err := connect(ctx, s, prefix)
				if err != nil {
					return err
				}
				defer c.Close() //nolint:errcheck // it may be dead
				_, err = c.Repair(ctx)
				return err
			})
			if err := sound(ctx, stores[1], prefix, l); err != nil {
				return fmt.Errorf("%v: %w", injection, err)
			}
		}
	}
	return nil
}

// repairersRacing is a check of the repair of an entry, or of a batch.
func repairersRacing(keys ...string) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error { return e.repairersRacing(ctx, keys) }
}

func (e *env) repairersRacing(ctx context.Context, keys []string) error {
	const repairers = 8
	stores := e.stores
	for round := range e.fewRounds(1 + len(keys)) {
		prefix := fmt.Sprintf("%d/", round)
		l := &ledger{}
		if err := orphans(ctx, stores[0], prefix, l, round%2 == 1, keys...); err != nil {
			return err
		}
		err := together(repairers, func(i int) error {
			c, err := connect(ctx, stores[i%2], prefix)
			if err != nil {
				return err
			}
			defer c.Close() //nolint:errcheck // others read what it wrote
			_, err = c.Repair(ctx)
			return err
		})
		if err != nil {
			return err
		}
		if err := orphaned(ctx, stores[0], prefix, nil); err != nil {
			return err
		}
		if err := sound(ctx, stores[1], prefix, l); err != nil {
			return err
		}
	}
	return nil
}
