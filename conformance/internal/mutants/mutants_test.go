package mutants_test

import (
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

// unseenByProbe are the mutants whose fault does not show in one short visit.
var unseenByProbe = map[string]string{
	"empty-taken-for-absent": "the probe writes no empty body",
	"match-never-on-empty":   "the probe writes no empty body",
	"lock-in-process":        "the probe has one handle",
	"fileblob":               "the window is narrow, and package blobstore knows fileblob without a probe",
	"body-kept":              "the probe leaves its bodies as they are",
	"body-shared":            "the probe leaves its bodies as they are",
	"expiring-versions":      "the probe makes few versions",
}

// TestProbe has the probe behind immukv doctor find the mutants of the clauses
// that it is there for.
func TestProbe(t *testing.T) {
	t.Parallel()
	probed := []string{"S1", "S2", "S3", "S4", "S8"}
	for name := range unseenByProbe {
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
