package conformance_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/conformance"
)

// memory makes stores in memory, which restart by way of a dump.
var memory = conformance.Harness{
	New: func(context.Context) (conformance.Store, error) {
		store := memstore.New()
		return conformance.Store{
			Open: func(context.Context) (backend.VersionedStore, error) { return store, nil },
			Restart: func(context.Context) (err error) {
				store, err = memstore.Load(store.Dump())
				return err
			},
		}, nil
	},
	Lacks: map[conformance.Facility]string{
		conformance.OpenDenied: "a store in memory has no permissions",
		conformance.OpenAbsent: "a store in memory is always there",
		conformance.OpenHTTP:   "a store in memory has no network",
		conformance.Worker:     "a store in memory belongs to one process",
	},
	Deep: os.Getenv("IMMUKV_LONG") == "1",
}

func TestMemstore(t *testing.T) {
	t.Parallel()
	conformance.Run(t, memory)
}

// TestCosts holds the suite to the number of requests that it states, whatever
// the rounds. A check that passes has made some.
func TestCosts(t *testing.T) {
	t.Parallel()
	for _, rounds := range []int{1, 2, 3, conformance.DefaultRounds} {
		h := memory
		h.Rounds = rounds
		bound, err := h.MaxRequests()
		if err != nil {
			t.Fatal(err)
		}
		results, err := conformance.Examine(t.Context(), h, func(r conformance.Result) {
			limits := h
			limits.Only = []string{r.Check}
			if most, err := limits.MaxRequests(); err != nil || r.Requests > most {
				t.Errorf("%s made %d requests in %d rounds, of which it states %d at most: %v", r.Check, r.Requests, rounds, most, err)
			}
			if r.Outcome == conformance.Fail || r.Outcome == conformance.Pass && r.Requests == 0 {
				t.Errorf("%d rounds: %+v", rounds, r)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d rounds: %v, at most %d", rounds, conformance.Summarize(results), bound)
	}
}

// In go test, what is not applicable is skipped with its reason, and the end
// says how many there were.
func TestRunOutput(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestMemstore$/^S17$", "-test.v").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"--- SKIP: TestMemstore/S17/denied ",
		"not applicable: a store in memory has no permissions\n",
		"3 checks: 0 passed, 0 failed, 3 not applicable; 0 requests\n",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
