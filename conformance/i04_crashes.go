package conformance

import (
	"context"

	"github.com/immukv/immukv-go/sim"
)

// I4: there is at most one orphan, and it is the head.
var crashChecks = clause("I4",
	check{
		name: "crash-everywhere", cost: cost{fixed: 800},
		title: "a client that crashes at any request leaves at most one orphan, at the head, and the next write repairs it",
		run: func(ctx context.Context, e *env) error {
			return e.injected(ctx, sim.Crashes())
		},
	},
)
