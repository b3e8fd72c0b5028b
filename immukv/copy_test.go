package immukv_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/sim"
)

// mixed makes a store of n entries and more: of both dialects, some of them several to a
// version.
func mixed(t testing.TB, n int) *memstore.Store {
	t.Helper()
	mem := memstore.New()
	python := open[json.RawMessage](t, mem, immukv.WithValueCodec[json.RawMessage](rawCodec{}))
	typescript := open[json.RawMessage](t, mem, immukv.WithValueCodec[json.RawMessage](rawCodec{}), immukv.WithDialect(immukv.TypeScript))
	values := []string{`1.0`, `"two"`, `null`, `{"b":[1e21,{}],"a":"\u00e9<"}`, `12345678901234567890`}
	for i := range n {
		key, value := fmt.Sprint("k", i%5), json.RawMessage(values[i%len(values)])
		switch i % 4 {
		case 0, 1:
			set(t, python, key, value)
		case 2:
			set(t, typescript, key, json.RawMessage(values[i%4]))
		case 3:
			if _, err := python.SetAll(t.Context(), immukv.Write[json.RawMessage]{Key: key, Value: value},
				immukv.Write[json.RawMessage]{Key: "other", Value: value}, immukv.Write[json.RawMessage]{Key: fmt.Sprint("new", i), Value: value}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return mem
}

// leaveOrphans makes the newest version of a store one whose entries were not applied.
func leaveOrphans(t testing.TB, mem *memstore.Store) {
	t.Helper()
	crashed := &tapped{store: mem, put: func(r request, send func() (backend.Version, error)) (backend.Version, error) {
		if r.name != logObject {
			return backend.Version{}, storeError(backend.ErrAccessDenied)
		}
		return send()
	}}
	db := open[int](t, crashed)
	if _, err := db.SetAll(t.Context(), immukv.Write[int]{Key: "k0", Value: 1}, immukv.Write[int]{Key: "orphan", Value: 2}); err != nil {
		t.Fatal(err)
	}
}

// sameLog checks that one log is the beginning of another: entry by entry the same tokens
// but for those that name versions, as many to a version. It returns how many there are.
func sameLog(t testing.TB, src, dst memstore.State, srcLog, dstLog string) int {
	t.Helper()
	own := func(v memstore.Version) (lines []string) {
		for line := range strings.SplitSeq(v.Body, "\n") {
			var all map[string]json.RawMessage
			if err := json.Unmarshal([]byte(line), &all); err != nil && !strings.Contains(line, "NaN") && !strings.Contains(line, "Infinity") {
				t.Fatal(err)
			} else if err != nil {
				lines = append(lines, "not JSON: "+line[strings.Index(line, `"sequence"`):])
				continue
			}
			delete(all, "previous_version_id")
			delete(all, "previous_key_object_etag")
			text, err := json.Marshal(all)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, string(text))
		}
		return lines
	}
	from, to := versionsOf(src, srcLog), versionsOf(dst, dstLog)
	if len(to) > len(from) {
		t.Errorf("the copy has %d versions, and the source %d", len(to), len(from))
		return 0
	}
	n := 0
	for i, v := range to {
		got := own(v)
		n += len(got)
		if diff := cmp.Diff(own(from[i]), got); diff != "" {
			t.Errorf("version %d (-source +copy):\n%s", i, diff)
		}
	}
	return n
}

func copyTo(ctx context.Context, dst, src backend.VersionedStore, opts ...immukv.Option) (immukv.CopyReport, error) {
	from, err := immukv.Open[int](ctx, src, immukv.WithReadOnly())
	if err != nil {
		return immukv.CopyReport{}, err
	}
	to, err := immukv.Open[string](ctx, dst, opts...)
	if err != nil {
		return immukv.CopyReport{}, err
	}
	defer func() { _ = to.Close() }()
	return immukv.Copy(ctx, to, from)
}

func headOf(t testing.TB, store backend.VersionedStore, opts ...immukv.Option) immukv.Checkpoint {
	t.Helper()
	r, err := open[int](t, store, opts...).VerifyLog(t.Context())
	if err != nil || r.Err() != nil {
		t.Fatal(err, r.Err())
	}
	return r.Head()
}

func TestCopy(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 60} {
		for _, orphan := range []bool{false, true} {
			src := mixed(t, n)
			if orphan {
				leaveOrphans(t, src)
			}
			dst := memstore.New()
			var progress []int64
			from, to := open[int](t, src, immukv.WithReadOnly()), open[string](t, dst, immukv.WithPrefix("copy/"))
			r, err := immukv.Copy(t.Context(), to, from, immukv.Progress(func(done, total int64) { progress = append(progress, done, total) }))
			if err != nil {
				t.Fatal(err)
			}
			entries := sameLog(t, src.Dump(), dst.Dump(), logObject, "copy/"+logObject)
			if int64(entries) != r.Copied || r.Repaired || r.Head != headOf(t, src) || r.Head != headOf(t, dst, immukv.WithPrefix("copy/")) {
				t.Errorf("of %d: %d entries are there, report %+v", n, entries, r)
			}
			if want := int64(entries); want > 0 && (progress[len(progress)-2] != want || progress[len(progress)-1] != want) {
				t.Errorf("progress ended with %v", progress[len(progress)-2:])
			}
			if r := audit(t, dst, immukv.WithPrefix("copy/")); len(r.Orphans) > 0 {
				t.Error("the copy ends with an orphan")
			}
			before := dst.Dump()
			if r, err := copyTo(t.Context(), dst, src, immukv.WithPrefix("copy/")); err != nil || r.Copied != 0 || cmp.Diff(before, dst.Dump()) != "" {
				t.Errorf("copied again: %+v, %v", r, err)
			}
			// The copy gets an entry of its own, and differs then.
			set(t, to, "k0", "mine")
			if _, err := immukv.Copy(t.Context(), to, from); !errors.Is(err, immukv.ErrDiverged) {
				t.Errorf("copied upon an entry of its own: %v", err)
			}
		}
	}
}

// The stores that the other clients left are copied entry by entry, in their dialects, and
// back again.
func TestCopyOfForeignStores(t *testing.T) {
	foreignStores(t, func(t *testing.T, s foreignStore) {
		src, dst, back := load(t, s.State), memstore.New(), memstore.New()
		r, err := copyTo(t.Context(), dst, &prefixed{src, s.Prefix}, immukv.WithPrefix("p/"))
		if err != nil {
			t.Fatal(err)
		}
		if n := sameLog(t, s.State, dst.Dump(), s.Prefix+logObject, "p/"+logObject); n != len(s.log()) || r.Copied != int64(n) {
			t.Errorf("%d entries of %d are there, %+v", n, len(s.log()), r)
		}
		audit(t, dst, immukv.WithPrefix("p/"))
		if r, err := copyTo(t.Context(), back, &prefixed{dst, "p/"}); err != nil || r.Copied != int64(len(s.log())) {
			t.Fatal(r, err)
		}
		sameLog(t, s.State, back.Dump(), s.Prefix+logObject, logObject)
		audit(t, back)
		// What a key's object holds is what its writer would have stored there.
		for _, v := range versionsOf(back.Dump(), logObject) {
			if want, body := dialectOf(t, v.Body), v.Body; want != 0 {
				var key string
				if err := json.Unmarshal(tokens(t, body)["key"], &key); err != nil {
					t.Fatal(err)
				}
				held := versionsOf(back.Dump(), "keys/"+key+".json")
				if !slices.ContainsFunc(held, func(k memstore.Version) bool { return k.Body == keyObjectOf(t, v) }) {
					t.Errorf("no version of the key object is %s", keyObjectOf(t, v))
				}
			}
		}
	})
}

// prefixed is the part of a store below a prefix.
type prefixed struct {
	backend.VersionedStore
	prefix string
}

func (s *prefixed) Get(ctx context.Context, name string) (backend.Object, error) {
	return s.VersionedStore.Get(ctx, s.prefix+name)
}

func (s *prefixed) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	return s.VersionedStore.GetVersion(ctx, s.prefix+name, id)
}

