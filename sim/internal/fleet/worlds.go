package fleet

import (
	"strings"
	"testing"

	"github.com/immukv/immukv-go/sim"
)

// World is a small fleet whose histories are all visited.
type World struct {
	Name string
	// Plan is the fleet.
	Plan string
	// First is the client that ends before the exploration begins.
	First string
	// Faults lists the possible faults, and Budget how many there can be in one history.
	// If Victim is set, only that client meets them. If all clients do the same, and
	// there is one fault, that omits nothing. With Sealers, only seals meet them.
	Faults  []sim.Fault
	Budget  int
	Victim  string
	Sealers bool
	// Small worlds are visited by every run of the tests, and deep ones only on request.
	Small, Deep bool
}

// losses are crashes and lost answers.
var losses = []sim.Fault{
	{Effect: sim.Never, Answer: sim.Lost},
	{Effect: sim.Now, Answer: sim.Lost},
	{Effect: sim.Later, Answer: sim.Lost},
	{Effect: sim.Never, Answer: sim.Crashed},
	{Effect: sim.Now, Answer: sim.Crashed},
	{Effect: sim.Later, Answer: sim.Crashed},
}

// crashes are the crashes of a process.
var crashes = []sim.Fault{sim.CrashBefore, sim.CrashAfter}

// refusals are errors that prove that there was no effect, so one is enough for an apply
// to be abandoned.
var refusals = []sim.Fault{{Effect: sim.Never, Answer: sim.Denied}}

