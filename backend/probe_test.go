package backend_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
)

func TestProbeTrustsAStoreThatKeepsItsWord(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	report, err := backend.Probe(t.Context(), store, "plant-7/")
	if err != nil {
		t.Fatal(err)
	}
	if !report.Trusted() || report.Err() != nil {
		t.Fatalf("not trusted: %+v", report)
	}
	if report.Requests >= 100 {
		t.Errorf("%d requests, of which less than a hundred are promised", report.Requests)
	}
	objects := store.Dump().Objects
	if len(objects) != 1 || objects[0].Name != report.Object || len(objects[0].Versions) != report.Left {
		t.Errorf("left behind %v, reported %d versions of %q", objects, report.Left, report.Object)
	}
	if !strings.HasPrefix(report.Object, "plant-7/_immukv-doctor/") {
		t.Errorf("probed on %q, a name that a client might meet", report.Object)
	}
}

// A page may be as short as the store likes, where none was asked for.
func TestProbeCountsWhatIsLeftOverPages(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	report, err := backend.Probe(t.Context(), brokenStore{Store: store,
		list: func(ctx context.Context, s *memstore.Store, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
			req.Limit = 2
			return s.ListVersions(ctx, name, req)
		}}, "")
	if err != nil || !report.Trusted() {
		t.Fatalf("not trusted: %+v, %v", report, err)
	}
	if versions := store.Dump().Objects[0].Versions; len(versions) != report.Left {
		t.Errorf("reported %d versions, left behind %d", report.Left, len(versions))
	}
}

// A page may be empty and yet have a Next.
func TestProbeReadsPastEmptyPages(t *testing.T) {
	t.Parallel()
	report, err := backend.Probe(t.Context(), brokenStore{Store: memstore.New(),
		list: func(ctx context.Context, s *memstore.Store, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
			token, full := strings.CutPrefix(string(req.Token), "full:")
			if !full {
				return backend.VersionsPage{Next: "full:" + req.Token}, nil
			}
			req.Token = backend.PageToken(token)
			req.Limit = 1
			return s.ListVersions(ctx, name, req)
		}}, "")
	if err != nil || !report.Trusted() {
		t.Fatalf("not trusted: %+v, %v", report, err)
	}
	if report.Requests >= 100 {
		t.Errorf("%d requests, of which less than a hundred are promised", report.Requests)
	}
}

// brokenStore breaks a clause in what it answers to one of its methods.
type brokenStore struct {
	*memstore.Store
	put     func(ctx context.Context, s *memstore.Store, name string, body []byte, cond backend.Condition) (backend.Version, error)
	version func(ctx context.Context, s *memstore.Store, name string, id backend.VersionID) (backend.Object, error)
	list    func(ctx context.Context, s *memstore.Store, name string, req backend.VersionsRequest) (backend.VersionsPage, error)
	head    func(ctx context.Context, s *memstore.Store, name string) (backend.Version, error)
}

func (b brokenStore) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if b.put != nil {
		return b.put(ctx, b.Store, name, body, cond)
	}
	return b.Store.Put(ctx, name, body, cond)
}

func (b brokenStore) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	if b.version != nil {
		return b.version(ctx, b.Store, name, id)
	}
	return b.Store.GetVersion(ctx, name, id)
}

func (b brokenStore) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	if b.list != nil {
		return b.list(ctx, b.Store, name, req)
	}
	return b.Store.ListVersions(ctx, name, req)
}

func (b brokenStore) Head(ctx context.Context, name string) (backend.Version, error) {
	if b.head != nil {
		return b.head(ctx, b.Store, name)
	}
	return b.Store.Head(ctx, name)
}

// overwrite writes as a server does that ignores conditions.
func overwrite(ctx context.Context, s *memstore.Store, name string, body []byte) (backend.Version, error) {
	for {
		cond := backend.IfAbsent()
		if current, err := s.Head(ctx, name); err == nil {
			cond = backend.IfMatch(current.ETag)
		}
		v, err := s.Put(ctx, name, body, cond)
		if !errors.Is(err, backend.ErrPreconditionFailed) {
			return v, err
		}
	}
}

