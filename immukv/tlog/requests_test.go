package tlog_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// TestSealRequests counts what a seal of 1,000 new entries asks for: their log versions,
// twelve writes at most, and a hint for each bundle that became full.
func TestSealRequests(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	store := newCountingStore()
	db := open(t, store)
	hints := 0
	store.before = func(write bool, name string) error {
		if write && strings.HasPrefix(name, "tlog/versions/") {
			hints++
		}
		return nil
	}
	for _, before := range []int{0, 300, 1500} {
		from := before
		if before > 0 {
			from = int(seal(t, db, k).Size)
		}
		grow(t, db, from, before)
		seal(t, db, k)
		grow(t, db, before, before+1000)
		store.reset()
		hints = 0
		seal(t, db, k)
		t.Logf("sealing 1,000 entries behind %d: %d reads, %d writes and %d hints", before, store.reads, store.writes-hints, hints)
		if store.writes-hints > 12 || hints > 4 {
			t.Errorf("sealing 1,000 entries behind %d takes %d writes and %d hints", before, store.writes-hints, hints)
		}
		if store.reads > 1000+8 {
			t.Errorf("sealing 1,000 entries behind %d takes %d reads", before, store.reads)
		}
		store.reset()
		seal(t, db, k)
		if store.writes != 0 || store.reads > 5 { // the checkpoint, two tiles, a bundle, the head
			t.Errorf("sealing nothing takes %d reads and %d writes", store.reads, store.writes)
		}
	}
}

// TestReadRequests counts what one verified read asks for in a log with tiles on
// three levels, as one of a million entries has.
func TestReadRequests(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	store := newCountingStore()
	db := open(t, store)
	n := 66_000
	if testing.Short() {
		n = 700
	}
	// Its path has no tile in common with the right edge of the tree, but the top.
	if _, err := db.Set(t.Context(), "early", []byte(`1`)); err != nil {
		t.Fatal(err)
	}
	grow(t, db, 1, n)
	seal(t, db, k)
	// A client's first read looks whether the log's head needs repair, in two
	// requests more; these clients do not.
	reader := open(t, store, immukv.WithRepairCheckInterval(-1))
	v := verifier(t, k)
	for _, step := range []struct {
		name, key string
		most      int
	}{{"cold", "early", 8}, {"warm", "early", 2}, {"warm, another key", "sensor-2", 2}} {
		store.reset()
		if _, err := tlog.Get(t.Context(), v, reader, step.key); err != nil {
			t.Fatal(err)
		}
		t.Logf("Get, %s: %d requests", step.name, store.reads)
		if store.reads > step.most {
			t.Errorf("Get, %s, takes %d requests instead of %d at most", step.name, store.reads, step.most)
		}
	}
	for _, sequence := range []int64{0, 1, int64(n / 3), int64(n/256*256 - 1), int64(n - 1)} {
		store.reset()
		if _, err := tlog.Prove(t.Context(), open(t, store, immukv.WithRepairCheckInterval(-1)), sequence); err != nil {
			t.Fatal(err)
		}
		t.Logf("Prove, cold, of sequence %d: %d requests", sequence, store.reads)
		if store.reads > 8 {
			t.Errorf("Prove, cold, of sequence %d, takes %d requests", sequence, store.reads)
		}
	}
	cold := open(t, store, immukv.WithRepairCheckInterval(-1))
	store.reset()
	if _, err := tlog.ProveKey(t.Context(), cold, "early"); err != nil {
		t.Fatal(err)
	}
	t.Logf("ProveKey, cold: %d requests", store.reads)
	if store.reads > 8 {
		t.Errorf("ProveKey, cold, takes %d requests", store.reads)
	}
}

// TestAuditRequests: the log is read once for the checks with a key and for those
// without.
func TestAuditRequests(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	store := newCountingStore()
	db := open(t, store)
	grow(t, db, 0, 1000)
	seal(t, db, k)
	count := func(audit func() (*immukv.Report, error)) int {
		store.reset()
		report, err := audit()
		if err != nil || !report.Valid() {
			t.Fatalf("%v, %v", report.Err(), err)
		}
		return store.reads
	}
	v := verifier(t, k)
	plain := count(func() (*immukv.Report, error) { return db.Audit(t.Context()) })
	sealed := count(func() (*immukv.Report, error) {
		report, c, err := tlog.AuditStore(t.Context(), v, db)
		if c.Size != 1000 {
			t.Errorf("it returns %v", c)
		}
		return report, err
	})
	t.Logf("an audit of 1,000 entries: %d requests, with a checkpoint %d", plain, sealed)
	// The checkpoint, four bundles and five tiles.
	if sealed != plain+10 {
		t.Errorf("an audit takes %d requests, and with a checkpoint %d", plain, sealed)
	}
	// What is left out of one reading is read in another.
	start := immukv.Checkpoint{}
	for e, err := range db.Log(t.Context(), immukv.From(700), immukv.OldestFirst(), immukv.Limit(1)) {
		if err != nil {
			t.Fatal(err)
		}
		start = immukv.Checkpoint{Sequence: e.Sequence, Hash: e.Hash}
	}
	if report, c, err := tlog.AuditStore(t.Context(), v, db, immukv.TrustedStart(start)); err != nil || c.Size != 1000 || report.Entries >= 1000 {
		t.Errorf("from a trusted start: %v of %d entries, %v", c, report.Entries, err)
	}
	// Without a checkpoint there is still a report.
	if report, _, err := tlog.AuditStore(t.Context(), verifier(t, newKeys(t)), db); !errors.Is(err, tlog.ErrBadCheckpoint) || !report.Valid() {
		t.Errorf("with another key: %v, %v", report.Err(), err)
	}
}
