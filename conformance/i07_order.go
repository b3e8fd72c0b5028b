package conformance

import (
	"context"
)

// I7: a write that returned before another began precedes it in the log.
var orderChecks = clause("I7",
	check{
		name: "real-time-order", cost: cost{fixed: 100 + 4*contendingWrites*30},
		title: "a write that was acknowledged before another began precedes it in the log",
		run: func(ctx context.Context, e *env) error {
			l, _, err := e.contend(ctx, 4, 1, byDefault)
			if err != nil {
				return err
			}
			return l.ordered()
		},
	},
	check{
		name: "real-time-order-in-batches", cost: cost{fixed: 200 + 3*batchCallers*contendingWrites*30},
		title: "a write that was acknowledged before another began precedes it in the log, whatever batches they are in",
		run: func(ctx context.Context, e *env) error {
			l, _, err := e.contend(ctx, 3, batchCallers, batching)
			if err != nil {
				return err
			}
			return l.ordered()
		},
	},
)