func (s *prefixed) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	return s.VersionedStore.ListVersions(ctx, s.prefix+name, req)
}

// elsewhere is an empty log in a store that has other versions, so that those of the log
// will not have the IDs that they have in the source.
func elsewhere(t testing.TB) *memstore.Store {
	t.Helper()
	mem := memstore.New()
	if _, err := mem.Put(t.Context(), "unrelated", nil, backend.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	return mem
}

// Wherever a copy dies, what is there is a valid store and the beginning of the source;
// and the next run completes it.
func TestCopyDiesAnywhere(t *testing.T) {
	t.Parallel()
	src := mixed(t, 9)
	leaveOrphans(t, src)
	runs := 0
	for crash := range sim.Crashes() {
		dst := elsewhere(t)
		_ = crash.Run(t.Context(), dst, func(ctx context.Context, store backend.VersionedStore) error {
			_, err := copyTo(ctx, store, src, immukv.WithMaxAttempts(1))
			return err
		})
		sameLog(t, src.Dump(), dst.Dump(), logObject, logObject)
		left := audit(t, dst)
		r, err := copyTo(t.Context(), dst, src)
		if err != nil || r.Repaired != (len(left.Orphans) > 0) || r.Head != headOf(t, src) || r.Copied != r.Head.Sequence-left.LastSequence {
			t.Errorf("%v, with sequence %d the last then, orphan %v: %+v, %v", crash, left.LastSequence, left.Orphans, r, err)
		}
		if n := sameLog(t, src.Dump(), dst.Dump(), logObject, logObject); int64(n) != r.Head.Sequence+1 {
			t.Errorf("%v: %d entries in the end", crash, n)
		}
		if r := audit(t, dst); len(r.Orphans) > 0 {
			t.Errorf("%v: an orphan is left", crash)
		}
		runs++
	}
	t.Logf("%d deaths", runs-1)
}

// Whatever any one request of a copy meets, the copy is right or fails, and the next run
// completes it.
func TestCopyMeetsAnyFault(t *testing.T) {
	t.Parallel()
	src := mixed(t, 6)
	// Time is virtual: a copy waits before it asks again.
	synctest.Test(t, func(t *testing.T) {
		for injection := range sim.Injections(sim.AllFaults()...) {
			dst := elsewhere(t)
			err := injection.Run(t.Context(), dst, func(ctx context.Context, store backend.VersionedStore) error {
				_, err := copyTo(ctx, store, src)
				return err
			})
			n := sameLog(t, src.Dump(), dst.Dump(), logObject, logObject)
			audit(t, dst)
			if err == nil && int64(n) != headOf(t, src).Sequence+1 {
				t.Errorf("%v: %d entries are there, and no error", injection, n)
			}
			if r, err := copyTo(t.Context(), dst, src); err != nil || r.Head != headOf(t, src) {
				t.Errorf("%v, and then: %+v, %v", injection, r, err)
			}
			sameLog(t, src.Dump(), dst.Dump(), logObject, logObject)
			if r := audit(t, dst); len(r.Orphans) > 0 {
				t.Errorf("%v: an orphan is left", injection)
			}
		}
	})
}

// Whenever somebody else writes to the destination, the copy stops, and says where; what
// both have written is a valid store.
func TestCopyBesideAnotherWriter(t *testing.T) {
	t.Parallel()
	src := mixed(t, 6)
	whole := headOf(t, src).Sequence
	for at := 1; ; at++ {
		dst := memstore.New()
		var requests atomic.Int64 // key objects are asked for side by side
		other := int64(-1)
		store := &tapped{store: dst, before: func(context.Context, request) error {
			if requests.Add(1) == int64(at) {
				other = set(t, open[string](t, dst), "k0", "mine").Sequence
			}
			return nil
		}}
		r, err := copyTo(t.Context(), store, src)
		if other < 0 {
			break
		}
		var fork *immukv.ForkError
		switch {
		case err == nil && other == whole+1 && r.Copied == whole+1: // after the last check
		case !errors.As(err, &fork) || fork.Sequence != other:
			t.Errorf("written beside as sequence %d before request %d: %+v, %v", other, at, r, err)
		}
		if r := audit(t, dst); r.LastSequence != max(other, r.LastSequence) {
			t.Errorf("before request %d: the log ends with %d", at, r.LastSequence)
		}
	}
}

// A destination that has another history is an error with the first sequence at which it
// differs, and nothing is written.
func TestCopyUponAnotherHistory(t *testing.T) {
	t.Parallel()
	const n = 40
	src := filled(t, n, 3)
	for _, c := range []struct {
		same, own int // entries of the source, and then of its own
	}{{0, 1}, {1, 1}, {17, 1}, {17, 30}, {39, 1}, {39, 5}, {40, 1}, {40, 7}, {0, 60}} {
		dst := elsewhere(t)
		part := edit(t, load(t, src.Dump()), logObject, func(v []memstore.Version) []memstore.Version { return v[:c.same] })
		if _, err := copyTo(t.Context(), dst, part); err != nil {
			t.Fatal(err)
		}
		for i := range c.own {
			set(t, open[string](t, dst), fmt.Sprint("k", i%3), "mine")
		}
		before := dst.Dump()
		_, err := copyTo(t.Context(), dst, src)
		var fork *immukv.ForkError
		if !errors.Is(err, immukv.ErrDiverged) || !errors.As(err, &fork) || fork.Sequence != int64(c.same) {
			t.Errorf("%d the same and %d of its own: %v", c.same, c.own, err)
		}
		if cmp.Diff(before, dst.Dump()) != "" {
			t.Errorf("%d the same and %d of its own: something was written", c.same, c.own)
		}
	}
}

// An entry of the source that is not what it must be is not copied, nor is anything after
// it.
func TestCopyOfTamperedLog(t *testing.T) {
	t.Parallel()
	const n, at = 40, 17
	src := filled(t, n, 3)
	other := versionsOf(filled(t, n, 4).Dump(), logObject)
	for name, c := range map[string]struct {
		change func(v []memstore.Version) []memstore.Version
		want   error
	}{
		"edited": {func(v []memstore.Version) []memstore.Version {
			v[at].Body = replaced(v[at].Body, `"value":`, `"value":1`)
			return v
		}, immukv.ErrVerificationFailed},
		"reformatted": {func(v []memstore.Version) []memstore.Version {
			v[at].Body = replaced(v[at].Body, `"value":`, `"value": `)
			return v
		}, immukv.ErrVerificationFailed},
		"no entry": {func(v []memstore.Version) []memstore.Version { v[at].Body = "{}"; return v }, immukv.ErrMalformedEntry},
		"removed":  {func(v []memstore.Version) []memstore.Version { return append(v[:at:at], v[at+1:]...) }, immukv.ErrVerificationFailed},
		"replaced": {func(v []memstore.Version) []memstore.Version { v[at].Body = other[at].Body; return v }, immukv.ErrVerificationFailed},
		"newest edited": {func(v []memstore.Version) []memstore.Version {
			v = v[:at+1]
			v[at].Body = replaced(v[at].Body, `"value":`, `"value":1`)
			return v
		}, immukv.ErrVerificationFailed},
	} {
		dst := memstore.New()
		r, err := copyTo(t.Context(), dst, edit(t, load(t, src.Dump()), logObject, c.change))
		if !errors.Is(err, c.want) || errors.Is(err, immukv.ErrDiverged) || !strings.Contains(err.Error(), "read the source") {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if n := sameLog(t, src.Dump(), dst.Dump(), logObject, logObject); n != at || r.Copied != at {
			t.Errorf("%s: %d entries were copied, want %d; %+v", name, n, at, r)
		}
		if len(audit(t, dst).Orphans) > 0 {
			t.Errorf("%s: an orphan is left", name)
		}
	}
}

// An entry of a key that the destination cannot hold ends the copy before anything of it
// is written.
func TestCopyOfKeysThatCannotBeHeld(t *testing.T) {
	t.Parallel()
	src := filled(t, 5, 5)
	long := strings.Repeat("x", 900)
	set(t, open[int](t, src), long, 1)
	for name, c := range map[string]struct {
		store func(backend.VersionedStore) backend.VersionedStore
		opts  []immukv.Option
		at    int
	}{
		"too long with the prefix": {func(s backend.VersionedStore) backend.VersionedStore { return s }, []immukv.Option{immukv.WithPrefix(strings.Repeat("p", 200) + "/")}, 5},
		"refused by the server": {func(s backend.VersionedStore) backend.VersionedStore {
			return &tapped{store: s, before: func(_ context.Context, r request) error {
				if r.name == "keys/k3.json" {
					return storeError(backend.ErrInvalidName)
				}
				return nil
			}}
		}, nil, 3},
	} {
		dst := memstore.New()
		r, err := copyTo(t.Context(), c.store(dst), src, c.opts...)
		if !errors.Is(err, immukv.ErrInvalidKey) || !strings.Contains(err.Error(), fmt.Sprint("sequence ", c.at)) || r.Copied != int64(c.at) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if r := audit(t, dst, c.opts...); len(r.Orphans) > 0 || r.Entries != int64(c.at) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestCopyOptions(t *testing.T) {
	t.Parallel()
	src, dst := filled(t, 3, 1), memstore.New()
	if _, err := copyTo(t.Context(), dst, src, immukv.WithReadOnly()); !errors.Is(err, immukv.ErrReadOnly) {
		t.Error(err)
	}
	db := open[int](t, src)
	if r, err := immukv.Copy(t.Context(), db, db); err != nil || r.Copied != 0 || r.Head.Sequence != 2 {
		t.Errorf("a log copied to itself: %+v, %v", r, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := immukv.Copy(t.Context(), open[int](t, dst), db); !errors.Is(err, immukv.ErrClosed) {
		t.Error(err)
	}
	if _, err := immukv.Copy(t.Context(), db, open[int](t, src)); !errors.Is(err, immukv.ErrClosed) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := copyTo(ctx, dst, &tapped{store: src, before: func(ctx context.Context, _ request) error { return ctx.Err() }}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// What a copy asks of the destination: of each entry its append and its apply, and once of
// each key whether it is there. That the log is empty is not believed at once.
func TestRequestsOfCopy(t *testing.T) {
	t.Parallel()
	src := counted(filled(t, 100, 2))
	dst := counted(memstore.New())
	if _, err := copyTo(t.Context(), dst, src); err != nil {
		t.Fatal(err)
	}
	src.want(t, "of the source", "1 get _log.json", "1 versions _log.json", "99 version _log.json")
	dst.want(t, "of the destination", "2 get _log.json", "2 versions _log.json", "1 head keys/k0.json", "1 head keys/k1.json",
		"100 put _log.json", "50 put keys/k0.json", "50 put keys/k1.json", "1 head _log.json")
}

// What the other clients append to a copy of what they left is accepted: the audit is
// clean, and this client appends after them.
func TestOtherClientsGoOnUponACopy(t *testing.T) {
	foreignStores(t, func(t *testing.T, s foreignStore) {
		for _, dialect := range []immukv.Dialect{immukv.Python, immukv.TypeScript} {
			dst := memstore.New()
			r, err := copyTo(t.Context(), dst, &prefixed{load(t, s.State), s.Prefix})
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{"new", "a", "new"} {
				setAsOthers(t, dst, key, dialect)
			}
			set(t, open[any](t, dst), "new", any("ours"))
			if report := audit(t, dst); report.Entries != r.Copied+4 || len(report.Orphans) > 0 {
				t.Errorf("%v: %+v", dialect, report)
			}
			if report, err := open[any](t, dst).VerifyLog(t.Context(), immukv.TrustedHead(r.Head)); err != nil || !report.Valid() {
				t.Errorf("%v: %v, %v", dialect, report, err)
			}
		}
	})
}

// setAsOthers makes the five requests of the Python or the TypeScript client.
func setAsOthers(t *testing.T, store backend.VersionedStore, key string, dialect immukv.Dialect) {
	t.Helper()
	ctx := t.Context()
	condition := func(tag backend.ETag) backend.Condition {
		if tag == "" {
			return backend.IfAbsent()
		}
		return backend.IfMatch(tag)
	}
	head, err := store.Get(ctx, logObject)
	if err != nil {
		t.Fatal(err)
	}
	before := tokens(t, string(head.Body))
	var beforeKey, beforeTag string
	var sequence int64
	for name, to := range map[string]any{"key": &beforeKey, "previous_key_object_etag": &beforeTag, "sequence": &sequence} {
		if before[name] != nil {
			if err := json.Unmarshal(before[name], to); err != nil {
				t.Fatal(err)
			}
		}
	}
	copied := func(v backend.VersionID, body []byte) []byte {
		return []byte(keyObjectOf(t, memstore.Version{ID: v, Body: string(body)}))
	}
	if _, err := store.Put(ctx, "keys/"+beforeKey+".json", copied(head.ID, head.Body), condition(backend.ETag(beforeTag))); err != nil && !errors.Is(err, backend.ErrPreconditionFailed) {
		t.Fatal(err)
	}
	tag, err := store.Head(ctx, "keys/"+key+".json")
	if err != nil && !errors.Is(err, backend.ErrNotFound) {
		t.Fatal(err)
	}
	value := []byte(`{"by":"others"}`)
	previous := immukv.Hash(strings.Trim(string(before["hash"]), `"`))
	hash, err := dialect.Hash(key, previous, sequence+1, 1_800_000_000_000, value)
	if err != nil {
		t.Fatal(err)
	}
	quoted := func(text string) json.RawMessage {
		b, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	fields := map[string]json.RawMessage{
		"hash": quoted(string(hash)), "key": quoted(key), "previous_hash": before["hash"], "previous_version_id": quoted(string(head.ID)),
		"sequence": json.RawMessage(fmt.Sprint(sequence + 1)), "timestamp_ms": json.RawMessage("1800000000000"), "value": value,
	}
	if tag.ETag != "" {
		fields["previous_key_object_etag"] = quoted(string(tag.ETag))
	}
	body := []byte(object(fields, "hash", "key", "previous_hash", "previous_key_object_etag", "previous_version_id", "sequence", "timestamp_ms", "value"))
	put, err := store.Put(ctx, logObject, body, backend.IfMatch(head.ETag))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(ctx, "keys/"+key+".json", copied(put.ID, body), condition(tag.ETag)); err != nil {
		t.Fatal(err)
	}
}
