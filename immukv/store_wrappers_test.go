package immukv_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
)

// request is one request to a store.
type request struct {
	op   string // "get", "version", "head", "put", "versions", "names"
	name string
}

func (r request) String() string { return r.op + " " + r.name }

// tapped passes requests on to a store and lets a test watch or disturb them. It
// names every method itself, so that none slips past.
type tapped struct {
	store backend.VersionedStore
	// before is called with every request; an error is its answer.
	before func(context.Context, request) error
	// put is called for every write, which send sends.
	put func(r request, send func() (backend.Version, error)) (backend.Version, error)
	// order changes the order in which versions are listed: newest first.
	order func([]backend.Version) []backend.Version
	// page is the size of pages; zero leaves it to the store.
	page int
}

func (s *tapped) tell(ctx context.Context, op, name string) error {
	if s.before == nil {
		return nil
	}
	return s.before(ctx, request{op, name})
}

func (s *tapped) Get(ctx context.Context, name string) (backend.Object, error) {
	if err := s.tell(ctx, "get", name); err != nil {
		return backend.Object{}, err
	}
	return s.store.Get(ctx, name)
}

func (s *tapped) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	if err := s.tell(ctx, "version", name); err != nil {
		return backend.Object{}, err
	}
	return s.store.GetVersion(ctx, name, id)
}

func (s *tapped) Head(ctx context.Context, name string) (backend.Version, error) {
	if err := s.tell(ctx, "head", name); err != nil {
		return backend.Version{}, err
	}
	return s.store.Head(ctx, name)
}

func (s *tapped) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if err := s.tell(ctx, "put", name); err != nil {
		return backend.Version{}, err
	}
	send := func() (backend.Version, error) {
		// What is delivered late must not depend on the caller's context.
		return s.store.Put(context.WithoutCancel(ctx), name, body, cond)
	}
	if s.put == nil {
		return send()
	}
	return s.put(request{"put", name}, send)
}

func (s *tapped) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	if err := s.tell(ctx, "versions", name); err != nil {
		return backend.VersionsPage{}, err
	}
	if s.order == nil {
		if s.page > 0 {
			req.Limit = s.page
		}
		return s.store.ListVersions(ctx, name, req)
	}
	var all []backend.Version
	for ask := (backend.VersionsRequest{}); ; {
		page, err := s.store.ListVersions(ctx, name, ask)
		if err != nil {
			return page, err
		}
		all = append(all, page.Versions...)
		if ask.Token = page.Next; ask.Token == "" {
			break
		}
	}
	all = s.order(all)
	after := req.After
	if req.Token != "" {
		after = backend.VersionID(req.Token)
	}
	if after != "" {
		all = all[1+slices.IndexFunc(all, func(v backend.Version) bool { return v.ID == after }):]
	}
	size := s.page
	if size == 0 {
		size = backend.MaxPageSize
	}
	if len(all) <= size {
		return backend.VersionsPage{Versions: all}, nil
	}
	return backend.VersionsPage{Versions: all[:size], Next: backend.PageToken(all[size-1].ID)}, nil
}

func (s *tapped) ListNames(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
	if err := s.tell(ctx, "names", req.Prefix); err != nil {
		return backend.NamesPage{}, err
	}
	if s.page > 0 {
		req.Limit = s.page
	}
	return s.store.ListNames(ctx, req)
}

// counter counts the requests that pass it.
type counter struct {
	tapped
	mu   sync.Mutex
	seen []request
}

func counted(store backend.VersionedStore) *counter {
	c := &counter{tapped: tapped{store: store}}
	c.before = func(_ context.Context, r request) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen = append(c.seen, r)
		return nil
	}
	return c
}

// take returns the requests since it was called last.
func (c *counter) take() []request {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen = nil
	return seen
}

// want checks the requests since the last take, in any order, each written as
// "op name" with a count before it: "2 version _log.json".
func (c *counter) want(t *testing.T, what string, want ...string) {
	t.Helper()
	counts := make(map[string]int)
	for _, r := range c.take() {
		counts[r.String()]++
	}
	var got []string
	for r, n := range counts {
		got = append(got, strconv.Itoa(n)+" "+r)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: requests are %q, want %q", what, got, want)
	}
}

