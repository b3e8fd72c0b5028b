package mutants_test

import (
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/conformance"
	"github.com/immukv/immukv-go/conformance/internal/mutants"
)

// long asks for what takes long, too.
var long = os.Getenv("IMMUKV_LONG") == "1"

// TestHealthy is the control: what mutants are made from passes everything.
func TestHealthy(t *testing.T) {
	t.Parallel()
	for name, harness := range mutants.Healthy() {
		if !long || name == "busy" { // which is mostly waits
			harness.Rounds = 4
		}
		if !long && (name == "remote" || name == "busy") { // tens of thousands of requests over HTTP
			harness.Only = []string{"S", "I1", "I4", "I15"}
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, harness)
		})
	}
}

// TestMutantsAreFound has every mutant fail at the clause that it breaks, every
// time.
func TestMutantsAreFound(t *testing.T) {
	t.Parallel()
	repetitions := 2
	if long {
		repetitions = 20
	}
	names := make(map[string]bool)
	for _, m := range mutants.All() {
		if names[m.Name] {
			t.Errorf("two mutants are called %s", m.Name)
		}
		names[m.Name] = true
		t.Run(m.Clause+"/"+m.Name, func(t *testing.T) {
			t.Parallel()
			found := 0
			for i := range repetitions {
				h := m.Harness()
				h.Only, h.Seed = []string{m.Clause}, uint64(i)
				failed := ""
				if _, err := conformance.Examine(t.Context(), h, func(r conformance.Result) {
					if err := r.Err(); err != nil {
						failed = err.Error()
					}
				}); err != nil {
					t.Fatal(err)
				}
				if failed != "" {
					found++
				}
				if i == 0 {
					t.Log(failed)
				}
			}
			if found < repetitions {
				t.Errorf("survived %d of %d runs of the suite: it %s", repetitions-found, repetitions, m.Habit)
			}
		})
	}
}

// ofBatches are the checks of what batches do and single entries do not: many
// writes at once, and bodies of several lines.
var ofBatches = []string{
	"S3/large-bodies-racing", "S13/lines", "S19/128-objects-at-once",
	"I1/many-batching-clients", "I2/lost-answers-in-batches", "I3/model", "I4/crash-everywhere-in-batches", "I4/any-orphans-of-a-batch",
	"I5/batching-fleet", "I6/nothing-changes", "I7/real-time-order-in-batches", "I8/reads-beside-batches", "I9/crash-in-repair-of-a-batch",
	"I9/repairers-racing-for-a-batch", "I10/read-only", "I11/skewed-clocks", "I12/rogue-versions", "I13/after-an-outage-of-batches",
	"I14/everyone-gets-through-in-batches", "I15", "I16", "I17", "I18",
}

// isOfBatches reports whether a check is one of those.
func isOfBatches(r conformance.Result) bool {
	return slices.Contains(ofBatches, r.Check) || slices.Contains(ofBatches, r.Clause)
}

// TestOnlyBatchesShow has the mutants that mishandle what batches do pass every
// other check: those would let a store go that loses entries of batches.
func TestOnlyBatchesShow(t *testing.T) {
	t.Parallel()
	var others []string
	for _, r := range outcomes(t, mutants.Healthy()["local"]) {
		if !isOfBatches(r) {
			others = append(others, r.Check)
		}
	}
	for _, m := range ofBatchesAlone() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			h := m.Harness()
			if !long {
				h.Rounds = 2
			}
			for _, r := range outcomes(t, h, others...) {
				if err := r.Err(); err != nil {
					t.Errorf("another check finds it: %v", err)
				}
			}
		})
	}
}

// unseenByClients are the mutants that the clients of the protocol do not notice,
// even when they batch.
var unseenByClients = map[string]string{
	foundByChance:                  "no client writes under a condition that does not hold, unless it races for one object",
	"wide-unavailable-yet-applied": "a client does not believe that its write failed, and finds it in the log",
	"wide-versions-disordered":     "clients do not rely on the order of versions",
	"wide-told-they-lost":          "a client that applies an entry and is told so reads the key object, and writes again",
	"wide-conditions-crossed":      "a client that applies an entry and is told that it lost reads the key object, and writes again",
}

