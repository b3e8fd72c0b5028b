package immukv_test

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// verified is the report on a store's log, or on all of it.
func verified(t testing.TB, store backend.VersionedStore, withKeys bool, opts ...immukv.VerifyOption) *immukv.Report {
	t.Helper()
	db := open[any](t, store, immukv.WithReadOnly())
	verify := db.VerifyLog
	if withKeys {
		verify = db.Audit
	}
	report, err := verify(t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// found tells whether a report has a finding of a kind at a place.
func found(r *immukv.Report, kind immukv.FindingKind, object string, sequence int64) bool {
	return slices.ContainsFunc(r.Findings, func(f immukv.Finding) bool {
		return f.Kind == kind && f.Object == object && f.Sequence == sequence
	})
}

// tampering is a change made to the log behind the protocol's back, and the finding
// that has to name it.
type tampering struct {
	change   func([]memstore.Version) []memstore.Version
	kind     immukv.FindingKind
	sequence int64
}

const (
	logLength = 12
	spot      = 7 // where most tamperings strike
)

// logTamperings are tamperings with a log of logLength entries, of keys k0, k1, k2, k0, ….
func logTamperings(versions []memstore.Version) map[string]tampering {
	type list = []memstore.Version
	body := func(i int, change func(string) string) func(list) list {
		return func(v list) list { v[i].Body = change(v[i].Body); return v }
	}
	replace := func(i int, old, with string) func(list) list {
		return body(i, func(b string) string { return replaced(b, old, with) })
	}
	id := func(i int) string { return string(versions[i].ID) }
	copied := func(i int) memstore.Version { v := versions[i]; v.ID = "copy"; return v }
	return map[string]tampering{
		"value changed":           {replace(spot, `"value":7`, `"value":8`), immukv.HashMismatch, spot},
		"value of head changed":   {replace(logLength-1, `"value":11`, `"value":8`), immukv.HashMismatch, logLength - 1},
		"value of first changed":  {replace(0, `"value":0`, `"value":8`), immukv.HashMismatch, 0},
		"hash changed":            {replace(spot, `{"hash":"sha256:`, `{"hash":"sha256:00`), immukv.HashMismatch, spot},
		"sequence raised":         {replace(spot, `"sequence":7`, `"sequence":700`), immukv.HashMismatch, 700},
		"sequence lowered":        {replace(spot, `"sequence":7`, `"sequence":2`), immukv.HashMismatch, 2},
		"sequence zero":           {replace(spot, `"sequence":7`, `"sequence":0`), immukv.HashMismatch, 0},
		"blank added":             {replace(spot, `"value":`, `"value": `), immukv.NotCanonical, spot},
		"field added somewhere":   {replace(spot, `"value":`, `"added":1,"value":`), immukv.NotCanonical, spot},
		"no JSON":                 {body(spot, func(b string) string { return b[1:] }), immukv.MalformedVersion, spot},
		"head no JSON":            {body(logLength-1, func(b string) string { return b[1:] }), immukv.MalformedVersion, logLength - 1},
		"first no JSON":           {body(0, func(b string) string { return b[1:] }), immukv.MalformedVersion, 0},
		"two no JSON":             {func(v list) list { v[spot].Body, v[spot-1].Body = "", ""; return v }, immukv.MalformedVersion, spot - 1},
		"link to nothing":         {replace(spot, id(spot-1), "none"), immukv.BrokenLink, spot},
		"link to itself":          {replace(spot, id(spot-1), id(spot)), immukv.BrokenLink, spot},
		"link to a newer":         {replace(spot, id(spot-1), id(spot+2)), immukv.BrokenLink, spot},
		"link to an older":        {replace(spot, id(spot-1), id(2)), immukv.BrokenLink, spot},
		"link of head to itself":  {replace(logLength-1, id(logLength-2), id(logLength-1)), immukv.BrokenLink, logLength - 1},
		"link taken out":          {replace(spot, `"previous_version_id":"`+id(spot-1)+`",`, ""), immukv.SequenceGap, spot},
		"link put in first":       {replace(0, `"sequence"`, `"previous_version_id":"`+id(3)+`","sequence"`), immukv.BrokenLink, 0},
		"removed":                 {func(v list) list { return slices.Delete(v, spot, spot+1) }, immukv.MissingVersion, spot},
		"three removed":           {func(v list) list { return slices.Delete(v, spot-1, spot+2) }, immukv.SequenceGap, spot - 2},
		"first removed":           {func(v list) list { return v[1:] }, immukv.MissingVersion, 0},
		"first half removed":      {func(v list) list { return v[spot:] }, immukv.MissingBeginning, spot - 1},
		"bodies swapped":          {func(v list) list { v[spot].Body, v[3].Body = v[3].Body, v[spot].Body; return v }, immukv.BrokenLink, spot + 1},
		"head put back":           {func(v list) list { return append(v[:logLength-2], v[logLength-1], v[logLength-2]) }, immukv.UnexpectedVersion, logLength - 1},
		"duplicated in place":     {func(v list) list { return slices.Insert(v, spot, copied(spot)) }, immukv.UnexpectedVersion, spot},
		"duplicated as head":      {func(v list) list { return append(v, copied(spot)) }, immukv.UnexpectedVersion, spot},
		"head duplicated":         {func(v list) list { return append(v, copied(logLength-1)) }, immukv.UnexpectedVersion, logLength - 1},
		"first duplicated":        {func(v list) list { return append(list{copied(0)}, v...) }, immukv.UnexpectedVersion, 0},
		"foreign inserted":        {func(v list) list { return slices.Insert(v, spot, memstore.Version{ID: "x", ETag: "x", Body: "hello"}) }, immukv.MalformedVersion, -1},
		"deleted":                 {marked, immukv.DeleteMarker, -1},
		"deleted and gone on":     {func(v list) list { return slices.Insert(v, spot, memstore.Version{ID: "x", DeleteMarker: true}) }, immukv.DeleteMarker, -1},
		"second genesis":          {func(v list) list { return append(v, copied(0)) }, immukv.UnexpectedVersion, logLength - 1},
		"deleted and begun again": {func(v list) list { return append(marked(v), copied(0)) }, immukv.UnexpectedVersion, logLength - 1},
	}
}

// Each tampering with the log is found by VerifyLog and by Audit, with its place.
func TestTamperedLog(t *testing.T) {
	t.Parallel()
	honest := filled(t, logLength, 3)
	for name, c := range logTamperings(versionsOf(honest.Dump(), logObject)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mem := edit(t, honest, logObject, c.change)
			for _, withKeys := range []bool{false, true} {
				r := verified(t, mem, withKeys)
				if r.Valid() || !found(r, c.kind, logObject, c.sequence) {
					t.Errorf("with keys %v: no %s at %d among %v", withKeys, c.kind, c.sequence, r.Findings)
				}
				if !errors.Is(r.Err(), immukv.ErrVerificationFailed) {
					t.Errorf("error is %v", r.Err())
				}
			}
			// Nothing but what was tampered with is complained of.
			rest, besides := 0, 0
			for _, f := range verified(t, mem, false).Findings {
				if f.Kind == immukv.UnexpectedVersion {
					besides++ // the chain leads past it
				} else {
					rest++
				}
			}
			led := c.kind == immukv.BrokenLink || c.kind == immukv.UnexpectedVersion || c.kind == immukv.DeleteMarker
			if rest > 3 || besides > 0 && !led {
				t.Errorf("%d findings, and %d versions beside the chain", rest, besides)
			}
		})
	}
}

