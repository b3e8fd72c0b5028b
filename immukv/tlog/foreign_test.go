package tlog_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// TestForeignStores seals what the other clients wrote, in both dialects, and proves
// every entry of it.
func TestForeignStores(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../testdata/vectors/stores/*.json")
	if err != nil || len(names) == 0 {
		t.Fatal("no stores", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".json"), func(t *testing.T) {
			t.Parallel()
			var s struct {
				memstore.State
				Prefix string `json:"prefix"`
			}
			if err := json.Unmarshal(read(t, name), &s); err != nil {
				t.Fatal(err)
			}
			store, err := memstore.Load(s.State)
			if err != nil {
				t.Fatal(err)
			}
			db := open(t, store, immukv.WithPrefix(s.Prefix))
			if _, err := db.Repair(t.Context()); err != nil {
				t.Fatal(err)
			}
			k := newKeys(t)
			c := seal(t, db, k)
			v := verifier(t, k)
			if _, err := tlog.Audit(t.Context(), v, db); err != nil || c.Size == 0 {
				t.Fatalf("%v: %v", c, err)
			}
			for e, err := range db.Log(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				proof, err := tlog.Prove(t.Context(), db, e.Sequence)
				if err != nil {
					t.Errorf("sequence %d: %v", e.Sequence, err)
					continue
				}
				proved, _, err := tlog.CheckProof(proof, k.policy)
				if err != nil || proved.Key != e.Key || proved.Hash != e.Hash || proved.Dialect != e.Dialect || string(proved.JSON) != string(e.JSON) {
					t.Errorf("sequence %d: %+v, %v", e.Sequence, proved, err)
				}
				if _, err := tlog.Get(t.Context(), v, db, e.Key); err != nil {
					t.Errorf("key %q: %v", e.Key, err)
				}
			}
		})
	}
}
