package immukv_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// verbatim passes JSON text through as it is, unchecked and uncopied.
type verbatim struct{}

func (verbatim) Encode(text []byte) ([]byte, error) { return text, nil }
func (verbatim) Decode(text []byte) ([]byte, error) { return text, nil }

// Keys that cannot be stored are an error before anything is sent. Those that some
// store would take for a path are not written, but can be asked for.
func TestInvalidKeys(t *testing.T) {
	t.Parallel()
	room := backend.MaxNameBytes - len("p/keys/.json")
	for name, test := range map[string]struct {
		key        string
		unreadable bool
	}{
		"empty":         {"", false},
		"too long":      {strings.Repeat("k", room+1), true},
		"invalid UTF-8": {"k\xff", true},
		"NUL":           {"k\x00", false},
		"parent":        {"../", false},
		"parent within": {"a/../b", false},
		"parent last":   {"a/..", false},
		"this":          {".", false},
		"this within":   {"a/./b", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := counted(memstore.New())
			db := open[int](t, store, immukv.WithPrefix("p/"))
			if _, err := db.Set(t.Context(), test.key, 1); !errors.Is(err, immukv.ErrInvalidKey) {
				t.Errorf("set: %v", err)
			}
			if seen := store.take(); len(seen) > 0 {
				t.Errorf("requests sent: %v", seen)
			}
			want := immukv.ErrNotFound
			if test.unreadable {
				want = immukv.ErrInvalidKey
			}
			if _, err := db.Get(t.Context(), test.key); !errors.Is(err, want) {
				t.Errorf("get: %v", err)
			}
			if _, err := collect(db.History(t.Context(), test.key)); test.unreadable != errors.Is(err, immukv.ErrInvalidKey) {
				t.Errorf("history: %v", err)
			}
		})
	}
	db := open[int](t, memstore.New(), immukv.WithPrefix("p/"))
	for _, key := range []string{strings.Repeat("k", room), "...", "a//b", "/a", "a/", "日本", ".json", "a..b", "_log", "keys/x"} {
		set(t, db, key, 1)
		if e := get(t, db, key); e.Key != key {
			t.Errorf("set %q, got %q", key, e.Key)
		}
	}
}

// A key that the store at hand cannot hold is an error before anything is written.
func TestKeyThatStoreCannotHold(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]string{"first entry": "", "later entry": "other"} {
		store := counted(memstore.New())
		count := store.before
		store.before = func(ctx context.Context, r request) error {
			_ = count(ctx, r)
			if r.name == "keys/CON.json" {
				return storeError(backend.ErrInvalidName)
			}
			return nil
		}
		db := open[int](t, store)
		if first != "" {
			set(t, db, first, 1)
		}
		store.take()
		_, err := db.Set(t.Context(), "CON", 1)
		if !errors.Is(err, immukv.ErrInvalidKey) || !errors.Is(err, backend.ErrInvalidName) {
			t.Errorf("%s: %v", name, err)
		}
		if n := writes(store.take()); n > 0 {
			t.Errorf("%s: %d writes sent", name, n)
		}
		set(t, db, "next", 1)
		if _, err := db.Get(t.Context(), "CON"); !errors.Is(err, immukv.ErrInvalidKey) {
			t.Errorf("%s: get: %v", name, err)
		}
		for _, opts := range [][]immukv.HistoryOption{nil, {immukv.BeforeKeyVersion("v")}} {
			if _, err := history(db, "CON", opts...); !errors.Is(err, immukv.ErrInvalidKey) {
				t.Errorf("%s: history: %v", name, err)
			}
		}
	}
}

// An append that no repetition can make succeed is a definite failure.
func TestRefusedAppend(t *testing.T) {
	t.Parallel()
	for _, why := range []error{backend.ErrInvalidName, backend.ErrTooLarge} {
		store := counted(onPut(memstore.New(), logObject, notApplied(storeError(why))))
		_, err := open[int](t, store).Set(t.Context(), "k", 1)
		if !errors.Is(err, why) || errors.Is(err, immukv.ErrOutcomeUnknown) {
			t.Errorf("error is %v", err)
		}
		if n := writes(store.take()); n != 1 {
			t.Errorf("%d writes sent", n)
		}
	}
}