// A field that this client does not know may be a later client's. Where it stands as
// a client would have stored it, it is let pass: it is under no hash.
func TestUnknownField(t *testing.T) {
	t.Parallel()
	mem := edit(t, filled(t, logLength, 3), logObject, func(v []memstore.Version) []memstore.Version {
		v[spot].Body = replaced(v[spot].Body, `"value":`, `"unknown":1,"value":`)
		return v
	})
	audit(t, mem)
}

// Two tamperings hide one another no more than one does, whatever they are; and
// every verification and every read of the log comes to an end.
func TestTamperedTwice(t *testing.T) {
	t.Parallel()
	honest := filled(t, logLength, 3)
	versions := versionsOf(honest.Dump(), logObject)
	rapid.Check(t, func(r *rapid.T) {
		copies := 0
		mem := edit(t, honest, logObject, func(v []memstore.Version) []memstore.Version {
			for range rapid.IntRange(1, 3).Draw(r, "changes") {
				if len(v) == 0 {
					return v
				}
				i := rapid.IntRange(0, len(v)-1).Draw(r, "i")
				j := rapid.IntRange(0, len(v)-1).Draw(r, "j")
				switch rapid.IntRange(0, 5).Draw(r, "kind") {
				case 0:
					v = slices.Delete(v, i, i+1)
				case 1:
					v[i].Body, v[j].Body = v[j].Body, v[i].Body
				case 2:
					c := v[i]
					copies++
					c.ID = backend.VersionID(fmt.Sprint("copy", copies))
					v = slices.Insert(v, j, c)
				case 3: // links are under no hash
					if at := strings.Index(v[i].Body, `"previous_version_id":"`); at >= 0 {
						at += len(`"previous_version_id":"`)
						v[i].Body = v[i].Body[:at] + string(v[j].ID) + v[i].Body[at+16:]
					}
				case 4:
					v[i].Body = strings.Replace(v[i].Body, `"sequence":`, fmt.Sprintf(`"sequence":%d`, j), 1)
				case 5:
					v[i].Body = strings.Replace(v[i].Body, `"value":`, `"value":1`, 1)
				}
			}
			return v
		})
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		db := open[any](t, mem, immukv.WithReadOnly())
		n := 0
		for range db.Log(ctx) {
			if n++; n > 2*logLength {
				r.Fatal("the log does not end")
			}
		}
		for _, opts := range [][]immukv.VerifyOption{nil, {immukv.Limit(5)}, {immukv.TrustedStart(immukv.Checkpoint{Sequence: 3, Hash: "sha256:x"})}} {
			report, err := db.VerifyLog(ctx, opts...)
			if err != nil {
				r.Fatal(err)
			}
			if report.Entries > int64(len(versions)+3) {
				r.Fatalf("%d entries", report.Entries)
			}
		}
		report, err := db.Audit(ctx)
		if err != nil {
			r.Fatal(err)
		}
		if same := slices.Equal(versionsOf(mem.Dump(), logObject), versions); report.Valid() != same {
			r.Fatalf("valid is %v, %v", report.Valid(), report.Err())
		}
	})
}

