package tlog_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	tclient "github.com/transparency-dev/tessera/client"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// inBatches is the same log with several entries in a version: as many as the sizes
// say, in turn.
func inBatches(t *testing.T, store backend.VersionedStore, sizes ...int) backend.VersionedStore {
	t.Helper()
	state := store.(*memstore.Store).Dump()
	previous := regexp.MustCompile(`,"previous_version_id":"[^"]*"`)
	newID := make(map[string]string) // by the old one
	for i, o := range state.Objects {
		if o.Name != "_log.json" {
			continue
		}
		var merged []memstore.Version
		last := ""
		for turn := 0; len(o.Versions) > 0; turn++ {
			batch := o.Versions[:min(sizes[turn%len(sizes)], len(o.Versions))]
			o.Versions = o.Versions[len(batch):]
			v := batch[len(batch)-1]
			var lines []string
			for n, one := range batch {
				newID[string(one.ID)] = string(v.ID)
				line := previous.ReplaceAllString(one.Body, "")
				if n == 0 {
					line = previous.ReplaceAllString(one.Body, `,"previous_version_id":"`+last+`"`)
				}
				lines = append(lines, line)
			}
			v.Body = strings.Join(lines, "\n")
			last = string(v.ID)
			merged = append(merged, v)
		}
		state.Objects[i].Versions = merged
	}
	names := regexp.MustCompile(`"log_version_id":"([^"]*)"`)
	for i, o := range state.Objects {
		if strings.HasPrefix(o.Name, "keys/") {
			for n, v := range o.Versions {
				state.Objects[i].Versions[n].Body = names.ReplaceAllStringFunc(v.Body, func(s string) string {
					return `"log_version_id":"` + newID[names.FindStringSubmatch(s)[1]] + `"`
				})
			}
		}
	}
	loaded, err := memstore.Load(state)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// TestBatches: a tree has a leaf for each entry, however many a log version holds, and
// is the same as with one. Every entry is proved, with hints and without.
func TestBatches(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	single, db := replay(t, 600, 600)
	want := seal(t, db, k)
	for _, steps := range [][]int{{600}, {100, 600}, {301, 513, 600}} {
		store := newCountingStore()
		var c tlog.Checkpoint
		for _, n := range steps {
			part, _ := replay(t, n, n)
			whole := inBatches(t, part, 1, 7, 3, 5)
			if store.VersionedStore != nil {
				copySealed(t, whole, store.VersionedStore)
			}
			store.VersionedStore = whole
			c = seal(t, open(t, store), k)
		}
		if c.Root != want.Root || c.Size != 600 {
			t.Fatalf("sealed at %v: %v, and one entry a version has %v", steps, c, want)
		}
		sameTiles(t, store, single)
		checkHints(t, store, steps)
		reader := open(t, store, immukv.WithRepairCheckInterval(-1))
		if _, err := tlog.Audit(t.Context(), verifier(t, k), reader); err != nil {
			t.Errorf("sealed at %v: %v", steps, err)
		}
		for _, hint := range []string{"", "tlog/versions/000", "tlog/versions/001"} {
			if hint != "" {
				replace(t, store.VersionedStore, hint, []byte("none\n"))
			}
			every := int64(1)
			if hint != "" {
				every = 17
			}
			for sequence := int64(0); sequence < c.Size; sequence += every {
				proof, err := tlog.Prove(t.Context(), reader, sequence)
				if err != nil {
					t.Fatalf("sealed at %v: sequence %d: %v", steps, sequence, err)
				}
				if e, _, err := tlog.CheckProof(proof, k.policy); err != nil || e.Sequence != sequence {
					t.Errorf("sealed at %v: sequence %d: %v", steps, sequence, err)
				}
			}
		}
	}
}

// TestBatchesAsTheyAreWritten has a log that is written in batches sealed on the way, at
// once with single entries, judged by fsck and proved.
func TestBatchesAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	db := open(t, memstore.New())
	v := verifier(t, k)
	n := 0
	for _, size := range []int{1, 100, 1, 155, 256, 1, 300, 7} {
		var writes []immukv.Write[json.RawMessage]
		for range size {
			writes = append(writes, immukv.Write[json.RawMessage]{Key: fmt.Sprintf("sensor-%d", n), Value: json.RawMessage("1")})
			n++
		}
		if _, err := db.SetAll(t.Context(), writes...); err != nil {
			t.Fatal(err)
		}
		if c := seal(t, db, k); c.Size != int64(n) {
			t.Fatalf("sealed %v of %d entries", c, n)
		}
	}
	if _, err := tlog.Audit(t.Context(), v, db); err != nil {
		t.Error(err)
	}
	folder := t.TempDir()
	if err := tlog.Export(t.Context(), db, folder); err != nil {
		t.Fatal(err)
	}
	if err := runFsck(t.Context(), k, &tclient.FileFetcher{Root: folder}); err != nil {
		t.Errorf("fsck: %v", err)
	}
	for sequence := range int64(n) {
		proof, err := tlog.Prove(t.Context(), db, sequence)
		if err != nil {
			t.Fatal(err)
		}
		if e, _, err := tlog.CheckProof(proof, k.policy); err != nil || e.Key != fmt.Sprintf("sensor-%d", sequence) {
			t.Errorf("sequence %d: %q, %v", sequence, e.Key, err)
		}
	}
}

// TestBatchRequests: what is in few versions is sealed in few reads.
func TestBatchRequests(t *testing.T) {
	t.Parallel()
	single, _ := replay(t, 1400, 1400)
	store := &countingStore{VersionedStore: inBatches(t, single, 7)}
	seal(t, open(t, store), newKeys(t))
	t.Logf("sealing 1,400 entries in 200 versions: %d reads, %d writes", store.reads, store.writes)
	if store.reads > 200+6 {
		t.Errorf("sealing 1,400 entries in 200 versions takes %d reads", store.reads)
	}
}

// sameTiles compares the tiles of the newest tree with those of another store.
func sameTiles(t *testing.T, got, want backend.VersionedStore) {
	t.Helper()
	page, err := want.ListNames(t.Context(), backend.NamesRequest{Prefix: "tlog/tile/"})
	if err != nil || len(page.Names) == 0 {
		t.Fatal(page.Names, err)
	}
	for _, name := range page.Names {
		a, err := got.Get(t.Context(), name)
		if err != nil {
			t.Error(err)
		}
		if b, err := want.Get(t.Context(), name); err != nil || string(a.Body) != string(b.Body) {
			t.Errorf("%s is another, %v", name, err)
		}
	}
}
