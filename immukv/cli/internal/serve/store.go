package serve

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// maxRequests is the number of concurrent requests: enough for the pages and the
// verification that run at once. It also bounds the requests that wait for a store that
// never answers.
const maxRequests = 256

// boundedStore is the store as pages read it: it allows no writes, each request has a
// time limit, and it records the last outcome. A follower or a verification retries
// without limit; with these limits it notices a store that hangs, and the pages report
// it.
type boundedStore struct {
	store backend.VersionedStore
	limit time.Duration
	slots chan struct{} // one for each running request

	mu     sync.Mutex
	failed error // of the last request; nil if it was answered
	since  time.Time
}

func newBoundedStore(store backend.VersionedStore, limit time.Duration) *boundedStore {
	if strict, ok := store.(backend.StrictStore); ok {
		store = strict.AnyName() // the objects may be those of another client
	}
	return &boundedStore{store: store, limit: limit, slots: make(chan struct{}, maxRequests)}
}

// trouble returns the error of the last request, and since when requests have failed, or
// nil.
func (s *boundedStore) trouble() (since time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since, s.failed
}

// note records the outcome of a request.
func (s *boundedStore) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if answered(err) {
		s.failed = nil
		return
	}
	if s.failed == nil {
		s.since = time.Now()
	}
	s.failed = err
}

// answered reports whether the store answered a request that returned err.
func answered(err error) bool {
	return err == nil || errors.Is(err, backend.ErrNotFound) || errors.Is(err, backend.ErrInvalidName) ||
		errors.Is(err, backend.ErrDamaged) || errors.Is(err, backend.ErrTooLarge) || errors.Is(err, backend.ErrAccessDenied)
}

// bounded sends one request. It returns after the time limit, even if the store does not:
// a file on a server that is down may block for ever.
func bounded[T any](s *boundedStore, ctx context.Context, send func(context.Context) (T, error)) (T, error) {
	limited, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	type result struct {
		value T
		err   error
	}
	var r result
	done := make(chan result, 1)
	select {
	case s.slots <- struct{}{}:
		go func() {
			defer func() { <-s.slots }()
			v, err := send(limited)
			done <- result{v, err}
		}()
		select {
		case r = <-done:
		case <-limited.Done():
			r.err = limited.Err()
		}
	case <-limited.Done():
		r.err = limited.Err()
	}
	if r.err != nil && ctx.Err() != nil {
		return r.value, r.err // the caller did not wait: that says nothing about the store
	}
	if r.err != nil && limited.Err() != nil {
		r.err = fmt.Errorf("%w: it did not answer within %v: %w", backend.ErrUnavailable, s.limit, r.err)
	}
	s.note(r.err)
	return r.value, r.err
}

func (s *boundedStore) Get(ctx context.Context, name string) (backend.Object, error) {
	return bounded(s, ctx, func(ctx context.Context) (backend.Object, error) { return s.store.Get(ctx, name) })
}

func (s *boundedStore) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	return bounded(s, ctx, func(ctx context.Context) (backend.Object, error) { return s.store.GetVersion(ctx, name, id) })
}

func (s *boundedStore) Head(ctx context.Context, name string) (backend.Version, error) {
	return bounded(s, ctx, func(ctx context.Context) (backend.Version, error) { return s.store.Head(ctx, name) })
}

// Put returns an error. A read-only client never calls it.
func (s *boundedStore) Put(context.Context, string, []byte, backend.Condition) (backend.Version, error) {
	return backend.Version{}, fmt.Errorf("put: %w: %w", immukv.ErrReadOnly, backend.ErrAccessDenied)
}

func (s *boundedStore) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	return bounded(s, ctx, func(ctx context.Context) (backend.VersionsPage, error) { return s.store.ListVersions(ctx, name, req) })
}

func (s *boundedStore) ListNames(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
	return bounded(s, ctx, func(ctx context.Context) (backend.NamesPage, error) { return s.store.ListNames(ctx, req) })
}