// forged is a log version with a right hash, made up by someone who may write.
func forged(t testing.TB, key string, sequence int64, previous immukv.Hash, follows backend.VersionID) memstore.Version {
	t.Helper()
	hash, err := immukv.Python.Hash(key, previous, sequence, 1, []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	id := backend.VersionID(fmt.Sprint("forged-", sequence))
	return memstore.Version{ID: id, ETag: backend.ETag(id), Body: fmt.Sprintf(
		`{"hash":"%s","key":"%s","previous_hash":"%s","previous_version_id":"%s","sequence":%d,"timestamp_ms":1,"value":1}`,
		hash, key, previous, follows, sequence)}
}

// A log that begins with an entry that follows another does not begin.
func TestForgedBeginning(t *testing.T) {
	t.Parallel()
	first := forged(t, "k", 0, "sha256:before", "x")
	for name, link := range map[string]string{"names a version": `"x"`, "names none": "null"} {
		v := first
		v.Body = replaced(v.Body, `"previous_version_id":"x"`, `"previous_version_id":`+link)
		mem := load(t, memstore.State{Objects: []memstore.Object{{Name: logObject, Versions: []memstore.Version{v}}}})
		if r := verified(t, mem, false); !found(r, immukv.BrokenLink, logObject, 0) {
			t.Errorf("%s: %v", name, r.Findings)
		}
	}
}

// Made-up sequence numbers, as large as they go, cost no time and no memory, and
// nothing is appended after the largest.
func TestAbsurdSequences(t *testing.T) {
	t.Parallel()
	const largest = 1<<63 - 1
	for _, sequence := range []int64{1 << 20, 1 << 40, largest} {
		mem := edit(t, filled(t, logLength, 3), logObject, func(v []memstore.Version) []memstore.Version {
			head, err := open[int](t, filled(t, logLength, 3)).Get(t.Context(), "k2")
			if err != nil {
				t.Fatal(err)
			}
			return append(v, forged(t, "k2", sequence, head.Hash, v[len(v)-1].ID))
		})
		for _, withKeys := range []bool{false, true} {
			r := verified(t, mem, withKeys, immukv.Progress(func(_, _ int64) {}))
			if !found(r, immukv.SequenceGap, logObject, logLength-1) || r.Entries != logLength+1 {
				t.Errorf("sequence %d: %v", sequence, r.Findings)
			}
		}
		if entries := all(t, open[int](t, mem).Log(t.Context())); len(entries) != logLength+1 {
			t.Errorf("sequence %d: log has %d entries", sequence, len(entries))
		}
		if sequence == largest {
			_, err := open[int](t, mem).Set(t.Context(), "k0", 1)
			if !errors.Is(err, immukv.ErrMalformedEntry) || len(versionsOf(mem.Dump(), logObject)) != logLength+1 {
				t.Errorf("set: %v", err)
			}
		}
	}
}

func TestVerifyEmpty(t *testing.T) {
	t.Parallel()
	for _, withKeys := range []bool{false, true} {
		r := verified(t, memstore.New(), withKeys)
		if !r.Valid() || !r.Complete || r.Entries != 0 || r.FirstSequence != -1 || r.LastSequence != -1 || r.HeadHash != "" || r.Err() != nil {
			t.Errorf("report is %+v", r)
		}
	}
}

// Progress is told now and then, goes up, and ends at the total.
func TestProgress(t *testing.T) {
	t.Parallel()
	const n = 300
	mem := filled(t, n, 3)
	for withKeys, total := range map[bool]int64{false: n, true: 2 * n} {
		calls, last := 0, int64(0)
		verified(t, mem, withKeys, immukv.Progress(func(done, of int64) {
			calls++
			if done <= last || done > of || of != total {
				t.Errorf("%d of %d after %d", done, of, last)
			}
			last = done
		}))
		if calls < 4 || calls > 20 || last < total-64 {
			t.Errorf("%d calls, the last with %d of %d", calls, last, total)
		}
	}
}

// A finding does not quote the whole of what it found, which may be as large as an object.
func TestLongDetail(t *testing.T) {
	t.Parallel()
	long := wire.New(wire.Draft{
		Key: strings.Repeat("\u2603", 1<<20), Value: []byte("1"), Sequence: 1, TimestampMS: 1, Dialect: wire.Python,
		PreviousHash: wire.GenesisHash, PreviousVersionID: "1",
	})
	mem := edit(t, filled(t, 3, 1), "keys/k0.json", func(v []memstore.Version) []memstore.Version {
		v[1].Body = string(long.KeyBody("2"))
		return v
	})
	r := verified(t, mem, true)
	if len(r.Findings) == 0 {
		t.Error("nothing found")
	}
	for _, f := range r.Findings {
		if len(f.Detail) > 2000+len("…") || !utf8.ValidString(f.Detail) {
			t.Errorf("%d bytes: %.100s", len(f.Detail), f.Detail)
		}
	}
}

// A report does not grow without bound, and says how much it left out.
func TestManyFindings(t *testing.T) {
	t.Parallel()
	const n = 1100
	mem := edit(t, filled(t, n, 1), logObject, func(v []memstore.Version) []memstore.Version {
		for i := range v {
			v[i].Body = strings.Replace(v[i].Body, `"value":`, `"value": `, 1)
		}
		return v
	})
	r := verified(t, mem, false)
	if len(r.Findings) != 1000 || r.MoreFindings != n-1000 || !strings.Contains(r.Err().Error(), "100 more findings") {
		t.Errorf("%d findings and %d more", len(r.Findings), r.MoreFindings)
	}
	// So it is with the versions of one key.
	mem = edit(t, filled(t, n, 1), "keys/k0.json", func(v []memstore.Version) []memstore.Version {
		for i := range v {
			v[i].Body = strings.Replace(v[i].Body, `"value":`, `"value": `, 1)
		}
		return v
	})
	if r := verified(t, mem, true); len(r.Findings) != 1000 || r.MoreFindings != n-1000 {
		t.Errorf("of a key: %d findings and %d more", len(r.Findings), r.MoreFindings)
	}
	var f immukv.Finding
	if !errors.As(r.Err(), &f) || !strings.Contains(f.Error(), "_log.json version ") || !strings.Contains(f.Error(), "(sequence 1099): not-canonical: ") {
		t.Errorf("finding is %v", f)
	}
}

// A store that knows a version to be gone, and one that lists what it does not give.
func TestUnreadableVersions(t *testing.T) {
	t.Parallel()
	honest := filled(t, logLength, 3)
	versions := versionsOf(honest.Dump(), logObject)
	for _, kind := range []error{backend.ErrDamaged, backend.ErrNotFound} {
		for _, lost := range []int{0, spot, logLength - 1} {
			store := &unreadable{VersionedStore: honest, id: versions[lost].ID, head: lost == logLength-1, kind: kind}
			if store.head && kind == backend.ErrNotFound {
				continue // no head at all
			}
			sequence := int64(lost)
			if store.head {
				sequence = -1 // whose place nobody knows
			}
			for _, withKeys := range []bool{false, true} {
				if r := verified(t, store, withKeys); !found(r, immukv.MissingVersion, logObject, sequence) || r.Complete != (lost > 0) {
					t.Errorf("%d %v: complete %v, %v", lost, kind, r.Complete, r.Findings)
				}
			}
		}
	}
	key := versionsOf(honest.Dump(), "keys/k1.json")
	store := &unreadable{VersionedStore: honest, id: key[1].ID, kind: backend.ErrDamaged}
	if r := verified(t, store, true); !found(r, immukv.MissingVersion, "keys/k1.json", -1) || !found(r, immukv.MissingVersion, "keys/k1.json", 4) {
		t.Errorf("key object: %v", r.Findings)
	}
}

// A version that is too large to be read, as another client may have written it, is
// one that is malformed: what there is beside it is read, and verified.
func TestVersionTooLarge(t *testing.T) {
	t.Parallel()
	honest := filled(t, logLength, 3)
	log := versionsOf(honest.Dump(), logObject)
	tooLarge := func(v memstore.Version, head bool) *unreadable {
		return &unreadable{VersionedStore: honest, id: v.ID, head: head, kind: backend.ErrTooLarge}
	}
	for _, large := range []int{0, 5, logLength - 1} {
		store := tooLarge(log[large], large == logLength-1)
		for _, withKeys := range []bool{false, true} {
			r := verified(t, store, withKeys)
			if !found(r, immukv.MalformedVersion, logObject, int64(large)) || r.Entries != logLength-1 {
				t.Errorf("%d: %+v", large, r)
			}
		}
		db := open[int](t, store)
		if e := get(t, db, "k1"); e.Value != 10 {
			t.Errorf("%d: got %+v", large, e)
		}
		var entryErr *immukv.EntryError
		if _, err := collect(db.Log(t.Context())); !errors.As(err, &entryErr) || !errors.Is(err, immukv.ErrMalformedEntry) || !errors.Is(err, backend.ErrTooLarge) {
			t.Errorf("%d: log: %v", large, err)
		}
		if !store.head {
			continue
		}
		if _, err := db.Set(t.Context(), "k", 1); !errors.As(err, &entryErr) || entryErr.Object != logObject {
			t.Errorf("set: %v", err)
		}
	}
	key := versionsOf(honest.Dump(), "keys/k1.json")
	if r := verified(t, tooLarge(key[1], false), true); !found(r, immukv.MalformedVersion, "keys/k1.json", -1) {
		t.Errorf("key object: %v", r.Findings)
	}
}

// unreadable is a store that does not give one version.
type unreadable struct {
	backend.VersionedStore
	id   backend.VersionID
	head bool // it is the log's newest
	kind error
}

func (s *unreadable) Get(ctx context.Context, name string) (backend.Object, error) {
	if s.head && name == logObject {
		return backend.Object{}, storeError(s.kind)
	}
	return s.VersionedStore.Get(ctx, name)
}

func (s *unreadable) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	if id == s.id {
		return backend.Object{}, storeError(s.kind)
	}
	return s.VersionedStore.GetVersion(ctx, name, id)
}

