package fleet

import (
	"slices"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/sim"
)

// Reduce makes a failing plan smaller as long as it fails in the same way: it removes
// clients, calls, choices, and faults of choices.
func (o *Outcome) Reduce(t *testing.T) *Outcome {
	kind := invariantOf(o.Err())
	for smaller := true; smaller; {
		smaller = false
		for _, plan := range reductions(o.Plan) {
			if next := Replay(t, plan); next.Err() != nil && invariantOf(next.Err()) == kind {
				next.Plan = plan // without choices that the replay skipped or added
				o, smaller = next, true
				break
			}
		}
	}
	return o
}

// invariantOf returns the invariant that an error is about.
func invariantOf(err error) string {
	if err == nil {
		return ""
	}
	name, _, ok := strings.Cut(err.Error(), " is violated")
	if !ok {
		return err.Error()
	}
	return name[strings.LastIndexByte(name, ' ')+1:]
}

// reductions lists slightly smaller plans, the smallest first.
func reductions(p Plan) []Plan {
	var plans []Plan
	for i := range p.Clients {
		plans = append(plans, Plan{Clients: slices.Delete(slices.Clone(p.Clients), i, i+1), Schedule: p.Schedule})
	}
	for n := len(p.Schedule) / 2; n > 0; n /= 2 {
		for i := 0; i+n <= len(p.Schedule); i += n {
			plans = append(plans, Plan{Clients: p.Clients, Schedule: slices.Delete(slices.Clone(p.Schedule), i, i+n)})
		}
	}
	for i, c := range p.Clients {
		for j := range c.Script {
			c.Script = slices.Delete(slices.Clone(p.Clients[i].Script), j, j+1)
			clients := slices.Clone(p.Clients)
			clients[i] = c
			plans = append(plans, Plan{Clients: clients, Schedule: p.Schedule})
		}
	}
	for i, c := range p.Schedule {
		if c.Fault != (sim.Fault{}) {
			schedule := slices.Clone(p.Schedule)
			schedule[i].Fault = sim.Fault{}
			plans = append(plans, Plan{Clients: p.Clients, Schedule: schedule})
		}
	}
	return plans
}