func TestProbeFindsWhatAStoreBreaks(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		store  brokenStore
		clause string
	}{
		"conditions ignored": {clause: "S1", store: brokenStore{
			put: func(ctx context.Context, s *memstore.Store, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				return overwrite(ctx, s, name, body)
			}}},
		"writes if absent never accepted": {clause: "S1", store: brokenStore{
			put: func(ctx context.Context, s *memstore.Store, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				return backend.Version{}, backend.ErrPreconditionFailed
			}}},
		"match ignored": {clause: "S2", store: brokenStore{
			put: func(ctx context.Context, s *memstore.Store, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				if cond.Absent() {
					return s.Put(ctx, name, body, cond)
				}
				return overwrite(ctx, s, name, body)
			}}},
		"match ignored on a missing object": {clause: "S2", store: brokenStore{
			put: func(ctx context.Context, s *memstore.Store, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				if _, err := s.Head(ctx, name); err != nil {
					cond = backend.IfAbsent()
				}
				return s.Put(ctx, name, body, cond)
			}}},
		"match never accepted": {clause: "S2", store: brokenStore{
			put: func(ctx context.Context, s *memstore.Store, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				return s.Put(ctx, name, body, backend.IfAbsent())
			}}},
		"several winners": {clause: "S3", store: brokenStore{
			put: func(ctx context.Context, s *memstore.Store, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				if cond.Absent() || strings.HasSuffix(name, "-absent") {
					return s.Put(ctx, name, body, cond)
				}
				versions, err := s.ListVersions(ctx, name, backend.VersionsRequest{})
				if err != nil {
					return backend.Version{}, err
				}
				for _, recent := range versions.Versions[:min(2, len(versions.Versions))] {
					if recent.ETag == cond.ETag() {
						return overwrite(ctx, s, name, body)
					}
				}
				return backend.Version{}, backend.ErrPreconditionFailed
			}}},
		"versioning suspended": {clause: "S4", store: brokenStore{
			put: func(ctx context.Context, s *memstore.Store, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				v, err := s.Put(ctx, name, body, cond)
				if err == nil {
					v.ID = "null"
				}
				return v, err
			}}},
		"no ETag": {clause: "S4", store: brokenStore{
			put: func(ctx context.Context, s *memstore.Store, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				v, err := s.Put(ctx, name, body, cond)
				v.ETag = ""
				return v, err
			}}},
		"the store itself says no": {clause: "S4", store: brokenStore{
			put: func(context.Context, *memstore.Store, string, []byte, backend.Condition) (backend.Version, error) {
				return backend.Version{}, &backend.Error{Op: "put", Err: &backend.UnsupportedError{Clause: "S4", Problem: "no version ID", Remedy: "enable versioning"}}
			}}},
		"old versions unreadable": {clause: "S8", store: brokenStore{
			version: func(ctx context.Context, s *memstore.Store, name string, id backend.VersionID) (backend.Object, error) {
				return backend.Object{}, errors.New("not implemented")
			}}},
		"the current body for every version": {clause: "S8", store: brokenStore{
			version: func(ctx context.Context, s *memstore.Store, name string, id backend.VersionID) (backend.Object, error) {
				return s.Get(ctx, name)
			}}},
		"another ETag when read": {clause: "S8", store: brokenStore{
			version: func(ctx context.Context, s *memstore.Store, name string, id backend.VersionID) (backend.Object, error) {
				o, err := s.GetVersion(ctx, name, id)
				o.ETag = "W/" + o.ETag
				return o, err
			}}},
		"versions cannot be listed": {clause: "S10", store: brokenStore{
			list: func(ctx context.Context, s *memstore.Store, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
				return backend.VersionsPage{}, errors.New("not implemented")
			}}},
		"the first page for every page": {clause: "S10", store: brokenStore{
			list: func(ctx context.Context, s *memstore.Store, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
				req.Token = ""
				return s.ListVersions(ctx, name, req)
			}}},
		"absent after the write": {clause: "S14", store: brokenStore{
			head: func(ctx context.Context, s *memstore.Store, name string) (backend.Version, error) {
				return backend.Version{}, backend.ErrNotFound
			}}},
		"present before the write": {clause: "S14", store: brokenStore{
			head: func(ctx context.Context, s *memstore.Store, name string) (backend.Version, error) {
				v, err := s.Head(ctx, name)
				if errors.Is(err, backend.ErrNotFound) {
					return backend.Version{ID: "1", ETag: "1"}, nil
				}
				return v, err
			}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.store.Store = memstore.New()
			report, err := backend.Probe(t.Context(), test.store, "")
			if err != nil {
				t.Fatal(err)
			}
			if report.Trusted() {
				t.Fatalf("trusted: %+v", report)
			}
			for _, f := range report.Findings {
				if f.Clause == test.clause && f.Outcome == backend.ProbeFailed {
					if f.Seen == "" || f.Remedy == "" {
						t.Errorf("the finding does not say what was seen and what to do: %+v", f)
					}
					if err := report.Err(); !errors.Is(err, backend.ErrUnsupported) || !strings.Contains(err.Error(), test.clause) {
						t.Errorf("the error of the report is %v", err)
					}
					return
				}
			}
			t.Errorf("%s did not fail: %+v", test.clause, report)
		})
	}
}

