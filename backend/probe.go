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
	// Left is how many versions of the object remain. The contract has no way to remove
	// them; their owner may, by other means.
	Left int
	// Requests is how many requests were made of the store.
	Requests int
}

// ProbeFinding is the result of a probe for one clause.
type ProbeFinding struct {
	Clause  string // "S3"
	Title   string // what the clause requires, in a few words
	Outcome ProbeOutcome
	// Seen is what was observed: on a failure what the store did wrong, otherwise what
	// was tried. It is a sentence without its full stop.
	Seen string
	// Remedy is what to do about a failure, also without a full stop; empty otherwise.
	Remedy string
}

// ProbeOutcome says whether a clause passed the probe.
type ProbeOutcome string

const (
	ProbePassed ProbeOutcome = "pass"
	ProbeFailed ProbeOutcome = "fail"
	// ProbeNotReached is the outcome of a clause that was not tried, because the probe
	// ended before.
	ProbeNotReached ProbeOutcome = "not reached"
)

// Trusted reports whether the store passed the whole probe: the probe found no fault in
// the probed clauses. The conformance suite checks all clauses, and more thoroughly.
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

// probeRacers is the number of concurrent writers. With eight, the stores that are known
// to lose such races had several winners in most rounds.
const probeRacers = 8

// probeRounds is the number of such races.
const probeRounds = 4

// Probe checks whether a store keeps the clauses on which the protocol's safety
// depends and which opening does not check: S1 to S4, S8 to S10 and S14, and with
// them S20. It writes a few small versions of one new object,
//
//	prefix + "_immukv-doctor/" + 128 random bits in base 32
//
// which is neither the name of a log nor of a key, so that no client with that prefix
// reads it. It cannot remove what it wrote. It makes fewer than a hundred requests. Use
// the prefix of the client that will use the store, because permissions may depend on it.
//
// A broken clause is a finding of the report, not an error. An error means that the probe
// could not be completed, for example because a permission or the connection was missing.
// The report is never nil, and says which clauses were reached.
func Probe(ctx context.Context, store VersionedStore, prefix string) (*ProbeReport, error) {
	counting := &countingStore{VersionedStore: store}
	p := &probe{
		store:  counting,
		report: &ProbeReport{Object: prefix + "_immukv-doctor/" + rand.Text(), Findings: newFindings()},
	}
	err := p.run(ctx)
	var unsupported *UnsupportedError
	if errors.As(err, &unsupported) {
		// The store itself has detected the fault.
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

// countingStore counts the requests to a store. It implements every method itself, so
// that a new one cannot be forgotten.
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
