package conformance_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/conformance"
)

// busyStore is unavailable for every n-th request, even for those of which the
// context has ended.
type busyStore struct {
	backend.VersionedStore
	n        int64
	requests *atomic.Int64
	refused  *atomic.Int64
}

func (s busyStore) busy(op, name string) error {
	if s.requests.Add(1)%s.n != 0 {
		return nil
	}
	s.refused.Add(1)
	return &backend.Error{Op: op, Name: name, Kind: backend.ErrUnavailable}
}

func (s busyStore) Get(ctx context.Context, name string) (backend.Object, error) {
	if err := s.busy("get", name); err != nil {
		return backend.Object{}, err
	}
	return s.VersionedStore.Get(ctx, name)
}

func (s busyStore) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	if err := s.busy("get version", name); err != nil {
		return backend.Object{}, err
	}
	return s.VersionedStore.GetVersion(ctx, name, id)
}

func (s busyStore) Head(ctx context.Context, name string) (backend.Version, error) {
	if err := s.busy("head", name); err != nil {
		return backend.Version{}, err
	}
	return s.VersionedStore.Head(ctx, name)
}

func (s busyStore) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if err := s.busy("put", name); err != nil {
		return backend.Version{}, err
	}
	return s.VersionedStore.Put(ctx, name, body, cond)
}

func (s busyStore) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	if err := s.busy("list versions", name); err != nil {
		return backend.VersionsPage{}, err
	}
	return s.VersionedStore.ListVersions(ctx, name, req)
}

func (s busyStore) ListNames(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
	if err := s.busy("list names", req.Prefix); err != nil {
		return backend.NamesPage{}, err
	}
	return s.VersionedStore.ListNames(ctx, req)
}

// examineBusy examines a store that is unavailable for every n-th request. It
// returns the results and how many requests ended so.
func examineBusy(t *testing.T, n int64, only ...string) (results []conformance.Result, failed int64) {
	t.Helper()
	var requests, count atomic.Int64
	h := around(func(s backend.VersionedStore) backend.VersionedStore {
		return busyStore{s, n, &requests, &count}
	})
	h.Rounds, h.Deep, h.Only = 4, false, only
	results, err := conformance.Examine(t.Context(), h, func(conformance.Result) {})
	if err != nil {
		t.Fatal(err)
	}
	return results, count.Load()
}

// A store may be unavailable for a request now and then. The suite repeats the request,
// and counts the repetitions.
func TestUnavailableNowAndThen(t *testing.T) {
	t.Parallel()
	results, failed := examineBusy(t, 20)
	for _, r := range results {
		if err := r.Err(); err != nil {
			t.Error(err)
		}
	}
	sum := conformance.Summarize(results)
	t.Logf("%v; %d requests failed", sum, failed)
	// Those whose context has ended are not made again.
	if n := int64(sum.Unavailable); n > failed || n < failed*9/10 {
		t.Errorf("%d requests made again, of %d that failed", n, failed)
	}
	if !strings.Contains(sum.String(), "made again because the store was unavailable") {
		t.Errorf("the summary does not say so: %v", sum)
	}
}

// A store that is never available fails, and soon.
func TestNeverAvailable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		results, _ := examineBusy(t, 1, "S", "I1") // simulated crashes, in others, hold a lock meanwhile
		for _, r := range results {
			if r.Outcome == conformance.Pass || r.Outcome == conformance.Fail && !strings.Contains(r.Seen, "unavailable") {
				t.Errorf("%+v", r)
			}
		}
		// In a bubble only the waits take time.
		if took := time.Since(began); took > time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}
