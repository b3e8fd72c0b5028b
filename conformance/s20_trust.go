package conformance

import (
	"context"

	"github.com/immukv/immukv-go/backend"
)

// S20: a store that cannot keep the contract is reported as unsupported. These
// checks run the probe and count the requests of opening; the other clauses
// check the store itself.
var trustChecks = clause("S20",
	check{
		name: "probe-trusts", cost: cost{fixed: 100},
		title: "the probe behind immukv doctor finds the store trustworthy",
		run:   checkProbe,
	},
	check{
		name: "opening-is-cheap", needs: []Facility{OpenHTTP}, cost: cost{fixed: 10},
		title: "opening makes at most one request, and writes nothing",
		run:   checkOpeningIsCheap,
	},
)

func checkProbe(ctx context.Context, e *env) error {
	s := e.stores[0]
	report, err := backend.Probe(ctx, s, "plant-7/")
	if err != nil {
		return err
	}
	if !report.Trusted() {
		return unlike("the probe to trust the store", "%v", report.Err())
	}
	return nil
}

func checkOpeningIsCheap(ctx context.Context, e *env) error {
	s, link, err := e.openThrough(ctx)
	if err != nil {
		return err
	}
	if all, writes := link.count(); all > 1 || writes > 0 {
		return unlike("opening to make at most one request, and none that writes", "%d requests, %d of them to write", all, writes)
	}
	return absent(ctx, s, object)
}