// Honest histories have no finding while writers write, in whatever order the store lists
// what they wrote.
func TestVerifyWhileWriting(t *testing.T) {
	t.Parallel()
	for _, disturbed := range []bool{false, true} {
		t.Run(fmt.Sprint("disturbed=", disturbed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				mem := filled(t, 30, 3)
				random := newRandom(1)
				slow := &tapped{store: mem, page: 7, before: func(context.Context, request) error {
					time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
					return nil
				}}
				if disturbed { // in an order that stays as it is while versions come
					seed := maphash.MakeSeed()
					slow.order = byShift(func(v backend.Version, _ int) int { return int(maphash.String(seed, string(v.ID)) % 9) })
				}
				var writers sync.WaitGroup
				for w := range 2 {
					db := open[int](t, &tapped{store: mem, before: slow.before})
					writers.Go(func() {
						for i := range 60 {
							if _, err := db.Set(t.Context(), fmt.Sprint("k", (i+w)%4), i); err != nil {
								t.Error(err)
							}
						}
					})
				}
				done := make(chan struct{})
				go func() { writers.Wait(); close(done) }()
				for verifications := 0; ; verifications++ {
					select {
					case <-done:
						t.Logf("%d rounds of verifications while writing", verifications)
						return
					default:
					}
					db := open[int](t, slow)
					for name, verify := range map[string]func(context.Context, ...immukv.VerifyOption) (*immukv.Report, error){"log": db.VerifyLog, "audit": db.Audit} {
						r, err := verify(t.Context())
						if err != nil || !r.Valid() || !r.Complete {
							t.Errorf("%s: %v, %v", name, err, r.Err())
						}
						if r, err = verify(t.Context(), immukv.Limit(10)); err != nil || !r.Valid() {
							t.Errorf("%s with a limit: %v, %v", name, err, r.Err())
						}
					}
				}
			})
		})
	}
}