// Worlds are all worlds.
var Worlds = []World{
	{Name: "one writer, one fault of any kind", Small: true,
		Plan: "client a: set k; set k", Faults: sim.AllFaults(), Budget: 1},
	{Name: "one writer that settles, one fault of any kind", Small: true,
		Plan: "client a: set k; settle; set j; settle", Faults: sim.AllFaults(), Budget: 1},
	{Name: "a listing of keys in another order than names, one fault of any kind", First: "a", Small: true,
		Plan: "client a: set k-1; set k | client b: keys", Faults: sim.AllFaults(), Budget: 1},
	{Name: "a reader of the log, one fault of any kind", First: "a", Small: true,
		Plan: "client a: set k; set k; set k | client b: log; history k", Faults: sim.AllFaults(), Budget: 1},
	{Name: "a read-only reader at an orphan, one fault of any kind", First: "a", Small: true,
		Plan: "client a: set k; orphan k | client b readonly always: get k; get k; history k", Faults: sim.AllFaults(), Budget: 1},
	{Name: "a batch beside a writer that knows one of its keys", First: "z",
		Plan: "client z: setall k j | client a: set k; set k | client b: setall k j"},
	{Name: "one writer, two faults of any kind",
		Plan: "client a: set k; set k", Faults: sim.AllFaults(), Budget: 2},
	{Name: "one writer of two keys, two faults of any kind",
		Plan: "client a: set k; set j", Faults: sim.AllFaults(), Budget: 2},
	{Name: "one writer that settles, two faults of any kind",
		Plan: "client a: set k; settle; set j; settle", Faults: sim.AllFaults(), Budget: 2},
	{Name: "one writer with a deferred apply, two losses",
		Plan: "client a deferred: set k; get k; set j; get k", Faults: losses, Budget: 2},

	{Name: "two writers of one key", Small: true,
		Plan: "client a: set k | client b: set k"},
	{Name: "a writer that checks every read beside another, one error",
		Plan: "client a always: set k; get j; set k | client b: set j", Faults: refusals, Budget: 1, Victim: "a"},
	{Name: "two writers of one key, one fault of any kind",
		Plan: "client a: set k | client b: set k", Faults: sim.AllFaults(), Budget: 1, Victim: "a"},
	{Name: "two writers of two keys, one loss",
		Plan: "client a: set k | client b: set j", Faults: losses, Budget: 1},
	{Name: "two writers, one of them twice, one loss",
		Plan: "client a: set k; set k | client b: set k", Faults: losses, Budget: 1},
	{Name: "two writers, twice each, one loss",
		Plan: "client a: set k; set k | client b: set k; set k", Faults: losses, Budget: 1, Victim: "a"},
	{Name: "two writers of two keys, one of them twice, one loss",
		Plan: "client a: set k; set j | client b: set j", Faults: losses, Budget: 1},
	{Name: "two writers of two keys, twice each",
		Plan: "client a: set k; set j | client b: set j; set k"},
	{Name: "two writers of two keys, twice each, one loss", Deep: true,
		Plan: "client a: set k; set j | client b: set j; set k", Faults: losses, Budget: 1, Victim: "a"},
	{Name: "three writers of one key",
		Plan: "client a: set k | client b: set k | client c: set k"},
	{Name: "a writer paused across another's three writes, one loss of its own",
		Plan: "client a: set k | client b: set k; set j; set k", Faults: losses, Budget: 1, Victim: "a"},
	{Name: "a writer paused across another's three writes, one loss", Deep: true,
		Plan: "client a: set k | client b: set k; set j; set k", Faults: losses, Budget: 1},

	{Name: "two repairers of a new key's orphan, two losses", First: "a",
		Plan: "client a: orphan k | client b: repair | client c: repair", Faults: losses, Budget: 2},
	{Name: "two repairers of an old key's orphan, two losses", First: "a",
		Plan: "client a: set k; orphan k | client b: repair | client c: repair", Faults: losses, Budget: 2},
	{Name: "a repairer and a writer of the same key, one fault of any kind", First: "a",
		Plan: "client a: set k; orphan k | client b: repair | client c: set k", Faults: sim.AllFaults(), Budget: 1},
	{Name: "a repairer and a writer of another key, one loss", First: "a",
		Plan: "client a: orphan k | client b: repair | client c: set j; set k", Faults: losses, Budget: 1},

	{Name: "a reader beside an orphan's repair, one loss", First: "a",
		Plan: "client a: set k; orphan k | client b always: get k; history k | client c: set k", Faults: losses, Budget: 1},
	{Name: "a read-only reader beside a writer, one loss",
		Plan: "client a: set k; set k | client b readonly always: get k; get k", Faults: losses, Budget: 1},
	{Name: "an audit beside a writer, one loss", First: "a",
		Plan: "client a: set k; orphan j | client b: audit | client c: set k", Faults: losses, Budget: 1},
	{Name: "an audit beside a writer of two keys, one loss", First: "a", Deep: true,
		Plan: "client a: set k; orphan j | client b: audit | client c: set k; set j", Faults: losses, Budget: 1},

	{Name: "one conditional writer that settles, one fault of any kind", Small: true,
		Plan: "client a: set k if absent; settle; set k if 0; settle", Faults: sim.AllFaults(), Budget: 1},
	{Name: "two writers that require an absent key", Small: true,
		Plan: "client a: set k if absent | client b: set k if absent"},
	{Name: "a consistent reader beside a writer of two keys", First: "z", Small: true,
		Plan: "client z: set k | client a: set k; set j | client b: get k consistent"},
	{Name: "a consistent reader at an orphan, one fault of any kind", First: "a", Small: true,
		Plan: "client a: set k; orphan k | client b: get k consistent; get k consistent", Faults: sim.AllFaults(), Budget: 1},
	{Name: "one conditional writer that settles, two faults of any kind",
		Plan: "client a: set k if absent; settle; set k if 0; settle", Faults: sim.AllFaults(), Budget: 2},
	{Name: "two writers that require an absent key, one loss",
		Plan: "client a: set k if absent | client b: set k if absent", Faults: losses, Budget: 1},
	{Name: "two writers that require an absent key and settle, one loss",
		Plan: "client a: set k if absent; settle | client b: set k if absent; settle", Faults: losses, Budget: 1, Victim: "a"},
	{Name: "two writers that require one sequence, one loss", First: "z",
		Plan: "client z: set k | client a: set k if 0 | client b: set k if 0", Faults: losses, Budget: 1},
	{Name: "two writers that require a sequence of an older key, one loss", First: "z",
		Plan: "client z: set k; set j | client a: set k if 0 | client b: set k if 0", Faults: losses, Budget: 1},
	{Name: "a conditional writer beside a plain one, one loss", First: "z",
		Plan: "client z: set k | client a: set k if 0 | client b: set k", Faults: losses, Budget: 1},
	{Name: "a conditional writer that knows the key beside a plain one, one loss",
		Plan: "client a: set k; set k if 0 | client b: set k", Faults: losses, Budget: 1, Victim: "a"},
	{Name: "a conditional writer that knows two keys beside a plain one", First: "z",
		Plan: "client z: set k | client a: set j; set k if 0 | client b: set k"},
	{Name: "two updates of a key, one loss", First: "z",
		Plan: "client z: set k | client a: update k | client b: update k", Faults: losses, Budget: 1},
	{Name: "two updates of a key, twice each",
		Plan: "client a: update k; update k | client b: update k; update k"},
	{Name: "an update beside a writer of two keys, one loss", First: "z",
		Plan: "client z: set k | client a: update k | client b: set k; set j", Faults: losses, Budget: 1},
	{Name: "three writers that require an absent key",
		Plan: "client a: set k if absent | client b: set k if absent | client c: set k if absent"},
	{Name: "two writers that require their own sequences, one loss",
		Plan: "client a: set k; set k if 0 | client b: set k; set k if 1", Faults: losses, Budget: 1, Victim: "a"},
	{Name: "a consistent reader beside a writer, one loss",
		Plan: "client a: set k; set k | client b: get k consistent; get k consistent", Faults: losses, Budget: 1},
	{Name: "a consistent reader beside a writer of two keys, one loss", First: "z",
		Plan: "client z: set k | client a: set k; set j | client b: get k consistent; get k consistent", Faults: losses, Budget: 1},
	{Name: "a consistent reader beside a deferred apply, one loss",
		Plan: "client a deferred: set k; set j | client b: get k consistent; get k consistent", Faults: losses, Budget: 1},
	{Name: "a consistent reader beside an orphan's repair, two losses", First: "a",
		Plan: "client a: set k; orphan k | client b: get k consistent; get k consistent | client c: repair", Faults: losses, Budget: 2},
	{Name: "a consistent reader beside an orphan's repair and a writer, one loss", First: "a",
		Plan: "client a: set k; orphan k | client b: get k consistent | client c: set j; set k", Faults: losses, Budget: 1},

	{Name: "a legacy client beside a writer, one loss",
		Plan: "client a: set k; set k | client c legacy: set k", Faults: losses, Budget: 1},
	{Name: "a legacy client of the other dialect at an orphan, one loss", First: "a",
		Plan: "client a: set k; orphan k | client b: set k | client c legacy typescript: set k", Faults: losses, Budget: 1},
	{Name: "a legacy client that writes NaN beside a writer, one loss",
		Plan: "client a: set k; set k | client c legacy odd: set k", Faults: losses, Budget: 1},
	{Name: "a legacy client that damages what it repairs at an orphan, one loss", First: "a", Small: true,
		Plan: "client a: set k; orphan k | client b: set k | client c legacy typescript odd: set j", Faults: losses, Budget: 1},
	{Name: "a legacy client that damages what it repairs beside an audit", First: "a", Small: true,
		Plan: "client a: set k; orphan k | client b: get k; audit | client c legacy typescript odd: set j"},

	{Name: "one writer of a batch, one fault of any kind", Small: true,
		Plan: "client a: setall k j", Faults: sim.AllFaults(), Budget: 1},
	{Name: "one batching client, one crash", Small: true,
		Plan: "client a batching: set k & set j & set i", Faults: crashes, Budget: 1},
	{Name: "one batching client with a key twice, one fault of any kind", Small: true,
		Plan: "client a batching: set k & set j & set k & set j", Faults: sim.AllFaults(), Budget: 1},
	{Name: "one batching client with a batch that waits for a key", Small: true,
		Plan: "client a batching: set i & set k & setall k j & set j"},
	{Name: "a repairer of a batch, one fault of any kind", First: "a", Small: true,
		Plan: "client a: set k; orphanall k j | client b: repair", Faults: sim.AllFaults(), Budget: 1},
	{Name: "a consistent reader of two keys beside a batch", First: "z", Small: true,
		Plan: "client z: setall k j | client a: setall k j | client b: getall k j"},
	{Name: "a legacy client at a batch, one error", First: "z", Small: true,
		Plan: "client z: setall k j | client c legacy: set k; get k; log; verify; history k; keys; set k | client a: set j", Faults: refusals, Budget: 1, Victim: "c"},
	{Name: "one writer of two batches, one fault of any kind",
		Plan: "client a: setall k j; setall j k", Faults: sim.AllFaults(), Budget: 1},
	{Name: "one writer of two batches that settles, one fault of any kind",
		Plan: "client a: setall k j; settle; setall j k; settle", Faults: sim.AllFaults(), Budget: 1},
	{Name: "one writer of a batch of three, one fault of any kind",
		Plan: "client a: setall k j i", Faults: sim.AllFaults(), Budget: 1},
	{Name: "one batching client, one fault of any kind",
		Plan: "client a batching: set k & set j & set i", Faults: sim.AllFaults(), Budget: 1},
	{Name: "one batching client, two losses",
		Plan: "client a batching: set i & set k & set j", Faults: losses, Budget: 2},
	{Name: "one batching client with a deferred apply, one loss",
		Plan: "client a batching deferred: set i & set k & set j; getall k j", Faults: losses, Budget: 1},
	{Name: "one batching client with conditions, one loss",
		Plan: "client a batching: set i & set k if absent & set j if 0; settle", Faults: losses, Budget: 1},
	{Name: "a batch beside a writer of one of its keys", First: "z",
		Plan: "client z: set k | client a: setall k j | client b: set k"},
	{Name: "a batch beside a writer of one of its keys, one crash of its own", First: "z",
		Plan: "client z: setall k j | client a: setall k j | client b: set k", Faults: crashes, Budget: 1, Victim: "a"},
	{Name: "two writers of batches of the same keys", First: "z",
		Plan: "client z: setall k j | client a: setall k j | client b: setall j k"},
	{Name: "a batching client beside a writer of one of its keys", First: "z",
		Plan: "client z: setall k j | client a batching: set k & set j & set k | client b: set j"},
	{Name: "two repairers of a batch, two crashes", First: "a",
		Plan: "client a: set k; orphanall k j | client b: repair | client c: repair", Faults: crashes, Budget: 2},
	{Name: "a repairer of a batch of three, one crash", First: "a",
		Plan: "client a: set k; orphanall k j i | client b: repair", Faults: crashes, Budget: 1},
	{Name: "a repairer of a batch beside a writer of one of its keys, one crash", First: "a",
		Plan: "client a: set k; orphanall k j | client b: repair | client c: set k", Faults: crashes, Budget: 1},
	{Name: "a repairer beside the writer of a batch, one crash", First: "z",
		Plan: "client z: setall k j | client a: setall k j | client b: repair", Faults: crashes, Budget: 1},
	{Name: "a consistent reader of two keys beside a batch, one loss", First: "z",
		Plan: "client z: setall k j | client a: setall k j | client b: getall k j", Faults: losses, Budget: 1},
	{Name: "a read-only reader beside a batch, one crash", First: "z",
		Plan: "client z: set k | client a: setall k j | client b readonly always: get k; log", Faults: crashes, Budget: 1},
	{Name: "an audit beside a batch", First: "z",
		Plan: "client z: set k | client a: setall k j | client b: audit"},
	{Name: "a legacy client beside a batch", First: "z",
		Plan: "client z: set k | client a: setall k j; set k | client c legacy: set k; get j"},
	{Name: "a legacy client beside a batch, one crash", First: "z",
		Plan: "client z: set k | client a: setall k j | client c legacy: set k", Faults: crashes, Budget: 1},

	{Name: "a watch over several pages, one fault of any kind", First: "a", Small: true,
		Plan: "client a: set k; set k; set k | client b readonly: watch; watch", Faults: sim.AllFaults(), Budget: 1},
	{Name: "a watch at a batch, two losses", First: "a", Small: true,
		Plan: "client a: set k; setall k j | client b: watch; watch; watch", Faults: losses, Budget: 2},
	{Name: "a watch beside a writer", Small: true,
		Plan: "client a: set k; set k | client b: watch; watch"},
	{Name: "a watch beside a writer, one loss",
		Plan: "client a: set k; set k | client b: watch; watch", Faults: losses, Budget: 1},
	{Name: "a watch beside two writers",
		Plan: "client a: set k | client c: set j | client b: watch; watch"},
	{Name: "a watch beside the writer of a batch, one loss", First: "z",
		Plan: "client z: set k | client a: setall k j | client b: watch; watch", Faults: losses, Budget: 1},
	{Name: "a watch beside an orphan's repair, one loss", First: "a",
		Plan: "client a: set k; orphan k | client b: watch; watch | client c: set j", Faults: losses, Budget: 1},
	{Name: "a watch beside the repair of a batch, one loss", First: "a",
		Plan: "client a: set k; orphanall k j | client b: watch; watch | client c: set k", Faults: losses, Budget: 1},

	{Name: "a copy, one fault of any kind", First: "a", Small: true,
		Plan: "client a: set k | client b: copy; copy", Faults: sim.AllFaults(), Budget: 1},
	{Name: "a copy beside a writer", Small: true,
		Plan: "client a: set k; set k | client b: copy; copy"},
	{Name: "a copy of a batch, one fault of any kind", First: "a",
		Plan: "client a: set k; setall k j | client b: copy; copy", Faults: sim.AllFaults(), Budget: 1},
	{Name: "a copy of an entry, two losses", First: "a",
		Plan: "client a: set k | client b: copy; copy; copy", Faults: losses, Budget: 2},
	{Name: "a copy of two keys, two losses", First: "a",
		Plan: "client a: set k; set j | client b: copy; copy; copy", Faults: losses, Budget: 2},
	{Name: "a copy beside a writer, one loss",
		Plan: "client a: set k | client b: copy; copy", Faults: losses, Budget: 1},
	{Name: "a copy beside an orphan's repair, one loss", First: "a",
		Plan: "client a: set k; orphan k | client b: copy; copy | client c: set j", Faults: losses, Budget: 1},
	{Name: "two copies at the same time", First: "a",
		Plan: "client a: set k; set j | client b: copy | client c: copy"},

	{Name: "a first seal, one fault of any kind", First: "a", Small: true,
		Plan: "client a: set k; set j | client s: seal", Faults: sim.AllFaults(), Budget: 1},
	{Name: "a seal that continues from a checkpoint, one fault of any kind", First: "a", Small: true,
		Plan: "client a: set k; seal; set j | client s: seal", Faults: sim.AllFaults(), Budget: 1},
	{Name: "two sealers, one crash", First: "a", Small: true, Sealers: true,
		Plan: "client a: set k; set j | client s: seal | client t: seal", Faults: crashes, Budget: 1},
	{Name: "two sealers beside a writer", First: "a", Small: true,
		Plan: "client a: set k | client b: set j | client s: seal | client t: seal"},
	{Name: "two sealers, one fault of any kind", First: "a",
		Plan: "client a: set k; set j | client s: seal | client t: seal", Faults: sim.AllFaults(), Budget: 1, Victim: "s"},
	{Name: "two sealers beside a writer, two crashes of sealers", First: "a", Sealers: true,
		Plan: "client a: set k | client b: set j | client s: seal | client t: seal", Faults: crashes, Budget: 2},
	{Name: "two sealers from a checkpoint beside a writer, two crashes of sealers", First: "a", Sealers: true,
		Plan: "client a: set k; seal; set j | client b: set k | client s: seal | client t: seal", Faults: crashes, Budget: 2},
	{Name: "two sealers beside a writer, one loss of a sealer", First: "a",
		Plan: "client a: set k | client b: set j | client s: seal | client t: seal", Faults: losses, Budget: 1, Victim: "s"},
}