func TestProbeThatCannotBeCarriedOutIsAnError(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	report, err := backend.Probe(ctx, memstore.New(), "")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
	if report == nil || report.Trusted() {
		t.Errorf("got report %+v", report)
	}

	denied := brokenStore{Store: memstore.New(), put: func(context.Context, *memstore.Store, string, []byte, backend.Condition) (backend.Version, error) {
		return backend.Version{}, &backend.Error{Op: "put", Kind: backend.ErrAccessDenied}
	}}
	report, err = backend.Probe(t.Context(), denied, "")
	if !errors.Is(err, backend.ErrAccessDenied) || report.Trusted() || report.Err() != nil {
		t.Errorf("got %+v, %v", report, err)
	}
}

// failingStore fails its n-th request and those after it.
type failingStore struct {
	backend.VersionedStore
	left atomic.Int64
	err  error
}

func (f *failingStore) fail() error {
	if f.left.Add(-1) < 0 {
		return f.err
	}
	return nil
}

func (f *failingStore) Get(ctx context.Context, name string) (backend.Object, error) {
	if err := f.fail(); err != nil {
		return backend.Object{}, err
	}
	return f.VersionedStore.Get(ctx, name)
}

func (f *failingStore) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	if err := f.fail(); err != nil {
		return backend.Object{}, err
	}
	return f.VersionedStore.GetVersion(ctx, name, id)
}

func (f *failingStore) Head(ctx context.Context, name string) (backend.Version, error) {
	if err := f.fail(); err != nil {
		return backend.Version{}, err
	}
	return f.VersionedStore.Head(ctx, name)
}

func (f *failingStore) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if err := f.fail(); err != nil {
		return backend.Version{}, err
	}
	return f.VersionedStore.Put(ctx, name, body, cond)
}

func (f *failingStore) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	if err := f.fail(); err != nil {
		return backend.VersionsPage{}, err
	}
	return f.VersionedStore.ListVersions(ctx, name, req)
}

// Wherever a probe is interrupted, it says so, accuses nobody, and trusts
// nobody.
func TestProbeInterruptedAtEveryRequest(t *testing.T) {
	t.Parallel()
	whole, err := backend.Probe(t.Context(), memstore.New(), "")
	if err != nil {
		t.Fatal(err)
	}
	busy := &backend.Error{Op: "any", Kind: backend.ErrUnavailable}
	// The last request counts what is left behind, and can do without an
	// answer.
	for n := range whole.Requests - 1 {
		store := &failingStore{VersionedStore: memstore.New(), err: busy}
		store.left.Store(int64(n))
		report, err := backend.Probe(t.Context(), store, "")
		if !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("after %d requests: got error %v", n, err)
		}
		if report.Err() != nil {
			t.Errorf("after %d requests: it accuses the store: %v", n, report.Err())
		}
		if err != nil && report.Trusted() {
			t.Errorf("after %d requests: it trusts the store", n)
		}
	}
}
