package sim_test

import (
	"sync"
	"testing"

	"github.com/immukv/immukv-go/sim"
	"github.com/immukv/immukv-go/sim/internal/fleet"
)

// tally counts all that can happen in a history.
type tally struct {
	mu     sync.Mutex
	faults map[sim.Fault]int
	events map[sim.EventKind]int
	ends   map[string]int
}

func newTally() *tally {
	return &tally{faults: make(map[sim.Fault]int), events: make(map[sim.EventKind]int), ends: make(map[string]int)}
}

func (c *tally) add(o *fleet.Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for f, n := range o.History.Faults() {
		c.faults[f] += n
	}
	for _, e := range o.History.Events {
		c.events[e.Kind]++
	}
	for end, n := range o.Ends() {
		c.ends[end] += n
	}
}

// wantAll tells the counts, and fails the test if anything has never happened.
func (c *tally) wantAll(t *testing.T) {
	t.Helper()
	faultsFired(t, c.faults)
	if c.faults[sim.Fault{Answer: sim.Held}] == 0 {
		t.Error("no answer was held")
	}
	for kind := sim.Began; kind <= sim.Jumped; kind++ {
		t.Logf("%8d %v", c.events[kind], kind)
		if c.events[kind] == 0 {
			t.Errorf("no event was one that %v", kind)
		}
	}
	for _, end := range []string{
		"set: well", "set: outcome unknown", "set: conflict", "set: failed",
		"conditional set: well", "conditional set: condition failed", "conditional set: outcome unknown",
		"update: well", "update: outcome unknown", "update: conflict", "consistent get: well", "consistent get: failed",
		"setall: well", "setall: outcome unknown", "setall: conflict", "setall: failed", "getall: well", "getall: failed",
		"settle: well", "settle: outcome unknown", "settle: conflict",
		"get: well", "get: failed", "history: well", "log: well", "keys: well", "repair: well", "verify: well", "audit: well",
		"watch: well", "watch: failed", "copy: well", "copy: failed",
	} {
		t.Logf("%8d %s", c.ends[end], end)
		if c.ends[end] == 0 {
			t.Errorf("no call ended so: %s", end)
		}
	}
}