// writes counts writes among requests.
func writes(seen []request) (n int) {
	for _, r := range seen {
		if r.op == "put" {
			n++
		}
	}
	return n
}

// fault is what a write meets; nil is nothing.
type fault func(send func() (backend.Version, error)) (backend.Version, error)

// notApplied fails a write that has no effect.
func notApplied(err error) fault {
	return func(func() (backend.Version, error)) (backend.Version, error) {
		return backend.Version{}, err
	}
}

// appliedBut gives a write an answer that is not the one it had.
func appliedBut(err error) fault {
	return func(send func() (backend.Version, error)) (backend.Version, error) {
		_, _ = send()
		return backend.Version{}, err
	}
}

// twice applies a write twice, as when a proxy repeats it; the second answer is
// the one that arrives.
func twice(send func() (backend.Version, error)) (backend.Version, error) {
	_, _ = send()
	return send()
}

// mail holds writes that are delivered later.
type mail []func() (backend.Version, error)

// later keeps a write and gives an answer in its place.
func (m *mail) later(err error) fault {
	return func(send func() (backend.Version, error)) (backend.Version, error) {
		*m = append(*m, send)
		return backend.Version{}, err
	}
}

// deliver delivers all writes kept so far and returns how many applied.
func (m *mail) deliver() (applied int) {
	for _, send := range *m {
		if _, err := send(); err == nil {
			applied++
		}
	}
	*m = nil
	return applied
}

// onPut has the writes of one object meet faults, one after another; those beyond
// meet none.
func onPut(store backend.VersionedStore, name string, faults ...fault) *tapped {
	var mu sync.Mutex
	return &tapped{store: store, put: func(r request, send func() (backend.Version, error)) (backend.Version, error) {
		mu.Lock()
		defer mu.Unlock()
		if r.name != name || len(faults) == 0 {
			return send()
		}
		f := faults[0]
		faults = faults[1:]
		if f == nil {
			return send()
		}
		return f(send)
	}}
}

// always is the same fault for every write of one object.
func always(store backend.VersionedStore, name string, f fault) *tapped {
	return &tapped{store: store, put: func(r request, send func() (backend.Version, error)) (backend.Version, error) {
		if r.name != name {
			return send()
		}
		return f(send)
	}}
}

// storeError is an error as a store gives it.
func storeError(kind error) error {
	return &backend.Error{Op: "put", Name: "x", Kind: kind, Err: errors.New("as the test wants it")}
}

// denied is a store that may be read only.
func denied(store backend.VersionedStore) *tapped {
	return &tapped{store: store, put: func(r request, _ func() (backend.Version, error)) (backend.Version, error) {
		return backend.Version{}, &backend.Error{Op: "put", Name: r.name, Kind: backend.ErrAccessDenied}
	}}
}

// load makes a store of a state.
func load(t testing.TB, state memstore.State) *memstore.Store {
	t.Helper()
	store, err := memstore.Load(state)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// versionsOf are the versions of an object in a state, oldest first.
func versionsOf(state memstore.State, name string) []memstore.Version {
	for _, o := range state.Objects {
		if o.Name == name {
			return o.Versions
		}
	}
	return nil
}

// edit changes the versions of one object of a store behind the protocol's back.
func edit(t testing.TB, store *memstore.Store, name string, change func([]memstore.Version) []memstore.Version) *memstore.Store {
	t.Helper()
	state := store.Dump()
	i := slices.IndexFunc(state.Objects, func(o memstore.Object) bool { return o.Name == name })
	if i < 0 {
		t.Fatal(fmt.Errorf("no object %s", name))
	}
	if o := &state.Objects[i]; true {
		o.Versions = change(o.Versions)
		if len(o.Versions) == 0 {
			state.Objects = slices.Delete(state.Objects, i, i+1)
		}
	}
	return load(t, state)
}

// replaced replaces a part of a body, which must be there once.
func replaced(body, old, with string) string {
	if strings.Count(body, old) != 1 {
		panic(fmt.Sprintf("%s has not one %s", body, old))
	}
	return strings.Replace(body, old, with, 1)
}

// random is a source of chance that several goroutines may use.
type random struct {
	mu  sync.Mutex
	src *rand.Rand
}

func newRandom(seed uint64) *random { return &random{src: rand.New(rand.NewPCG(seed, seed))} }

func (r *random) IntN(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.src.IntN(n)
}