// latin1 is text that encodes itself, badly.
type latin1 string

func (s latin1) MarshalText() ([]byte, error) { return []byte(s), nil }

// U+FFFD is a character as any other, however it is written.
func TestReplacementCharacter(t *testing.T) {
	t.Parallel()
	type value struct {
		S string
		R json.RawMessage
	}
	db := open[value](t, memstore.New())
	for _, raw := range []string{`"\ufffd"`, `{"\ufffd":1}`, "\"\ufffd\"", `"\\ufffd"`} {
		e, err := db.Set(t.Context(), "k", value{"\ufffd \\ufffd", json.RawMessage(raw)})
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		want, err := immukv.Python.Canonical([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		if got := get(t, db, "k").Value; got.S != "\ufffd \\ufffd" || string(got.R) != string(want) || e.Sequence < 0 {
			t.Errorf("%s: got %q and %s", raw, got.S, got.R)
		}
	}
}

// Values that canonical JSON cannot carry are an error before anything is sent.
func TestInvalidValues(t *testing.T) {
	t.Parallel()
	store := counted(memstore.New())
	db := open[any](t, store, immukv.WithMaxValueBytes(64))
	raw := immukv.WithCodec(db, immukv.Codec[[]byte](verbatim{}))
	texts := map[string]string{
		"empty":            "",
		"no JSON":          "{",
		"more than one":    "1 2",
		"invalid UTF-8":    "\"\xff\"",
		"lone surrogate":   `"\ud800"`,
		"repeated member":  `{"a":1,"a":2}`,
		"repeated, deeper": `[{"a":1,"\u0061":2}]`,
		"beyond a double":  "1e999",
		"too deep":         strings.Repeat("[", 600) + strings.Repeat("]", 600),
	}
	for name, text := range texts {
		roomy := immukv.WithCodec(open[any](t, store), immukv.Codec[[]byte](verbatim{}))
		if _, err := roomy.Set(t.Context(), "k", []byte(text)); !errors.Is(err, immukv.ErrInvalidValue) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, value := range map[string]any{
		"NaN":     math.NaN(),
		"Inf":     math.Inf(1),
		"channel": make(chan int),
		"raw":     json.RawMessage("{"),
		// Which package json would replace by U+FFFD.
		"string not UTF-8": "a\xff",
		"name not UTF-8":   map[string]any{"a\xff": 1},
		"text not UTF-8":   struct{ T latin1 }{"\xe9"},
	} {
		if _, err := db.Set(t.Context(), "k", value); !errors.Is(err, immukv.ErrInvalidValue) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"too large":                  `"` + strings.Repeat("x", 63) + `"`,
		"too large once escaped":     `"` + strings.Repeat("é", 11) + `"`,
		"too large to be worth more": strings.Repeat(" ", 128) + "1",
	} {
		if _, err := raw.Set(t.Context(), "k", []byte(text)); !errors.Is(err, immukv.ErrValueTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if seen := store.take(); len(seen) > 0 {
		t.Errorf("requests sent: %v", seen)
	}
	for _, text := range []string{"null", `"` + strings.Repeat("x", 62) + `"`, " [ 1 , 2 ] "} {
		e, err := raw.Set(t.Context(), "k", []byte(text))
		if err != nil || string(e.JSON) != strings.ReplaceAll(text, " ", "") {
			t.Errorf("set %s: %s, %v", text, e.JSON, err)
		}
	}
	typescript := open[json.RawMessage](t, store, immukv.WithDialect(immukv.TypeScript))
	if _, err := typescript.Set(t.Context(), "k", json.RawMessage("9007199254740993")); !errors.Is(err, immukv.ErrInvalidValue) {
		t.Errorf("integer that a double cannot carry: %v", err)
	}
	audit(t, store)
}

// An entry's time must be after 1970.
func TestClockBefore1970(t *testing.T) {
	t.Parallel()
	store := counted(memstore.New())
	now := time.UnixMilli(0)
	db := open[int](t, store, immukv.WithClock(func() time.Time { return now }))
	if _, err := db.Set(t.Context(), "k", 1); !errors.Is(err, immukv.ErrInvalidOption) {
		t.Error(err)
	}
	if n := writes(store.take()); n > 0 {
		t.Errorf("%d writes sent", n)
	}
	now = time.UnixMilli(1)
	set(t, db, "k", 1)
	// A clock that jumps back changes nothing but the timestamp.
	set(t, open[int](t, store), "k", 2)
	e := set(t, db, "k", 3)
	if got := get(t, db, "k"); got.Hash != e.Hash || got.Timestamp.UnixMilli() != 1 {
		t.Errorf("got %+v", got)
	}
	audit(t, store)
}

// A random source that fails leaves nothing behind without being reported.
func TestRandomFails(t *testing.T) {
	t.Parallel()
	mem := memstore.New()
	db := open[string](t, mem, immukv.WithRandom(strings.NewReader("")))
	_, err := db.Set(t.Context(), "k", "value")
	if !errors.Is(err, io.EOF) || errors.Is(err, immukv.ErrOutcomeUnknown) {
		t.Error(err)
	}
	checkOutcome(t, mem, "value", err)
	// Enough for the write ID, not for the first wait.
	db = open[string](t, onPut(mem, logObject, appliedBut(storeError(backend.ErrOutcomeUnknown))),
		immukv.WithRandom(strings.NewReader("0123456789abcdef")))
	_, err = db.Set(t.Context(), "k", "value")
	if unknown := asUnknown(t, err); !errors.Is(err, io.EOF) || unknown.WriteID != "30313233343536373839616263646566" {
		t.Error(err)
	}
	checkOutcome(t, mem, "value", err)
}

// Nothing that a caller does to what it gave or got reaches what is stored.
func TestCallersChangeTheirBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		lost := storeError(backend.ErrUnavailable)
		disturbed := always(mem, "keys/k.json", notApplied(lost))
		db := immukv.WithCodec(open[any](t, disturbed), immukv.Codec[[]byte](verbatim{}))
		given := []byte(`{"a":1}`)
		e := set(t, db, "k", given)
		clear(given)
		clear(e.JSON)
		pending := get(t, db, "k")
		clear(pending.JSON)
		clear(pending.Value)
		for e, err := range db.History(t.Context(), "k") {
			if err != nil {
				t.Fatal(err)
			}
			clear(e.JSON)
		}
		disturbed.put = nil
		if _, err := db.Repair(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := stored(t, mem, "keys/k.json"); len(got) != 1 || string(got[0].Value) != `{"a":1}` {
			t.Errorf("the key object holds %s", got[0].Value)
		}
		audit(t, mem)
	})
}

// With a deferred apply Set returns once the entry is durable; the client's
// reads see it at once, its next write waits, and a context that ends after Set
// returned does no harm.
func TestDeferredApply(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		slow := &tapped{store: mem, before: func(_ context.Context, r request) error {
			if r.op == "put" && r.name != logObject {
				time.Sleep(time.Second)
			}
			return nil
		}}
		db := open[string](t, slow, immukv.WithDeferredApply())
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		e, err := db.Set(ctx, "a", "one")
		cancel()
		if err != nil || time.Since(start) > 0 {
			t.Fatalf("set took %v: %v", time.Since(start), err)
		}
		if got := get(t, db, "a"); got.Hash != e.Hash || got.KeyVersionID != "" {
			t.Errorf("got %+v", got)
		}
		if got := all(t, db.History(t.Context(), "a")); len(got) != 1 || got[0].Hash != e.Hash {
			t.Errorf("history is %+v", got)
		}
		if keys := all(t, db.Keys(t.Context())); !slices.Equal(keys, []string{"a"}) {
			t.Errorf("keys are %q", keys)
		}
		if time.Since(start) > 0 {
			t.Errorf("reads waited %v for the apply", time.Since(start))
		}
		if n := len(versionsOf(mem.Dump(), "keys/a.json")); n != 0 {
			t.Error("the apply was not deferred")
		}
		set(t, db, "a", "two")
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("the second write waited %v for the first one's apply", waited)
		}
		if got := get(t, db, "a"); got.Value != "two" {
			t.Errorf("got %+v", got)
		}
		if got := sequences(all(t, db.History(t.Context(), "a"))); !slices.Equal(got, []int64{1, 0}) {
			t.Errorf("history is %v", got)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if r := audit(t, mem); len(r.Orphans) > 0 || r.Entries != 2 {
			t.Errorf("report is %+v", r)
		}
	})
}

// A deferred apply continues when the caller's context has ended.
func TestDeferredOutlivesContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		slow := &tapped{store: mem, before: func(ctx context.Context, r request) error {
			if r.name == logObject {
				return nil
			}
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		db := open[string](t, slow, immukv.WithDeferredApply())
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := db.Set(ctx, "a", "one"); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if r := audit(t, mem); len(r.Orphans) > 0 {
			t.Errorf("orphan left: %+v", r.Orphans)
		}
	})
}

