package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// TestProveAndCheck proves every entry of the recorded stores, and of one written in
// batches, and has check read each proof, of which it needs nothing else.
func TestProveAndCheck(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../testdata/vectors/stores/*.json")
	if err != nil || len(names) == 0 {
		t.Fatal("no stores", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".json"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(name)
			check(t, err)
			var s struct {
				memstore.State
				Prefix string `json:"prefix"`
			}
			check(t, json.Unmarshal(text, &s))
			store, err := memstore.Load(s.State)
			check(t, err)
			proveAndCheck(t, store, s.Prefix)
		})
	}
	t.Run("batches", func(t *testing.T) {
		t.Parallel()
		store := memstore.New()
		db, err := immukv.Open[int](t.Context(), store)
		check(t, err)
		for n := range 3 {
			var writes []immukv.Write[int]
			for i := range 4 {
				writes = append(writes, immukv.Write[int]{Key: fmt.Sprint("key-", i), Value: n})
			}
			_, err := db.SetAll(t.Context(), writes...)
			check(t, err)
		}
		proveAndCheck(t, store, "")
	})
}

// proveAndCheck seals a log and pipes a proof of each of its entries to check, which is
// given no store.
func proveAndCheck(t *testing.T, store *memstore.Store, prefix string) {
	t.Helper()
	url, held := holdStore(t)
	held.store = store
	key := filepath.Join(t.TempDir(), "key")
	run := func(stdin string, args ...string) string {
		t.Helper()
		r := runHere(t.Context(), stdin, args...)
		if r.code != exitDone {
			t.Fatalf("%q: exit code %d: %s%s", args, r.code, r.stdout, r.stderr)
		}
		return r.stdout
	}
	there := func(args ...string) string {
		t.Helper()
		return run("", append([]string{"--store", url, "--prefix", prefix}, args...)...)
	}
	verifier := strings.TrimSpace(run("", "tlog", "keygen", "example.com/log", "--out", key))
	there("repair")
	there("tlog", "seal", "--key", key)
	log := strings.Split(strings.TrimSpace(there("--json", "log")), "\n")
	for _, line := range log {
		var want, got entryJSON
		check(t, json.Unmarshal([]byte(line), &want))
		proof := there("tlog", "prove", "--sequence", fmt.Sprint(want.Sequence), "--", want.Key)
		check(t, json.Unmarshal([]byte(run(proof, "--json", "tlog", "check", "-", "--verifier", verifier)), &got))
		if got.Key != want.Key || got.Sequence != want.Sequence || got.Hash != want.Hash || string(got.Value) != string(want.Value) {
			t.Errorf("proved %+v, and the log has %+v", got, want)
		}
	}
}
