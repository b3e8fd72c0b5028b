package immukv_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// oneByOne is a store that takes one request at a time, and does something with each.
type oneByOne struct {
	store  backend.VersionedStore
	turn   chan struct{}
	around func(send func())
}

func (s *oneByOne) do(send func()) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.around(send)
}

func (s *oneByOne) Get(ctx context.Context, name string) (obj backend.Object, err error) {
	s.do(func() { obj, err = s.store.Get(ctx, name) })
	return obj, err
}

func (s *oneByOne) GetVersion(ctx context.Context, name string, id backend.VersionID) (obj backend.Object, err error) {
	s.do(func() { obj, err = s.store.GetVersion(ctx, name, id) })
	return obj, err
}

func (s *oneByOne) Head(ctx context.Context, name string) (v backend.Version, err error) {
	s.do(func() { v, err = s.store.Head(ctx, name) })
	return v, err
}

func (s *oneByOne) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (v backend.Version, err error) {
	s.do(func() { v, err = s.store.Put(ctx, name, body, cond) })
	return v, err
}

func (s *oneByOne) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (page backend.VersionsPage, err error) {
	s.do(func() { page, err = s.store.ListVersions(ctx, name, req) })
	return page, err
}

func (s *oneByOne) ListNames(ctx context.Context, req backend.NamesRequest) (page backend.NamesPage, err error) {
	s.do(func() { page, err = s.store.ListNames(ctx, req) })
	return page, err
}

// crashing is a store for a client that dies between append and apply of its write.
func crashing(store backend.VersionedStore) *tapped {
	dead := false
	return &tapped{store: store, put: func(r request, send func() (backend.Version, error)) (backend.Version, error) {
		if dead {
			return backend.Version{}, storeError(backend.ErrAccessDenied)
		}
		v, err := send()
		dead = r.name == logObject && err == nil
		return v, err
	}}
}

// Whatever another client does at whatever point of a write, once or twice, its
// apply done or not, both clients' entries are in the log once and no key
// object is out of step.
func TestAnotherAtEveryPoint(t *testing.T) {
	t.Parallel()
	for _, warm := range []bool{false, true} {
		for _, before := range []int{0, 3} {
			t.Run(fmt.Sprintf("warm=%v/%d before", warm, before), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					points := 0
					for _, others := range []string{"a", "b", "aa", "ab", "ba", "bb"} {
						for _, crash := range []bool{false, true} {
							for at := 0; anotherAt(t, warm, before, others, crash, at); at++ {
								points++
								if t.Failed() {
									t.Fatalf("others write %q, the last one crashes: %v, at request %d", others, crash, at/2)
								}
							}
						}
					}
					t.Logf("%d histories", points)
				})
			})
		}
	}
}

// anotherAt has another client write the keys of others before the request number
// at/2 of a write of key a, or after it. It returns whether there is such a request.
func anotherAt(t *testing.T, warm bool, before int, others string, crash bool, at int) bool {
	t.Helper()
	mem := memstore.New()
	other := open[string](t, mem)
	for i := range before {
		set(t, other, "ba"[i%2:][:1], "before")
	}
	happened, sent := false, at+1
	meddle := func() {
		if sent++; sent != at+1 {
			return
		}
		happened = true
		for i, key := range others {
			writer := other
			if crash && i == len(others)-1 {
				writer = open[string](t, crashing(mem))
			}
			set(t, writer, string(key), "other")
		}
	}
	db := open[string](t, &oneByOne{store: mem, turn: make(chan struct{}, 1), around: func(send func()) {
		meddle()
		send()
		meddle()
	}})
	entries := before + 1
	if warm {
		for _, key := range []string{"b", "a"} {
			set(t, db, key, "ours")
			entries++
		}
	}
	sent = 0
	set(t, db, "a", "value")
	sent = at + 1
	if happened {
		entries += len(others)
	}
	for _, writer := range []*immukv.Client[string]{db, other} {
		for _, key := range []string{"a", "b"} {
			set(t, writer, key, "after")
			entries++
		}
	}
	if n := occurrences(t, mem, "value"); n != 1 {
		t.Errorf("the value stands %d times in the log", n)
	}
	if r := audit(t, mem); len(r.Orphans) > 0 || r.Entries != int64(entries) {
		t.Errorf("%d entries of %d, orphan %+v", r.Entries, entries, r.Orphans)
	}
	return happened
}
