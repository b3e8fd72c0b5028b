package sim_test

import (
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/immukv/immukv-go/sim"
	"github.com/immukv/immukv-go/sim/internal/fleet"
)

// TestReplay makes the history of the plan in IMMUKV_PLAN, as failures print it,
// and tells it.
func TestReplay(t *testing.T) {
	text := os.Getenv("IMMUKV_PLAN")
	if text == "" {
		text = "client a: set k; get k | client b: set k | schedule a b a:now/lost b"
	}
	plan, err := fleet.ParsePlan(text)
	if err != nil {
		t.Fatal(err)
	}
	outcome := fleet.Replay(t, plan)
	t.Log(outcome.Report())
	if outcome.Err() != nil {
		t.Fail()
	}
}

// TestRandomHistories draws histories in such a way that one that fails
// shrinks.
func TestRandomHistories(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		numbers := rapid.SliceOfN(rapid.Uint16(), 0, 600).Draw(rt, "numbers")
		draw := func(n int) int {
			if len(numbers) == 0 {
				return 0
			}
			i := int(numbers[0]) % n
			numbers = numbers[1:]
			return i
		}
		plan, source := fleet.Random(draw, otherVerbs[draw(2)]...)
		if outcome := checked(fleet.Run(t, plan, source)); outcome.Err() != nil {
			rt.Fatal(outcome.Report())
		}
	})
}

// random makes the history of a seed. In every other one, clients watch and copy the log,
// too.
func random(t *testing.T, seed uint64) *fleet.Outcome {
	plan, source := fleet.Random(sim.Seeded(seed), otherVerbs[seed%2]...)
	return checked(fleet.Run(t, plan, source))
}

var otherVerbs = [2][]string{1: {"watch", "copy"}}

// checked is an outcome with what porcupine has to say of it.
func checked(o *fleet.Outcome) *fleet.Outcome {
	if o.Err() == nil {
		o.History.Err = o.CheckLinearizable()
	}
	return o
}

// TestEveryKindOfFaultFires draws histories from fixed seeds, and counts all
// that can happen in one.
func TestEveryKindOfFaultFires(t *testing.T) {
	t.Parallel()
	counts := newTally()
	forSeeds(600, func(seed uint64) {
		outcome := random(t, seed)
		counts.add(outcome)
		if outcome.Err() != nil {
			t.Errorf("seed %d: %s", seed, outcome.Report())
		}
	})
	counts.wantAll(t)
}

// forSeeds calls f with n seeds, on all processors.
func forSeeds(n int, f func(seed uint64)) {
	seeds := make(chan uint64)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for seed := range seeds {
				f(seed)
			}
		})
	}
	for seed := range n {
		seeds <- uint64(seed)
	}
	close(seeds)
	workers.Wait()
}

// TestEqualPlansMakeEqualHistories is what replaying rests on.
func TestEqualPlansMakeEqualHistories(t *testing.T) {
	t.Parallel()
	forSeeds(1000, func(seed uint64) {
		first := random(t, seed)
		again := fleet.Replay(t, first.Plan)
		if first.History.Hash() != again.History.Hash() {
			t.Errorf("seed %d: replayed, the plan made another history\n%s\nand\n%s", seed, first.Report(), again.Report())
		}
	})
}

// TestClocksDecideNothing makes histories again with clocks that are right and
// do not jump (I11).
func TestClocksDecideNothing(t *testing.T) {
	t.Parallel()
	forSeeds(300, func(seed uint64) {
		outcome := random(t, seed)
		plan := fleet.Plan{Clients: slices.Clone(outcome.Plan.Clients), Schedule: slices.Clone(outcome.Plan.Schedule)}
		for i := range plan.Clients {
			plan.Clients[i].Clock = 0
		}
		plan.Schedule = slices.DeleteFunc(plan.Schedule, func(c sim.Choice) bool { return c.Move == sim.Jump })
		again := fleet.Replay(t, plan)
		if diff := cmp.Diff(outcome.Results(), again.Results()); diff != "" {
			t.Errorf("seed %d: with other clocks another history came about (-first +again):\n%s\n%s", seed, diff, outcome.Report())
		}
	})
}

// TestContendingWritersGetThrough lets writers loose on one key, with every
// choice drawn and nothing going wrong: each write succeeds (I14), and none
// takes out of all proportion long.
func TestContendingWritersGetThrough(t *testing.T) {
	t.Parallel()
	const writers, writes = 6, 3
	var plan fleet.Plan
	for i := range writers {
		c := fleet.Client{Name: string(rune('a' + i))}
		for range writes {
			c.Script = append(c.Script, []fleet.Call{{Verb: "set", Key: "k"}})
		}
		plan.Clients = append(plan.Clients, c)
	}
	var mu sync.Mutex
	worst := 0
	forSeeds(100, func(seed uint64) {
		outcome := fleet.Run(t, plan, &sim.Drawn{Draw: sim.Seeded(seed), Steps: 10_000})
		if outcome.Err() != nil {
			t.Error(outcome.Report())
		}
		lost := make(map[string]int) // races, by the call
		for _, e := range outcome.History.Events {
			if e.Kind == sim.Stepped && e.Request.Writes() && e.Effect != nil && e.Effect.Err != nil {
				lost[e.What]++
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for _, n := range lost {
			worst = max(worst, n)
		}
	})
	t.Logf("of %d writers with %d writes each, the unluckiest write lost %d races", writers, writes, worst)
	// The other writers have 15 writes. Nobody can lose more races for the log
	// than that, and each may take one for a key object with it.
	if most := 2 * (writers - 1) * writes; worst > most {
		t.Errorf("a write lost %d races, want %d at most", worst, most)
	}
}