// A deferred apply that is never answered is given up, and the
// next write makes it good.
func TestDeferredGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		hung := &tapped{store: mem}
		hung.before = func(ctx context.Context, r request) error {
			if r.op == "put" && r.name != logObject {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		db := open[string](t, hung, immukv.WithDeferredApply())
		set(t, db, "a", "one")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := db.Set(ctx, "b", "two"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, immukv.ErrOutcomeUnknown) {
			t.Errorf("a write whose turn does not come: %v", err)
		}
		start := time.Now()
		if err := db.Close(); err != nil || time.Since(start) > time.Minute {
			t.Errorf("Close took %v: %v", time.Since(start), err)
		}
		if r := audit(t, mem); len(r.Orphans) == 0 || r.Entries != 1 {
			t.Errorf("report is %+v", r)
		}
		set(t, open[string](t, mem), "b", "two")
		if r := audit(t, mem); len(r.Orphans) > 0 || r.Entries != 2 {
			t.Errorf("report is %+v", r)
		}
	})
}

// What is stored is canonical JSON with the fields of wire-format.md.
func TestStoredBytes(t *testing.T) {
	t.Parallel()
	mem := memstore.New()
	db := open[any](t, mem, immukv.WithClock(func() time.Time { return time.UnixMilli(1700000000000) }),
		immukv.WithRandom(bytes.NewReader(make([]byte, 1024))))
	first := set(t, db, "ключ", any(map[string]any{"b": 1.5, "a": "<é>"}))
	second := set(t, db, "ключ", any(nil))
	object := "keys/ключ.json"
	log, key := versionsOf(mem.Dump(), logObject), versionsOf(mem.Dump(), object)
	const zeros = "00000000000000000000000000000000"
	quoted := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	for _, c := range []struct{ what, got, want string }{
		{"first log version", log[0].Body, `{"hash":"` + string(first.Hash) + `","key":"\u043a\u043b\u044e\u0447","previous_hash":"sha256:genesis","sequence":0,"timestamp_ms":1700000000000,"value":{"a":"<\u00e9>","b":1.5},"write_id":"` + zeros + `"}`},
		{"first key version", key[0].Body, `{"hash":"` + string(first.Hash) + `","key":"\u043a\u043b\u044e\u0447","log_version_id":"` + string(first.VersionID) + `","previous_hash":"sha256:genesis","sequence":0,"timestamp_ms":1700000000000,"value":{"a":"<\u00e9>","b":1.5},"write_id":"` + zeros + `"}`},
		{"second log version", log[1].Body, `{"hash":"` + string(second.Hash) + `","key":"\u043a\u043b\u044e\u0447","previous_hash":"` + string(first.Hash) + `","previous_key_object_etag":` + quoted(string(key[0].ETag)) + `,"previous_version_id":"` + string(first.VersionID) + `","sequence":1,"timestamp_ms":1700000000000,"value":null,"write_id":"` + zeros + `"}`},
	} {
		if c.got != c.want {
			t.Errorf("%s is\n%s, want\n%s", c.what, c.got, c.want)
		}
	}
}
