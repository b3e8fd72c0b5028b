package conformance

import (
	"context"

	"github.com/immukv/immukv-go/sim"
)

// I2: a write that failed is never in the log. One of unknown outcome is there
// once at most.
var lostAnswerChecks = clause("I2",
	check{
		name: "lost-answers-everywhere", cost: cost{fixed: 4000},
		title: "whichever request of a write fails, loses its answer or applies late, the result of the write is true, and the next write succeeds",
		run: func(ctx context.Context, e *env) error {
			return e.injected(ctx, sim.Injections(answerFaults...), setThree)
		},
	},
	check{
		name: "lost-answers-in-batches", cost: cost{fixed: 6000},
		title: "whichever request of a batch fails, loses its answer or applies late, all its entries are in the log or none is, the result of the write is true, and the next write succeeds",
		run: func(ctx context.Context, e *env) error {
			return e.injected(ctx, sim.Injections(answerFaults...), setBatch)
		},
	},
)

// answerFaults are the faults that need no scheduler. Faults that delay an
// answer are left to the simulator, which has a virtual clock.
var answerFaults = []sim.Fault{
	{Effect: sim.Never, Answer: sim.Lost},
	{Effect: sim.Now, Answer: sim.Lost},
	{Effect: sim.Again, Answer: sim.Own},
	{Effect: sim.Again, Answer: sim.Lost},
	{Effect: sim.Copy, Answer: sim.Own},
	{Effect: sim.Never, Answer: sim.Denied},
	{Effect: sim.Now, Answer: sim.Cancelled},
	{Effect: sim.Never, Answer: sim.Cancelled},
	{Effect: sim.Now, Answer: sim.Short},
	{Effect: sim.Now, Answer: sim.Hollow},
}
