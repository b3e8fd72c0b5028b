package conformance_test

import (
	"context"
	"os"
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
		conformance.Worker:     "a store in memory is its process's own",
	},
	Deep: os.Getenv("IMMUKV_LONG") == "1",
}

func TestMemstore(t *testing.T) {
	t.Parallel()
	conformance.Run(t, memory)
}

// TestCosts holds the suite to the number of requests that it states.
func TestCosts(t *testing.T) {
	t.Parallel()
	bound, err := memory.MaxRequests()
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	results, err := conformance.Examine(t.Context(), memory, func(r conformance.Result) {
		made += r.Requests
		if max, _ := (&conformance.Harness{Only: []string{r.Check}, Deep: memory.Deep}).MaxRequests(); r.Requests > max {
			t.Errorf("%s made %d requests, of which it states %d at most", r.Check, r.Requests, max)
		} else {
			t.Logf("%s: %d of %d", r.Check, r.Requests, max)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d requests in %d checks, at most %d", made, len(results), bound)
}
