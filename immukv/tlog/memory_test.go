package tlog_test

import (
	"runtime"
	"testing"

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
	var heap []uint64
	store.reset()
	store.before = func(bool, string) error { // one request at a time
		if store.reads%(entries/8) == 100 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			heap = append(heap, m.HeapAlloc)
		}
		return nil
	}
	if _, err := tlog.Audit(t.Context(), v, db); err != nil {
		t.Fatal(err)
	}
	if len(heap) < 8 {
		t.Fatalf("the heap was taken %d times", len(heap))
	}
	least, most := heap[0], heap[0]
	for _, h := range heap {
		least, most = min(least, h), max(most, h)
	}
	t.Logf("an audit of %d entries: the heap grows by %d KiB at most", entries, (most-least)>>10)
	// Kept for each entry, a hash alone would be 1,250 KiB.
	if most-least > 1<<20 {
		t.Errorf("the heap is %d bytes at the least and %d at the most", least, most)
	}
}
