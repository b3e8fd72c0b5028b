package tlog_test

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// TestAuditMemory takes the heap now and then while an audit waits for the store: it
// is the same at the beginning and at the end of a log.
func TestAuditMemory(t *testing.T) {
	// Not parallel: other tests would be in the heap too.
	k := newKeys(t)
	store := newCountingStore()
	db := open(t, store)
	const entries = 40_000
	grow(t, db, 0, entries)
	seal(t, db, k)
	v := verifier(t, k)
	grown := heapGrowth(t, store, entries/8, func() error {
		_, err := tlog.Audit(t.Context(), v, db)
		return err
	})
	t.Logf("an audit of %d entries: the heap grows by %d KiB at most", entries, grown>>10)
	// Kept for each entry, a hash alone would be 1,250 KiB.
	if grown > 1<<20 {
		t.Errorf("the heap grows by %d bytes", grown)
	}
}

// TestSealMemory does the same with a first seal, which holds version IDs and not the
// leaves.
func TestSealMemory(t *testing.T) {
	k := newKeys(t)
	store := newCountingStore()
	const entries = 40_000
	grow(t, open(t, store), 0, entries)
	// What is sealed is not to be in the heap.
	db := open(t, withoutTiles{store})
	grown := heapGrowth(t, store, entries/8, func() error {
		_, err := tlog.Seal(t.Context(), db, k.signer)
		return err
	})
	t.Logf("a seal of %d entries: the heap grows by %d KiB at most", entries, grown>>10)
	// The IDs are 40 bytes each, 1,600 KiB. The leaves would be 7,400 KiB.
	if grown > 3<<20 {
		t.Errorf("the heap grows by %d bytes", grown)
	}
}

// withoutTiles keeps no tiles.
type withoutTiles struct{ backend.VersionedStore }

func (s withoutTiles) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if strings.HasPrefix(name, "tlog/tile/") {
		return backend.Version{}, nil
	}
	return s.VersionedStore.Put(ctx, name, body, cond)
}

// heapGrowth takes the heap at every so many reads of a store, and returns by how much it
// grew at most.
func heapGrowth(t *testing.T, store *countingStore, every int, run func() error) uint64 {
	t.Helper()
	var heap []uint64
	store.reset()
	store.before = func(bool, string) error { // one request at a time
		if store.reads%every == 100 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			heap = append(heap, m.HeapAlloc)
		}
		return nil
	}
	if err := run(); err != nil {
		t.Fatal(err)
	}
	if len(heap) < 8 {
		t.Fatalf("the heap was taken %d times", len(heap))
	}
	least, most := heap[0], heap[0]
	for _, h := range heap {
		least, most = min(least, h), max(most, h)
	}
	return most - least
}
