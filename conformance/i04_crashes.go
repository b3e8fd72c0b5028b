package conformance

import (
	"context"
	"fmt"

	"github.com/immukv/immukv-go/sim"
)

// I4: only entries of the newest log version are orphans.
var crashChecks = clause("I4",
	check{
		name: "crash-everywhere", cost: cost{fixed: 800},
		title: "a client that crashes at any request leaves at most one orphan, at the head, and the next write repairs it",
		run: func(ctx context.Context, e *env) error {
			return e.injected(ctx, sim.Crashes(), setThree)
		},
	},
	check{
		name: "crash-everywhere-in-batches", cost: cost{fixed: 1500},
		title: "a client that crashes at any request of a batch leaves orphans of that batch alone, and the next write repairs them",
		run: func(ctx context.Context, e *env) error {
			return e.injected(ctx, sim.Crashes(), setBatch)
		},
	},
	check{
		name: "any-orphans-of-a-batch", cost: cost{fixed: 1200},
		title: "whichever entries of a batch were not applied, those are orphans, and a repair, the next write, the next batch or a read applies them",
		run:   checkAnyOrphans,
	},
)

// checkAnyOrphans leaves each subset of a batch unapplied, and has each kind of
// activity repair it.
func checkAnyOrphans(ctx context.Context, e *env) error {
	stores := e.stores
	activities := []func(*client, *ledger, string) error{
		func(c *client, _ *ledger, _ string) error { return second(c.Repair(ctx)) },
		func(c *client, l *ledger, prefix string) error { return l.set(ctx, c, "d", prefix+"next") },
		func(c *client, l *ledger, prefix string) error {
			return l.setAll(ctx, c, writesOf(prefix+"next", "b", "d"))
		},
		func(c *client, _ *ledger, _ string) error { return second(c.Get(ctx, "a")) },
	}
	for subset := 1; subset < 1<<len(batchKeys); subset++ {
		outstanding := batchKeysIn(subset)
		prefix := fmt.Sprintf("%d/", subset)
		l := &ledger{}
		if err := applied(ctx, stores[0], prefix, l, prefix+"before", "a"); err != nil {
			return err
		}
		if err := unapplied(ctx, stores[0], prefix, l, batchKeys, outstanding); err != nil {
			return err
		}
		if err := orphaned(ctx, stores[1], prefix, outstanding); err != nil {
			return err
		}
		c, err := connect(ctx, stores[1], prefix, eager)
		if err != nil {
			return err
		}
		activity := activities[subset%len(activities)]
		if err := activity(c, l, prefix); err != nil {
			return unlike(fmt.Sprintf("an activity to repair the orphans of %q", outstanding), "%v", err)
		}
		if err := c.Close(); err != nil {
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
