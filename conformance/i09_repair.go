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
		run:   checkCrashInRepair,
	},
	check{
		name: "repairers-racing", cost: cost{fixed: 70, perRound: 45},
		title: "an orphan that eight clients repair at once gets one version of its key object",
		run:   checkRepairersRacing,
	},
)

func checkCrashInRepair(ctx context.Context, e *env) error {
	stores := e.stores
	for _, update := range []bool{false, true} {
		n := 0
		for injection := range sim.Crashes() {
			n++
			prefix := fmt.Sprintf("%t-%d/", update, n)
			l := &ledger{}
			if err := orphan(ctx, stores[0], prefix, "key", l, update); err != nil {
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

func checkRepairersRacing(ctx context.Context, e *env) error {
	const repairers = 8
	stores := e.stores
	for round := range e.fewRounds(2) {
		prefix := fmt.Sprintf("%d/", round)
		l := &ledger{}
		if err := orphan(ctx, stores[0], prefix, "key", l, round%2 == 1); err != nil {
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
		report, err := audited(ctx, stores[0], prefix)
		if err != nil {
			return err
		}
		if len(report.Orphans) > 0 {
			return unlike("no orphan after eight repairs", "entry %d", report.Orphans[0].Sequence)
		}
		if err := sound(ctx, stores[1], prefix, l); err != nil {
			return err
		}
	}
	return nil
}
