package tlog_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

const origin = "example.com/plant-7"

type client = immukv.Client[json.RawMessage]

// keys is a key pair for tests.
type keys struct {
	signer *tlog.Signer
	public string
	policy tlog.Policy
}

func newKeys(t testing.TB) keys {
	t.Helper()
	private, public, err := tlog.GenerateKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tlog.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := tlog.NewPolicy(public)
	if err != nil {
		t.Fatal(err)
	}
	return keys{signer, public, policy}
}

func open(t testing.TB, store backend.VersionedStore, opts ...immukv.Option) *client {
	t.Helper()
	db, err := immukv.Open[json.RawMessage](t.Context(), store, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// grow appends entries of a few keys until the log has n.
func grow(t testing.TB, db *client, from, n int) {
	t.Helper()
	for i := from; i < n; i++ {
		key := fmt.Sprintf("sensor-%d", i%97)
		if _, err := db.Set(t.Context(), key, json.RawMessage(fmt.Sprintf(`{"n":%d}`, i))); err != nil {
			t.Fatal(err)
		}
	}
}

func seal(t testing.TB, db *client, k keys, opts ...tlog.SealOption) tlog.Checkpoint {
	t.Helper()
	c, err := tlog.Seal(t.Context(), db, k.signer, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func verifier(t testing.TB, k keys, opts ...tlog.VerifierOption) *tlog.Verifier {
	t.Helper()
	v, err := tlog.NewVerifier(k.public, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// countingStore counts requests, and fails those that a test wants to fail.
type countingStore struct {
	backend.VersionedStore
	mu     sync.Mutex
	reads  int
	writes int
	before func(write bool, name string) error // called with every request, one at a time
}

func newCountingStore() *countingStore { return &countingStore{VersionedStore: memstore.New()} }

func (s *countingStore) count(write bool, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if write {
		s.writes++
	} else {
		s.reads++
	}
	if s.before != nil {
		return s.before(write, name)
	}
	return nil
}

func (s *countingStore) reset() { s.reads, s.writes = 0, 0 }

func (s *countingStore) Get(ctx context.Context, name string) (backend.Object, error) {
	if err := s.count(false, name); err != nil {
		return backend.Object{}, err
	}
	return s.VersionedStore.Get(ctx, name)
}

func (s *countingStore) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	if err := s.count(false, name); err != nil {
		return backend.Object{}, err
	}
	return s.VersionedStore.GetVersion(ctx, name, id)
}

func (s *countingStore) Head(ctx context.Context, name string) (backend.Version, error) {
	if err := s.count(false, name); err != nil {
		return backend.Version{}, err
	}
	return s.VersionedStore.Head(ctx, name)
}

func (s *countingStore) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if err := s.count(true, name); err != nil {
		return backend.Version{}, err
	}
	return s.VersionedStore.Put(ctx, name, body, cond)
}

func (s *countingStore) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	if err := s.count(false, name); err != nil {
		return backend.VersionsPage{}, err
	}
	return s.VersionedStore.ListVersions(ctx, name, req)
}

func (s *countingStore) ListNames(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
	if err := s.count(false, req.Prefix); err != nil {
		return backend.NamesPage{}, err
	}
	return s.VersionedStore.ListNames(ctx, req)
}
