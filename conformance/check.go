package conformance

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/immukv/immukv-go/backend"
)

// check asks one thing of a store. It knows nothing of package testing, so that
// the command can run it.
type check struct {
	clause string
	name   string
	title  string     // what it asks, as a sentence without its full stop
	needs  []Facility // what the store must have for it
	cost   cost
	run    func(ctx context.Context, e *env) error
}

func (c check) id() string { return c.clause + "/" + c.name }

// is reports whether the check is meant by a name: its own, its clause's, or
// that of the store's clauses or the protocol's invariants as a whole.
func (c check) is(name string) bool {
	return name == c.id() || name == c.clause || name == c.clause[:1]
}

// cost bounds the requests that a check makes. Stores are paid by the request,
// and so the suite says beforehand how many there will be at most.
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

// checkTimeout bounds one check, so that a store which never answers does not
// stop the suite. Thousands of writes, one after another, take minutes on a
// network.
const checkTimeout = 30 * time.Minute

// parallelChecks is how many checks of one clause run side by side, each on a
// store of its own.
const parallelChecks = 8

// all lists the checks in the order of their clauses: those of the store, and
// then the invariants of the protocol.
func all() []check {
	checks := slices.Concat(
		conditionChecks, raceChecks, answerChecks, durabilityChecks, wholenessChecks, freshnessChecks,
		immutabilityChecks, identityChecks, versionListChecks, nameListChecks, nameChecks, bodyChecks,
		absenceChecks, truthChecks, outcomeChecks, refusalChecks, cancelChecks, concurrencyChecks, trustChecks,
		contentionChecks, crashChecks, modelChecks, tamperChecks, processChecks,
	)
	slices.SortStableFunc(checks, func(a, b check) int { return a.rank() - b.rank() })
	return checks
}

// rank orders clauses.
func (c check) rank() int {
	n, _ := strconv.Atoi(c.clause[1:]) // all are of the form S1 or I1
	if c.clause[0] == 'I' {
		n += 100
	}
	return n
}

func (h *Harness) rounds() int {
	if h.Rounds > 0 {
		return h.Rounds
	}
	return DefaultRounds
}

// selected lists the checks that the harness asks for.
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

// Examine runs the suite without package testing. It calls report after each
// check, never twice at once, and returns all results in the order of the
// clauses. The error is that of a harness that makes no sense; a store that
// fails is no error.
func Examine(ctx context.Context, h Harness, report func(Result)) ([]Result, error) {
	checks, err := h.selected()
	if err != nil {
		return nil, err
	}
	results := make([]Result, len(checks))
	var mu sync.Mutex
	var running errgroup.Group
	running.SetLimit(parallelChecks)
	for i, c := range checks {
		if i > 0 && c.clause != checks[i-1].clause {
			running.Wait() //nolint:errcheck // its functions return no error
		}
		running.Go(func() error {
			result := h.run(ctx, c)
			mu.Lock()
			defer mu.Unlock()
			results[i] = result
			report(result)
			return nil
		})
	}
	return results, running.Wait()
}

// run runs one check on a store made for it.
func (h *Harness) run(ctx context.Context, c check) (result Result) {
	result = Result{Check: c.id(), Clause: c.clause, Title: c.title}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	store, err := h.New(ctx)
	if err != nil {
		result.fill(fmt.Errorf("the harness cannot make a store: %w", err))
		return result
	}
	e := newEnv(h, c, store)
	defer func() {
		result.Requests = int(e.requests.Load())
		if err := e.close(ctx); err != nil && result.Outcome != Fail {
			result.fill(err)
		}
	}()
	for _, f := range c.needs {
		reason, lacking := h.Lacks[f]
		switch {
		case lacking && store.has(f):
			result.fill(fmt.Errorf("the harness has %s and yet declares it to be lacking", f))
			return result
		case lacking:
			result.Outcome, result.Reason = NotApplicable, reason
			return result
		case !store.has(f):
			result.fill(fmt.Errorf("the harness neither has %s nor declares why it is lacking", f))
			return result
		}
	}
	result.fill(safely(func() error { return c.run(ctx, e) }))
	return result
}

// env is what a check works with.
type env struct {
	h        *Harness
	store    Store
	rand     *rand.Rand // not for use by several goroutines at once
	requests counter

	mu      sync.Mutex
	handles []backend.VersionedStore
}

func newEnv(h *Harness, c check, store Store) *env {
	hash := fnv.New64a()
	io.WriteString(hash, c.id()) //nolint:errcheck // a hash does not fail
	return &env{h: h, store: store, rand: rand.New(rand.NewPCG(h.Seed, hash.Sum64()))}
}

// open opens one more handle.
func (e *env) open(ctx context.Context) (backend.VersionedStore, error) {
	s, err := e.store.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("open a handle: %w", err)
	}
	return e.adopt(s), nil
}

// adopt counts the requests made through a handle and closes it at the end.
func (e *env) adopt(s backend.VersionedStore) backend.VersionedStore {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.handles = append(e.handles, s)
	return &countingStore{store: s, counter: &e.requests}
}

// openAll opens several handles.
func (e *env) openAll(ctx context.Context, n int) ([]backend.VersionedStore, error) {
	handles := make([]backend.VersionedStore, n)
	for i := range handles {
		var err error
		if handles[i], err = e.open(ctx); err != nil {
			return nil, err
		}
	}
	return handles, nil
}

// restart closes all handles, restarts the store and opens a new handle.
func (e *env) restart(ctx context.Context) (backend.VersionedStore, error) {
	if err := e.closeHandles(); err != nil {
		return nil, err
	}
	if err := e.store.Restart(ctx); err != nil {
		return nil, fmt.Errorf("restart the store: %w", err)
	}
	return e.open(ctx)
}

func (e *env) closeHandles() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var failed error
	for _, s := range e.handles {
		if c, ok := s.(io.Closer); ok {
			if err := c.Close(); err != nil && failed == nil {
				failed = fmt.Errorf("close a handle: %w", err)
			}
		}
	}
	e.handles = nil
	return failed
}

func (e *env) close(ctx context.Context) error {
	err := e.closeHandles()
	if e.store.Close != nil {
		// The store is removed even after the check was interrupted.
		if failed := e.store.Close(context.WithoutCancel(ctx)); failed != nil && err == nil {
			err = fmt.Errorf("close the store: %w", failed)
		}
	}
	return err
}

func (e *env) rounds() int { return e.h.rounds() }

// many is the size of a listing.
func (e *env) many() int {
	if e.h.Deep {
		return 2500
	}
	return 61
}
