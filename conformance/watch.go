package conformance

import (
	"context"
	"sync/atomic"

	"github.com/immukv/immukv-go/backend"
)

type counter struct{ atomic.Int64 }

// countingStore counts requests. It names every method, so that one added to
// the contract cannot go uncounted unseen.
type countingStore struct {
	store   backend.VersionedStore
	counter *counter
}

var _ backend.VersionedStore = (*countingStore)(nil)

func (s *countingStore) Get(ctx context.Context, name string) (backend.Object, error) {
	s.counter.Add(1)
	return s.store.Get(ctx, name)
}

func (s *countingStore) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	s.counter.Add(1)
	return s.store.GetVersion(ctx, name, id)
}

func (s *countingStore) Head(ctx context.Context, name string) (backend.Version, error) {
	s.counter.Add(1)
	return s.store.Head(ctx, name)
}

func (s *countingStore) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	s.counter.Add(1)
	return s.store.Put(ctx, name, body, cond)
}

func (s *countingStore) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	s.counter.Add(1)
	return s.store.ListVersions(ctx, name, req)
}

func (s *countingStore) ListNames(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
	s.counter.Add(1)
	return s.store.ListNames(ctx, req)
}
