package immukv_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open[V any](t testing.TB, store backend.VersionedStore, opts ...immukv.Option) *immukv.Client[V] {
	t.Helper()
	db, err := immukv.Open[V](t.Context(), store, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func set[V any](t testing.TB, db *immukv.Client[V], key string, value V) immukv.Entry[V] {
	t.Helper()
	e, err := db.Set(t.Context(), key, value)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func get[V any](t testing.TB, db *immukv.Client[V], key string) immukv.Entry[V] {
	t.Helper()
	e, err := db.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// all collects a sequence that must not fail.
func all[T any](t testing.TB, seq iter.Seq2[T, error]) []T {
	t.Helper()
	items, err := collect(seq)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// collect collects a sequence up to its first error.
func collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var items []T
	for item, err := range seq {
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
	return items, nil
}

// sequences are the places of entries in the log.
func sequences[V any](entries []immukv.Entry[V]) []int64 {
	var all []int64
	for _, e := range entries {
		all = append(all, e.Sequence)
	}
	return all
}

// audit audits a store with a client of its own, which must not find anything.
func audit(t testing.TB, store backend.VersionedStore, opts ...immukv.Option) *immukv.Report {
	t.Helper()
	report, err := open[any](t, store, append(opts, immukv.WithReadOnly())...).Audit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Err(); err != nil || !report.Complete {
		t.Errorf("audit: complete %v, %v", report.Complete, err)
	}
	return report
}

// fields are what a stored document says, read without the code under test.
type fields struct {
	Key      string          `json:"key"`
	Sequence int64           `json:"sequence"`
	WriteID  string          `json:"write_id"`
	Value    json.RawMessage `json:"value"`
}

// stored are the documents that an object of a store holds, oldest first.
func stored(t testing.TB, store *memstore.Store, name string) []fields {
	t.Helper()
	var all []fields
	for _, v := range versionsOf(store.Dump(), name) {
		var f fields
		if err := json.Unmarshal([]byte(v.Body), &f); err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}

func TestSetAndRead(t *testing.T) {
	t.Parallel()
	type calibration struct {
		Alpha float64 `json:"alpha"`
		Note  string  `json:"note,omitempty"`
	}
	for _, dialect := range []immukv.Dialect{immukv.Python, immukv.TypeScript} {
		t.Run(dialect.String(), func(t *testing.T) {
			t.Parallel()
			store := memstore.New()
			now := time.Date(2024, 5, 6, 7, 8, 9, 123_456_789, time.UTC)
			db := open[calibration](t, store, immukv.WithPrefix("p/"), immukv.WithDialect(dialect),
				immukv.WithClock(func() time.Time { return now }))
			first := set(t, db, "a", calibration{Alpha: 0.5, Note: "x < y"})
			second := set(t, db, "b", calibration{Alpha: 1})
			third := set(t, db, "a", calibration{Alpha: 2})

			if first.Sequence != 0 || first.PreviousHash != immukv.GenesisHash || first.PreviousVersionID != "" ||
				first.VersionID == "" || first.KeyVersionID != "" || first.Dialect != dialect || len(first.WriteID) != 32 ||
				!first.Timestamp.Equal(now.Truncate(time.Millisecond)) || string(first.JSON) != `{"alpha":0.5,"note":"x < y"}` {
				t.Errorf("first entry is %+v", first)
			}
			if third.Sequence != 2 || third.PreviousHash != second.Hash || third.PreviousVersionID != second.VersionID {
				t.Errorf("third entry is %+v", third)
			}
			got := get(t, db, "a")
			if got.Value.Alpha != 2 || got.VersionID != third.VersionID || got.Hash != third.Hash || got.KeyVersionID == "" {
				t.Errorf("got %+v", got)
			}
			byVersion, err := db.LogVersion(t.Context(), first.VersionID)
			if err != nil || len(byVersion) != 1 || byVersion[0].Value.Note != "x < y" || byVersion[0].WriteID != first.WriteID {
				t.Errorf("log version %+v, %v", byVersion, err)
			}
			for _, e := range append(all(t, db.Log(t.Context())), got, byVersion[0], first) {
				if err := db.Verify(e); err != nil {
					t.Error(err)
				}
				e.Sequence++
				if err := db.Verify(e); !errors.Is(err, immukv.ErrVerificationFailed) {
					t.Errorf("changed entry verifies: %v", err)
				}
			}
			if third.Checkpoint() != (immukv.Checkpoint{Sequence: 2, Hash: third.Hash}) {
				t.Errorf("checkpoint is %+v", third.Checkpoint())
			}
			r := audit(t, store, immukv.WithPrefix("p/"))
			if r.Entries != 3 || r.Head() != third.Checkpoint() || len(r.Dialects) != 1 || r.Dialects[0] != dialect {
				t.Errorf("report is %+v", r)
			}
		})
	}
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	db := open[int](t, memstore.New())
	check := func(err error) {
		t.Helper()
		if !errors.Is(err, immukv.ErrNotFound) {
			t.Error(err)
		}
	}
	for range 2 { // on an empty log, then on one with another key
		_, err := db.Get(t.Context(), "missing")
		check(err)
		_, err = db.LogVersion(t.Context(), "missing")
		check(err)
		_, err = db.LogVersion(t.Context(), "")
		check(err)
		_, err = collect(db.Log(t.Context(), immukv.Before("missing")))
		check(err)
		_, err = collect(db.History(t.Context(), "key", immukv.Before("missing")))
		check(err)
		_, err = collect(db.History(t.Context(), "key", immukv.BeforeKeyVersion("missing")))
		check(err)
		if entries := all(t, db.History(t.Context(), "missing")); len(entries) != 0 {
			t.Errorf("history of a missing key: %v", entries)
		}
		set(t, db, "key", 1)
	}
}

// Prefixes of one bucket have nothing to do with one another.
func TestPrefixes(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	for _, prefix := range []string{"", "a/", "b"} {
		db := open[string](t, store, immukv.WithPrefix(prefix))
		set(t, db, "k", prefix)
	}
	for _, prefix := range []string{"", "a/", "b"} {
		db := open[string](t, store, immukv.WithPrefix(prefix))
		if e := get(t, db, "k"); e.Value != prefix || e.Sequence != 0 {
			t.Errorf("prefix %q has %+v", prefix, e)
		}
		if keys := all(t, db.Keys(t.Context())); len(keys) != 1 {
			t.Errorf("prefix %q has keys %q", prefix, keys)
		}
		audit(t, store, immukv.WithPrefix(prefix))
	}
}

// upper stores strings in upper case; it cannot read what is not a string.
type upper struct{}

func (upper) Encode(s string) ([]byte, error) { return json.Marshal(strings.ToUpper(s)) }

func (upper) Decode(data []byte) (string, error) {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return "", errors.New("no string")
	}
	return strings.ToLower(s), nil
}

func TestWithCodec(t *testing.T) {
	t.Parallel()
	store := counted(memstore.New())
	numbers := open[int](t, store)
	words := immukv.WithCodec(numbers, immukv.Codec[string](upper{}))
	set(t, numbers, "n", 7)
	set(t, words, "w", "word")
	store.take()
	set(t, numbers, "w2", 8)
	if n := len(store.take()); n != 3 {
		t.Errorf("a client with another codec sent %d requests: it does not share what is known", n)
	}
	if e := get(t, words, "w"); e.Value != "word" || string(e.JSON) != `"WORD"` {
		t.Errorf("got %+v", e)
	}
	// What another codec wrote is decoded only when it is returned, and even
	// then comes with what can be had without it.
	e, err := words.Get(t.Context(), "n")
	var entryErr *immukv.EntryError
	if !errors.As(err, &entryErr) || entryErr.Sequence != 0 || e.Key != "n" || string(e.JSON) != "7" || words.Verify(e) != nil {
		t.Errorf("entry of another codec: %+v, %v", e, err)
	}
	var good, bad int
	for e, err := range words.Log(t.Context()) {
		if err == nil {
			good++
		} else if e.Key != "w" {
			bad++
		}
	}
	if good != 1 || bad != 2 {
		t.Errorf("%d entries decoded and %d not, want 1 and 2", good, bad)
	}
	if err := words.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := numbers.Get(t.Context(), "n"); !errors.Is(err, immukv.ErrClosed) {
		t.Errorf("the other client is still open: %v", err)
	}
}

// A value codec given to Open has to be one for the client's type.
func TestValueCodec(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	db := open[string](t, store, immukv.WithValueCodec[string](upper{}))
	set(t, db, "k", "value")
	if e := get(t, db, "k"); e.Value != "value" || string(e.JSON) != `"VALUE"` {
		t.Errorf("got %+v", e)
	}
	if _, err := immukv.Open[int](t.Context(), store, immukv.WithValueCodec[string](upper{})); !errors.Is(err, immukv.ErrInvalidOption) {
		t.Error(err)
	}
	plain := immukv.WithCodec(db, immukv.JSONCodec[string]())
	if e := get(t, plain, "k"); e.Value != "VALUE" {
		t.Errorf("got %+v", e)
	}
}

func TestInvalidOptions(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]immukv.Option{
		"prefix not UTF-8":   immukv.WithPrefix("\xff"),
		"prefix too long":    immukv.WithPrefix(strings.Repeat("p", backend.MaxNameBytes-len("keys/.json"))),
		"codec nil":          immukv.WithValueCodec[int](nil),
		"dialect zero":       immukv.WithDialect(0),
		"dialect unknown":    immukv.WithDialect(3),
		"logger nil":         immukv.WithLogger(nil),
		"attempts negative":  immukv.WithMaxAttempts(-1),
		"concurrency zero":   immukv.WithConcurrency(0),
		"concurrency huge":   immukv.WithConcurrency(1025),
		"value bytes zero":   immukv.WithMaxValueBytes(0),
		"value bytes beyond": immukv.WithMaxValueBytes(backend.MaxBodyBytes),
		"clock nil":          immukv.WithClock(nil),
		"random nil":         immukv.WithRandom(nil),
	} {
		if _, err := immukv.Open[int](t.Context(), memstore.New(), opt); !errors.Is(err, immukv.ErrInvalidOption) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := immukv.Open[int](t.Context(), nil); !errors.Is(err, immukv.ErrInvalidOption) {
		t.Errorf("no store: %v", err)
	}
	// The longest prefix leaves room for a key of one byte.
	longest := immukv.WithPrefix(strings.Repeat("p", backend.MaxNameBytes-len("keys/.json")-1))
	set(t, open[int](t, memstore.New(), longest), "k", 1)
}

// Every call of a closed client fails, and sends nothing.
func TestClosed(t *testing.T) {
	t.Parallel()
	store := counted(memstore.New())
	db := open[int](t, store)
	e := set(t, db, "k", 1)
	for range 2 {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	store.take()
	ctx := t.Context()
	calls := map[string]func() error{
		"set":         func() error { _, err := db.Set(ctx, "k", 2); return err },
		"get":         func() error { _, err := db.Get(ctx, "k"); return err },
		"log version": func() error { _, err := db.LogVersion(ctx, e.VersionID); return err },
		"history":     func() error { _, err := collect(db.History(ctx, "k")); return err },
		"log":         func() error { _, err := collect(db.Log(ctx)); return err },
		"keys":        func() error { _, err := collect(db.Keys(ctx)); return err },
		"verify log":  func() error { _, err := db.VerifyLog(ctx); return err },
		"audit":       func() error { _, err := db.Audit(ctx); return err },
		"repair":      func() error { _, err := db.Repair(ctx); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, immukv.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if seen := store.take(); len(seen) > 0 {
		t.Errorf("a closed client sent %v", seen)
	}
}

// Close waits for a deferred apply.
func TestCloseWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		slow := &tapped{store: mem, before: func(_ context.Context, r request) error {
			if r.op == "put" && r.name != "_log.json" {
				time.Sleep(time.Second)
			}
			return nil
		}}
		db := open[int](t, slow, immukv.WithDeferredApply())
		set(t, db, "k", 1)
		if n := len(stored(t, mem, "keys/k.json")); n != 0 {
			t.Error("the apply was not deferred")
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if n := len(stored(t, mem, "keys/k.json")); n != 1 {
			t.Error("Close did not wait for the apply")
		}
	})
}

// What is logged names keys and sequences and never a value.
func TestLogger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
		lost := storeError(backend.ErrOutcomeUnknown)
		store := onPut(onPut(memstore.New(), "_log.json", notApplied(lost)), "keys/the-key.json", notApplied(storeError(backend.ErrAccessDenied)))
		db := open[string](t, store, immukv.WithLogger(logger))
		set(t, db, "the-key", "confidential")
		text := logged.String()
		for _, want := range []string{"level=DEBUG", "level=WARN", "the-key", "sequence=0"} {
			if !strings.Contains(text, want) {
				t.Errorf("log lacks %s:\n%s", want, text)
			}
		}
		if strings.Contains(text, "confidential") {
			t.Errorf("log has the value:\n%s", text)
		}
	})
}

// An error of a call says what was attempted, once, and on what.
func TestErrorText(t *testing.T) {
	t.Parallel()
	db := open[int](t, memstore.New())
	_, err := db.Get(t.Context(), "missing")
	if want := `get "missing": get "keys/missing.json": not found`; err.Error() != want {
		t.Errorf("error is %q, want %q", err, want)
	}
	synctest.Test(t, func(t *testing.T) {
		db := open[int](t, always(memstore.New(), "_log.json", notApplied(storeError(backend.ErrOutcomeUnknown))))
		_, err := db.Set(t.Context(), "k", 1)
		if text := fmt.Sprint(err); strings.Count(text, `set "k"`) != 1 || strings.Count(text, "outcome unknown: write ") != 1 {
			t.Errorf("error is %q", text)
		}
	})
}
