package conformance_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/conformance"
)

// logSizes notes how many lines the written versions of the log have.
type logSizes struct {
	backend.VersionedStore
	mu    *sync.Mutex
	lines *[]int
}

func (s logSizes) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	v, err := s.VersionedStore.Put(ctx, name, body, cond)
	if err == nil && strings.HasSuffix(name, "_log.json") {
		s.mu.Lock()
		defer s.mu.Unlock()
		*s.lines = append(*s.lines, 1+bytes.Count(body, []byte("\n")))
	}
	return v, err
}

// The checks of clients that batch make batches, whose sizes nobody decides: it
// depends on who writes at once.
func TestBatchesAreMade(t *testing.T) {
	t.Parallel()
	for _, check := range []string{
		"I1/many-batching-clients", "I5/batching-fleet", "I7/real-time-order-in-batches", "I13/after-an-outage-of-batches",
		"I14/everyone-gets-through-in-batches", "I16/order-of-each-caller", "I16/order-of-callers-that-give-up", "I18/newest-under-load",
	} {
		var mu sync.Mutex
		var lines []int
		h := around(func(s backend.VersionedStore) backend.VersionedStore { return logSizes{s, &mu, &lines} })
		if r := examine(t, h, check)[check]; r.Outcome != conformance.Pass {
			t.Errorf("%+v", r)
		}
		slices.Sort(lines)
		batches := 0
		for _, n := range lines {
			if n > 1 {
				batches++
			}
		}
		t.Logf("%s: %d versions of the log, %d of several entries, of %d at most", check, len(lines), batches, lines[len(lines)-1])
		if batches == 0 {
			t.Errorf("%s makes no batch", check)
		}
	}
}

// appends notes under which conditions large versions of the log are written.
type appends struct {
	backend.VersionedStore
	mu    *sync.Mutex
	conds map[backend.Condition]int
}

func (s appends) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if name == "_log.json" && len(body) > 64<<10 {
		s.mu.Lock()
		s.conds[cond]++
		s.mu.Unlock()
	}
	return s.VersionedStore.Put(ctx, name, body, cond)
}

// Each of the clients that append large batches knows the head of the others in every
// round. Otherwise one may begin when another has ended.
func TestLargeBatchesRace(t *testing.T) {
	t.Parallel()
	const check = "I15/large-batches-racing"
	var mu sync.Mutex
	conds := make(map[backend.Condition]int)
	h := around(func(s backend.VersionedStore) backend.VersionedStore { return appends{s, &mu, conds} })
	if r := examine(t, h, check)[check]; r.Outcome != conformance.Pass {
		t.Errorf("%+v", r)
	}
	races := 0
	for _, n := range conds {
		if n > 1 {
			races++
		}
	}
	if races != 3 {
		t.Errorf("%d of 3 rounds are races: %v", races, conds)
	}
}

// picky is a store that cannot hold names with an empty part.
type picky struct{ backend.VersionedStore }

func (p picky) check(op, name string) error {
	if strings.Contains(name, "//") {
		return &backend.Error{Op: op, Name: name, Kind: backend.ErrInvalidName}
	}
	return nil
}

func (p picky) Head(ctx context.Context, name string) (backend.Version, error) {
	if err := p.check("head", name); err != nil {
		return backend.Version{}, err
	}
	return p.VersionedStore.Head(ctx, name)
}

func (p picky) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if err := p.check("put", name); err != nil {
		return backend.Version{}, err
	}
	return p.VersionedStore.Put(ctx, name, body, cond)
}

// A name that the store declares it cannot hold is tried in batches. One that it
// holds, although it declares otherwise, fails the check.
func TestKeysThatCannotBeHeld(t *testing.T) {
	t.Parallel()
	const check = "I15/keys-that-cannot-be-held"
	h := around(func(s backend.VersionedStore) backend.VersionedStore { return picky{s} })
	h.Limits.RefusesName = func(name string) bool { return strings.Contains(name, "//") }
	if r := examine(t, h, check)[check]; r.Outcome != conformance.Pass {
		t.Errorf("%+v", r)
	}
	h.New = func(context.Context) (conformance.Store, error) {
		store := memstore.New()
		return conformance.Store{Open: func(context.Context) (backend.VersionedStore, error) { return store, nil }}, nil
	}
	if r := examine(t, h, check)[check]; r.Outcome != conformance.Fail || !strings.Contains(r.Seen, "success") {
		t.Errorf("%+v", r)
	}
}
