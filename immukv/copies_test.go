package immukv_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
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
	// client's repair, so that this client repairs, too.
	db, err := immukv.Open[json.RawMessage](t.Context(), &blindHead{Store: loaded}, immukv.WithValueCodec[json.RawMessage](rawCodec{}))
	if err != nil {
		t.Fatal(err)
	}
	result, err := db.Repair(t.Context())
	if err != nil || len(result.Orphans) == 0 || !result.Repaired {
		t.Fatalf("%+v, %v", result, err)
	}
}

type blindHead struct{ *memstore.Store }

func (*blindHead) Head(context.Context, string) (backend.Version, error) {
	return backend.Version{}, backend.ErrNotFound
}

// What neither client makes of the entry is a damaged copy of it: readers get the
// entry from the log, writers can append, and the audit names the copy.
func TestDamagedCopyIsReadFromTheLog(t *testing.T) {
	const value = `[1.0,1e+16,12345678901234567890]`
	for _, damaged := range []string{
		`[2,10000000000000000,12345678901234567000]`, `[1,1e+16,12345678901234567000]`, `[1.0,1e+16,12345678901234567891]`, `null`,
	} {
		store := reformatted(t, damaged)
		var log bytes.Buffer
		db, err := immukv.Open[json.RawMessage](t.Context(), store, immukv.WithValueCodec[json.RawMessage](rawCodec{}),
			immukv.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		if err != nil {
			t.Fatal(err)
		}
		e, err := db.Get(t.Context(), "k")
		if err != nil || string(e.JSON) != value || db.Verify(e) != nil {
			t.Errorf("%s: get: %s, %v", damaged, e.JSON, err)
		}
		if !strings.Contains(log.String(), "keys/k.json") || strings.Contains(log.String(), "123456") {
			t.Errorf("%s: logged %s", damaged, &log)
		}
		for e, err := range db.History(t.Context(), "k") {
			if err != nil || string(e.JSON) != value {
				t.Errorf("%s: history: %s, %v", damaged, e.JSON, err)
			}
		}
		report, err := db.Audit(t.Context())
		if err != nil || len(report.Findings) != 1 || report.Findings[0].Kind != immukv.HashMismatch || report.Findings[0].Object != "keys/k.json" {
			t.Errorf("%s: %+v, %v", damaged, report, err)
		}
		for _, key := range []string{"k", "other"} {
			if _, err := db.Set(t.Context(), key, json.RawMessage(`3`)); err != nil {
				t.Errorf("%s: set %q: %v", damaged, key, err)
			}
		}
	}
}

// A damaged copy whose log version is gone, or holds another entry, is an error.
func TestDamagedCopyThatTheLogDoesNotHave(t *testing.T) {
	store := memstore.New()
	db := open[int](t, store)
	var ids []string
	for i, key := range []string{"k", "other", "k"} {
		e, err := db.Set(t.Context(), key, i)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, string(e.VersionID))
	}
	for name, id := range map[string]string{"no version": "none", "another key's": ids[1], "another sequence": ids[0]} {
		mem := edit(t, store, "keys/k.json", func(v []memstore.Version) []memstore.Version {
			newest := &v[len(v)-1]
			newest.Body = replaced(replaced(newest.Body, `"value":`, `"value":7`), ids[2], id)
			return v
		})
		if e, err := open[int](t, mem).Get(t.Context(), "k"); !errors.Is(err, immukv.ErrVerificationFailed) {
			t.Errorf("%s: got %+v, %v", name, e, err)
		}
	}
}
