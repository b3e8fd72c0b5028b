package conformance

import (
	"context"
	"fmt"
	"slices"
)

// check tests one property of a store. It does not use package testing, so that the
// command can run it.
type check struct {
	clause string
	name   string
	title  string     // the property, as a sentence without its full stop
	needs  []Facility // what the store must have for it
	// handles is the number of handles that are open when the check begins. It
	// begins with two at least.
	handles int
	cost    cost
	run     func(ctx context.Context, e *env) error
}

func (c check) id() string { return c.clause + "/" + c.name }

// is reports whether the check has a name: its own, its clause's, or that of all the
// store's clauses or all the protocol's invariants.
func (c check) is(name string) bool {
	return name == c.id() || name == c.clause || name == c.clause[:1]
}

// cost bounds the requests that a check makes. Users pay for each request, so
// the suite states the bound before it begins.
type cost struct {
	fixed, perRound int
	deep            int // on top, if the harness asks for depth
}

func (c cost) requests(h *Harness) int {
	n := c.fixed + c.perRound*h.rounds()
	if h.Deep {
		n += c.deep
	}
	return n
}

// clause returns the checks with their clause set.
func clause(id string, checks ...check) []check {
	for i := range checks {
		checks[i].clause = id
	}
	return checks
}

// all returns the checks in the order of their clauses: first the store's, then
// the protocol's. The checks of S3 are in the file whose name begins with s03,
// and so on.
func all() []check {
	return slices.Concat(
		createChecks, matchChecks, raceChecks, answerChecks, durabilityChecks, wholenessChecks, freshnessChecks,
		immutabilityChecks, identityChecks, versionListChecks, nameListChecks, nameChecks, bodyChecks, absenceChecks,
		preconditionChecks, outcomeChecks, deniedOrBusyChecks, contextChecks, concurrencyChecks, trustChecks,

		manyWriterChecks, lostAnswerChecks, modelChecks, crashChecks, fleetChecks, unchangedChecks, orderChecks,
		readChecks, repairChecks, readOnlyChecks, clockChecks, rogueChecks, outageChecks, fairnessChecks,
		batchChecks, callerChecks, conditionChecks, consistentChecks,
	)
}

// selected lists the checks that the harness selects.
func (h *Harness) selected() ([]check, error) {
	checks := all()
	if len(h.Only) == 0 {
		return checks, nil
	}
	for _, name := range h.Only {
		if !slices.ContainsFunc(checks, func(c check) bool { return c.is(name) }) {
			return nil, fmt.Errorf("no check or clause is called %q", name)
		}
	}
	return slices.DeleteFunc(checks, func(c check) bool {
		return !slices.ContainsFunc(h.Only, c.is)
	}), nil
}

// MaxRequests is how many requests the suite makes at most.
func (h *Harness) MaxRequests() (int, error) {
	checks, err := h.selected()
	total := 0
	for _, c := range checks {
		total += c.cost.requests(h)
	}
	return total, err
}