// foundByChance is one that clients may notice: if they race for one object while many
// other writes are under way, as when all repair the same large batch on a busy machine.
const foundByChance = "wide-unconditional"

// TestBatchesFind has the checks of the protocol find the mutants that mishandle
// what batches do, without those of the store.
func TestBatchesFind(t *testing.T) {
	t.Parallel()
	var ofProtocol []string
	for _, name := range ofBatches {
		if name[0] == 'I' {
			ofProtocol = append(ofProtocol, name)
		}
	}
	for _, m := range ofBatchesAlone() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			var found []string
			for _, r := range outcomes(t, m.Harness(), ofProtocol...) {
				if r.Outcome == conformance.Fail {
					found = append(found, r.Check)
				}
			}
			if why := unseenByClients[m.Name]; (why == "") != (len(found) > 0) && m.Name != foundByChance {
				t.Errorf("%q find a store that %s; was said of it: %q", found, m.Habit, why)
			}
			t.Log(found)
		})
	}
}

// ofBatchesAlone are the mutants that only batches reveal, or a few of them where
// time is short.
func ofBatchesAlone() []mutants.Mutant {
	few := []string{"wide-lost", "wide-stale-reads", "first-document-only"}
	return slices.DeleteFunc(mutants.All(), func(m mutants.Mutant) bool {
		return !m.OfBatches || !long && !slices.Contains(few, m.Name)
	})
}

// outcomes runs checks of the suite.
func outcomes(t *testing.T, h conformance.Harness, only ...string) []conformance.Result {
	t.Helper()
	h.Only = only
	results, err := conformance.Examine(t.Context(), h, func(conformance.Result) {})
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// A store that lets several writers win a race may yet tell its versions apart.
func TestClausesApart(t *testing.T) {
	t.Parallel()
	all := mutants.All()
	i := slices.IndexFunc(all, func(m mutants.Mutant) bool { return m.Name == "check-then-act" })
	if i < 0 {
		t.Fatal("no mutant is called check-then-act any more")
	}
	h := all[i].Harness()
	h.Only = []string{"S9/ids-unique-under-race"}
	if _, err := conformance.Examine(t.Context(), h, func(r conformance.Result) {
		if err := r.Err(); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// unseenByProbe are the mutants whose fault a short probe does not reveal.
var unseenByProbe = map[string]string{
	"empty-taken-for-absent": "the probe writes no empty body",
	"match-never-on-empty":   "the probe writes no empty body",
	"lock-in-process":        "the probe has one handle",
	"fileblob":               "the window is narrow, and package blobstore knows fileblob without a probe",
	"body-kept":              "the probe leaves its bodies as they are",
	"body-shared":            "the probe leaves its bodies as they are",
	"expiring-versions":      "the probe makes few versions",
	"checked-before-body":    "the probe writes no large bodies",
}

// TestProbe has the probe behind immukv doctor find the mutants of the clauses
// that it is there for.
func TestProbe(t *testing.T) {
	t.Parallel()
	probed := []string{"S1", "S2", "S3", "S4", "S8"}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(unseenByProbe)), slices.Collect(maps.Keys(unseenByClients))) {
		if !slices.ContainsFunc(mutants.All(), func(m mutants.Mutant) bool { return m.Name == name }) {
			t.Errorf("no mutant is called %s any more", name)
		}
	}
	for _, m := range mutants.All() {
		if _, unseen := unseenByProbe[m.Name]; unseen || !slices.Contains(probed, m.Clause) {
			continue
		}
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			store, err := m.Harness().New(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			handle, err := store.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			report, err := backend.Probe(t.Context(), handle, "")
			if err != nil {
				t.Fatal(err)
			}
			if report.Trusted() {
				t.Errorf("the probe trusts a store that %s", m.Habit)
			}
		})
	}
}
