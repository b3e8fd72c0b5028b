package sim_test

import (
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

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
		plan, source := fleet.Random(func(n int) int {
			if len(numbers) == 0 {
				return 0
			}
			i := int(numbers[0]) % n
			numbers = numbers[1:]
			return i
		})
		if outcome := checked(fleet.Run(t, plan, source)); outcome.Err() != nil {
			rt.Fatal(outcome.Report())
		}
	})
}

// random makes the history of a seed.
func random(t *testing.T, seed uint64) *fleet.Outcome {
	plan, source := fleet.Random(sim.Seeded(seed))
	return checked(fleet.Run(t, plan, source))
}

// checked is an outcome with what porcupine has to say of it.
func checked(o *fleet.Outcome) *fleet.Outcome {
	if o.Err() == nil {
		o.History.Err = o.CheckLinearizable()
	}
	return o
}

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
		"settle: well", "settle: outcome unknown", "settle: conflict",
		"get: well", "get: failed", "history: well", "log: well", "keys: well", "repair: well", "verify: well", "audit: well",
	} {
		t.Logf("%8d %s", c.ends[end], end)
		if c.ends[end] == 0 {
			t.Errorf("no call ended so: %s", end)
		}
	}
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

// soakFor is set by make soak.
var soakFor = os.Getenv("IMMUKV_SOAK")

// TestSoak makes random histories until the time in IMMUKV_SOAK is up, or else a
// few of them. It says at what rate, and that it leaves nothing behind.
func TestSoak(t *testing.T) {
	const batch = 200
	var until time.Duration
	first := uint64(1 << 32)
	if soakFor != "" {
		var err error
		if until, err = time.ParseDuration(soakFor); err != nil {
			t.Fatal(err)
		}
		first = uint64(time.Now().UnixNano())
	}
	t.Logf("seeds from %d on", first)
	start, made, counts := time.Now(), 0, newTally()
	var settled usage
	for round := uint64(0); round < 3 || time.Since(start) < until; round++ {
		forSeeds(batch, func(i uint64) {
			outcome := random(t, first+round*batch+i)
			counts.add(outcome)
			if outcome.Err() != nil {
				t.Error(outcome.Reduce(t).Report())
			}
		})
		if t.Failed() {
			return
		}
		if made += batch; round == 1 {
			settled = measure()
		}
		if round%100 == 99 {
			t.Logf("%d histories, %.0f a second", made, float64(made)/time.Since(start).Seconds())
		}
	}
	end := measure()
	t.Logf("%d histories, %.0f a second; %d goroutines and %d KiB in the end, %d and %d in the beginning", made,
		float64(made)/time.Since(start).Seconds(), end.goroutines, end.heap>>10, settled.goroutines, settled.heap>>10)
	if end.goroutines > settled.goroutines || end.heap > 2*settled.heap {
		t.Error("something is left behind")
	}
	counts.wantAll(t)
}

// usage is what a process holds.
type usage struct {
	goroutines int
	heap       uint64
}

func measure() usage {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{runtime.NumGoroutine(), m.HeapAlloc}
}