// Follows reports whether clients of the world make calls of a verb that follows the log,
// which is watch or copy.
func (w World) Follows(verb string) bool { return strings.Contains(w.Plan, verb) }

// Explore visits all histories of the world. It returns the first that does not
// keep to the protocol.
func (w World) Explore(t *testing.T, workers int) (sim.Coverage, *Outcome) {
	plan, err := ParsePlan(w.Plan)
	if err != nil {
		t.Fatal(err)
	}
	x := sim.Explorer{Faults: w.faults, Budget: w.Budget, Workers: workers}
	coverage, failed := x.Explore(t, func(t *testing.T, s sim.Source) *sim.History {
		return Run(t, plan, &goesFirst{w.First, s}).History
	})
	if failed == nil {
		return coverage, nil
	}
	return coverage, &Outcome{Plan: Plan{plan.Clients, failed.Schedule}, History: failed}
}

func (w World) faults(at sim.Pending) []sim.Fault {
	if w.Victim != "" && w.Victim != at.Process || w.Sealers && at.Process != "s" && at.Process != "t" {
		return nil
	}
	return w.Faults
}

// goesFirst is a source that lets one client end before another source makes its choices.
type goesFirst struct {
	client string
	then   sim.Source
}

func (g *goesFirst) Next(p *sim.Point) (sim.Choice, error) {
	for _, at := range p.Waiting {
		if at.Process == g.client {
			return sim.Choice{Process: at.Process, Nth: at.Nth}, nil
		}
	}
	return g.then.Next(p)
}
