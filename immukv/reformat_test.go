package immukv_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

type rawCodec struct{}

func (rawCodec) Encode(v json.RawMessage) ([]byte, error) { return v, nil }
func (rawCodec) Decode(b []byte) (json.RawMessage, error) { return b, nil }

// reformatted is a store whose only entry was written in the Python dialect, left
// an orphan, and repaired by the TypeScript client, which makes 1 of 1.0.
func reformatted(t *testing.T, value string) *memstore.Store {
	t.Helper()
	store := memstore.New()
	db, err := immukv.Open[json.RawMessage](t.Context(), store, immukv.WithValueCodec[json.RawMessage](rawCodec{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Set(t.Context(), "k", json.RawMessage(`[1.0,1e16,12345678901234567890]`)); err != nil {
		t.Fatal(err)
	}
	state := store.Dump()
	for i, o := range state.Objects {
		if o.Name == "keys/k.json" {
			v := &state.Objects[i].Versions[0]
			v.Body = strings.Replace(v.Body, `[1.0,1e+16,12345678901234567890]`, value, 1)
			if !strings.Contains(v.Body, value) {
				t.Fatalf("the key object is %s", v.Body)
			}
		}
	}
	loaded, err := memstore.Load(state)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func TestRepairInTheOtherDialectStandsForItsEntry(t *testing.T) {
	store := reformatted(t, `[1,10000000000000000,12345678901234567000]`)
	db, err := immukv.Open[json.RawMessage](t.Context(), store, immukv.WithValueCodec[json.RawMessage](rawCodec{}))
	if err != nil {
		t.Fatal(err)
	}
	e, err := db.Get(t.Context(), "k")
	if err != nil || string(e.JSON) != `[1.0,1e+16,12345678901234567890]` || e.Dialect != immukv.Python {
		t.Fatalf("get: %s in %v, %v", e.JSON, e.Dialect, err)
	}
	if err := db.Verify(e); err != nil {
		t.Error(err)
	}
	for e, err := range db.History(t.Context(), "k") {
		if err != nil || string(e.Value) != `[1.0,1e+16,12345678901234567890]` {
			t.Errorf("history: %s, %v", e.Value, err)
		}
	}
	if _, err := db.Set(t.Context(), "k", json.RawMessage(`2`)); err != nil {
		t.Fatal(err)
	}
	report, err := db.Audit(t.Context())
	if err != nil || !report.Valid() || report.Entries != 2 {
		t.Fatalf("%+v, %v", report, err)
	}
}

// A repair that raced with the other client's meets its copy, not its own.
func TestRepairAcceptsTheOtherDialectsCopy(t *testing.T) {
	loaded := reformatted(t, `[1,10000000000000000,12345678901234567000]`)
	// The check of a fresh client sees no key object, as it was before the other
	// client's repair, and so goes on to repair, too.
	db, err := immukv.Open[json.RawMessage](t.Context(), &blindHead{Store: loaded}, immukv.WithValueCodec[json.RawMessage](rawCodec{}))
	if err != nil {
		t.Fatal(err)
	}
	result, err := db.Repair(t.Context())
	if err != nil || !result.Orphan || !result.Repaired {
		t.Fatalf("%+v, %v", result, err)
	}
}

type blindHead struct{ *memstore.Store }

func (*blindHead) Head(context.Context, string) (backend.Version, error) {
	return backend.Version{}, backend.ErrNotFound
}

// What neither client makes of the entry is no copy of it.
func TestOtherValuesAreNoReformatting(t *testing.T) {
	for _, value := range []string{`[2,10000000000000000,12345678901234567000]`, `[1,1e+16,12345678901234567000]`, `[1.0,1e+16,12345678901234567891]`} {
		store := reformatted(t, value)
		db, err := immukv.Open[json.RawMessage](t.Context(), store, immukv.WithValueCodec[json.RawMessage](rawCodec{}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Get(t.Context(), "k"); !errors.Is(err, immukv.ErrVerificationFailed) {
			t.Errorf("%s: %v", value, err)
		}
		report, err := db.Audit(t.Context())
		if err != nil || report.Valid() {
			t.Errorf("%s: %+v, %v", value, report, err)
		}
	}
}
