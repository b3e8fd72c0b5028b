package tlog_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// hintedLog is a log of 600 entries of a few keys, sealed in steps of which some end
// within a bundle.
func hintedLog(t *testing.T, k keys, steps ...int) *countingStore {
	t.Helper()
	store := newCountingStore()
	db := open(t, store)
	last := 0
	for _, n := range append(steps, 600) {
		grow(t, db, last, n)
		seal(t, db, k)
		last = n
	}
	return store
}

// TestHints: however a log was sealed, a hint has the versions of every entry of a full
// bundle.
func TestHints(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	for _, steps := range [][]int{nil, {1}, {255}, {256}, {257}, {100, 200, 300, 511, 512, 513}} {
		store := hintedLog(t, k, steps...)
		checkHints(t, store, steps)
		if _, err := store.Get(t.Context(), "tlog/versions/002"); !errors.Is(err, backend.ErrNotFound) {
			t.Errorf("sealed at %v: there is a hint of a bundle that is not full: %v", steps, err)
		}
	}
}

// checkHints compares the hints of 512 entries with where the entries are.
func checkHints(t *testing.T, store backend.VersionedStore, steps []int) {
	t.Helper()
	db := open(t, store)
	for group, name := range []string{"tlog/versions/000", "tlog/versions/001"} {
		obj, err := store.Get(t.Context(), name)
		if err != nil {
			t.Fatalf("sealed at %v: %v", steps, err)
		}
		lines := strings.Split(string(obj.Body), "\n")
		if len(lines) != 257 || lines[256] != "" {
			t.Fatalf("sealed at %v: %s has %d lines", steps, name, len(lines))
		}
		for i, id := range lines[:256] {
			e, err := db.EntryAt(t.Context(), int64(256*group+i))
			if err != nil || string(e.VersionID) != id {
				t.Fatalf("sealed at %v: line %d of %s is %s, and the entry is in %s, %v", steps, i, name, id, e.VersionID, err)
			}
		}
	}
}

// TestAlteredHints: whatever a hint says, the proof is of the entry that was sealed.
func TestAlteredHints(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	store := hintedLog(t, k)
	db := open(t, store)
	const name = "tlog/versions/000"
	obj, err := store.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	honest := string(obj.Body)
	lines := strings.SplitAfter(honest, "\n")
	swapped := strings.Join(append(append([]string{}, lines[1], lines[0]), lines[2:]...), "")
	for what, hint := range map[string]string{
		"honest": honest, "empty": "", "short": lines[0], "of versions that are not there": strings.Repeat("none\n", 256), "blank": strings.Repeat("\n", 256),
		"two are exchanged": swapped, "all are one": strings.Repeat(lines[7], 256), "binary": strings.Repeat("\x00\xff\n", 256), "huge": strings.Repeat(strings.Repeat("x", 5000)+"\n", 256),
		"no text": strings.Repeat("x", 1<<20),
	} {
		replace(t, store.VersionedStore, name, []byte(hint))
		for _, sequence := range []int64{0, 1, 200, 255} {
			proof, err := tlog.Prove(t.Context(), db, sequence)
			if err != nil {
				t.Errorf("a hint that is %s: sequence %d: %v", what, sequence, err)
				continue
			}
			if e, _, err := tlog.CheckProof(proof, k.policy); err != nil || e.Sequence != sequence || string(e.JSON) != fmt.Sprintf(`{"n":%d}`, sequence) {
				t.Errorf("a hint that is %s: sequence %d: %s, %v", what, sequence, e.JSON, err)
			}
		}
	}
	// Nobody replaces it, and nobody minds it.
	grow(t, db, 600, 800)
	seal(t, db, k)
	if _, err := tlog.Audit(t.Context(), verifier(t, k), db); err != nil {
		t.Error(err)
	}
}

// TestHintsAreOptional: a hint that is there already is left alone, and one that cannot
// be told, since versions have expired, is left out.
func TestHintsAreOptional(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	store := memstore.New()
	db := open(t, store)
	replace(t, store, "tlog/versions/000", []byte("of another bucket\n"))
	grow(t, db, 0, 300)
	seal(t, db, k)
	if obj, err := store.Get(t.Context(), "tlog/versions/000"); err != nil || string(obj.Body) != "of another bucket\n" {
		t.Errorf("the hint is %q, %v", obj.Body, err)
	}
	state := store.Dump()
	for i, o := range state.Objects {
		if o.Name == "_log.json" {
			state.Objects[i].Versions = o.Versions[290:]
		}
	}
	expired, err := memstore.Load(state)
	if err != nil {
		t.Fatal(err)
	}
	db = open(t, expired)
	grow(t, db, 300, 520)
	if c := seal(t, db, k); c.Size != 520 {
		t.Errorf("sealed %v", c)
	}
	if _, err := expired.Get(t.Context(), "tlog/versions/001"); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("there is a hint of versions that have expired: %v", err)
	}
}
