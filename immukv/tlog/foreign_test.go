package tlog_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend"
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

// TestValueThatIsNoJSON: an entry whose value only the Python client can write is
// sealed, audited and read, but a proof cannot carry it.
func TestValueThatIsNoJSON(t *testing.T) {
	t.Parallel()
	for _, value := range []string{`NaN`, `[-Infinity]`, `"\ud800"`} {
		hashed := `{"key":"k","previous_hash":"sha256:genesis","sequence":0,"timestamp_ms":1,"value":` + value + `}`
		sum := sha256.Sum256([]byte(hashed))
		store := memstore.New()
		body := fmt.Sprintf(`{"hash":"sha256:%x",%s`, sum, hashed[1:])
		id, err := store.Put(t.Context(), "_log.json", []byte(body), backend.IfAbsent())
		if err != nil {
			t.Fatal(err)
		}
		keyBody := strings.Replace(body, `"previous_hash"`, `"log_version_id":"`+string(id.ID)+`","previous_hash"`, 1)
		replace(t, store, "keys/k.json", []byte(keyBody))
		db := open(t, store, immukv.WithValueCodec[json.RawMessage](text{}))
		k := newKeys(t)
		seal(t, db, k)
		v := verifier(t, k)
		if _, err := tlog.Audit(t.Context(), v, db); err != nil {
			t.Errorf("value %s: %v", value, err)
		}
		if _, err := tlog.Get(t.Context(), v, db, "k"); err != nil {
			t.Errorf("value %s: %v", value, err)
		}
		if _, err := tlog.Prove(t.Context(), db, 0); !errors.Is(err, immukv.ErrInvalidValue) {
			t.Errorf("value %s: %v", value, err)
		}
	}
}

// text passes values through as they are stored.
type text struct{}

func (text) Encode(v json.RawMessage) ([]byte, error)    { return v, nil }
func (text) Decode(data []byte) (json.RawMessage, error) { return data, nil }
