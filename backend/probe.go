package backend

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
)

// ProbeReport is the result of a [Probe].
type ProbeReport struct {
	// Object is the object on which the store was probed.
	Object string
	// Findings has one entry for each clause that was probed, in their order.
	Findings []ProbeFinding
	// Left is how many versions of the object are left behind. The contract
	// has no way to remove them; its owner may, by the store's own means.
	Left int
	// Requests is how many requests were made of the store.
	Requests int
}

// ProbeFinding is the result of a probe for one clause.
type ProbeFinding struct {
	Clause  string // "S3"
	Title   string // what the clause asks for, in a few words
	Outcome ProbeOutcome
	// Seen is what was seen: on a failure what the store did wrong, otherwise
	// what it was tried with. It is a sentence without its full stop.
	Seen string
	// Remedy is what to do about a failure, likewise; empty otherwise.
	Remedy string
}

// ProbeOutcome says whether a clause passed the probe.
type ProbeOutcome string

const (
	ProbePassed ProbeOutcome = "pass"
	ProbeFailed ProbeOutcome = "fail"
	// ProbeNotReached is the outcome of a clause that could not be tried,
	// because the probe ended before.
	ProbeNotReached ProbeOutcome = "not reached"
)

// Trusted reports whether the store passed the whole probe: no fault was found in
// the probed clauses, this time. The conformance suite checks all clauses, and for
// longer.
func (r *ProbeReport) Trusted() bool {
	return len(r.Findings) > 0 && !slices.ContainsFunc(r.Findings, func(f ProbeFinding) bool {
		return f.Outcome != ProbePassed
	})
}

// Err is nil if no clause failed, and otherwise an [*UnsupportedError] for each
// that did, joined.
func (r *ProbeReport) Err() error {
	var errs []error
	for _, f := range r.Findings {
		if f.Outcome == ProbeFailed {
			errs = append(errs, &UnsupportedError{Clause: f.Clause, Problem: f.Seen, Remedy: f.Remedy})
		}
	}
	return errors.Join(errs...)
}

// probeRacers is how many writers race. Eight showed several winners in most
// rounds on the stores that are known to lose such races.
const probeRacers = 8

// probeRounds is how often they race.
const probeRounds = 4

// Probe checks whether a store keeps the clauses on which the protocol's safety
// depends and which opening does not check: S1 to S4, S8 to S10 and S14, and with
// them S20. It writes a few small versions of one new object,
//
//	prefix + "_immukv-doctor/" + 128 random bits in base 32
//
// which is the name of neither a log nor a key, so that no client with that prefix
// reads it. It cannot remove what it wrote. It makes fewer than a hundred requests.
// The prefix should be that of the client which will use the store, as permissions
// may depend on it.
//
// A store that breaks a clause is a finding of the report and no error. An error
// means that the probe could not be carried out, for example for lack of permission
// or of a connection. The report, which is never nil, then says how far it came.
func Probe(ctx context.Context, store VersionedStore, prefix string) (*ProbeReport, error) {
	counting := &countingStore{VersionedStore: store}
	p := &probe{
		store:  counting,
		report: &ProbeReport{Object: prefix + "_immukv-doctor/" + rand.Text(), Findings: newFindings()},
	}
	err := p.run(ctx)
	var unsupported *UnsupportedError
	if errors.As(err, &unsupported) {
		// The store itself saw what is wrong with it.
		p.fail(unsupported.Clause, unsupported.Remedy, "%s", unsupported.Problem)
		err = nil
	}
	if errors.Is(err, errEnded) {
		err = nil
	}
	p.report.Left = p.left(ctx)
	p.report.Requests = int(counting.requests.Load())
	if err != nil {
		return p.report, fmt.Errorf("probe store at %q: %w", p.report.Object, err)
	}
	return p.report, nil
}

func newFindings() []ProbeFinding {
	findings := []ProbeFinding{
		{Clause: "S1", Title: "a write if absent applies only to an absent object"},
		{Clause: "S2", Title: "a write if matching applies only to the matching version"},
		{Clause: "S3", Title: "of concurrent writes under one condition exactly one applies"},
		{Clause: "S4", Title: "a write returns a version ID and an ETag"},
		{Clause: "S8", Title: "a version can be read back for ever, unchanged"},
		{Clause: "S9", Title: "version IDs never repeat, nor do ETags of successive bodies"},
		{Clause: "S10", Title: "versions are listed newest first, each once"},
		{Clause: "S14", Title: "absence is reported as absence"},
	}
	for i := range findings {
		findings[i].Outcome = ProbeNotReached
	}
	return findings
}

// countingStore counts the requests made of a store. It names every method, so
// that one added to the contract cannot go uncounted unseen.
type countingStore struct {
	VersionedStore
	requests atomic.Int64
}

var _ VersionedStore = (*countingStore)(nil)

func (s *countingStore) Get(ctx context.Context, name string) (Object, error) {
	s.requests.Add(1)
	return s.VersionedStore.Get(ctx, name)
}

func (s *countingStore) GetVersion(ctx context.Context, name string, id VersionID) (Object, error) {
	s.requests.Add(1)
	return s.VersionedStore.GetVersion(ctx, name, id)
}

func (s *countingStore) Head(ctx context.Context, name string) (Version, error) {
	s.requests.Add(1)
	return s.VersionedStore.Head(ctx, name)
}

func (s *countingStore) Put(ctx context.Context, name string, body []byte, cond Condition) (Version, error) {
	s.requests.Add(1)
	return s.VersionedStore.Put(ctx, name, body, cond)
}

func (s *countingStore) ListVersions(ctx context.Context, name string, req VersionsRequest) (VersionsPage, error) {
	s.requests.Add(1)
	return s.VersionedStore.ListVersions(ctx, name, req)
}

func (s *countingStore) ListNames(ctx context.Context, req NamesRequest) (NamesPage, error) {
	s.requests.Add(1)
	return s.VersionedStore.ListNames(ctx, req)
}
