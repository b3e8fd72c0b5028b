package immukv_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// keyTamperings are tamperings with the object of k1 in a store of logLength entries
// of keys k0, k1, k2, k0, …: k1 has sequences 1, 4, 7 and 10.
func keyTamperings(versions, others []memstore.Version) map[string]tampering {
	type list = []memstore.Version
	replace := func(i int, old, with string) func(list) list {
		return func(v list) list { v[i].Body = replaced(v[i].Body, old, with); return v }
	}
	copied := func(v memstore.Version) memstore.Version { v.ID = "copy"; return v }
	writeID := func(i int) string {
		var f fields
		_ = json.Unmarshal([]byte(versions[i].Body), &f)
		return f.WriteID
	}
	return map[string]tampering{
		"value changed":            {replace(1, `"value":4`, `"value":5`), immukv.HashMismatch, 4},
		"newest value changed":     {replace(3, `"value":10`, `"value":11`), immukv.HashMismatch, 10},
		"blank added":              {replace(1, `"value":`, ` "value":`), immukv.NotCanonical, 4},
		"write ID changed":         {replace(1, writeID(1), writeID(2)), immukv.KeyMismatch, 4},
		"log version changed":      {replace(1, `"log_version_id":"`, `"log_version_id":"0`), immukv.KeyMismatch, 4},
		"no JSON":                  {func(v list) list { v[1].Body = "{"; return v }, immukv.MalformedVersion, -1},
		"removed":                  {func(v list) list { return slices.Delete(v, 1, 2) }, immukv.MissingVersion, 4},
		"removed, seen from above": {func(v list) list { return slices.Delete(v, 1, 2) }, immukv.KeyMismatch, 7},
		"first removed":            {func(v list) list { return v[1:] }, immukv.KeyMismatch, 4},
		"newest removed":           {func(v list) list { return v[:3] }, immukv.MissingVersion, 10},
		"all removed":              {func(list) list { return nil }, immukv.MissingVersion, 1},
		"bodies swapped":           {func(v list) list { v[1].Body, v[2].Body = v[2].Body, v[1].Body; return v }, immukv.KeyMismatch, 10},
		"put back":                 {func(v list) list { return append(v[:2], v[3], v[2]) }, immukv.KeyMismatch, 7},
		"duplicated":               {func(v list) list { return slices.Insert(v, 2, copied(v[1])) }, immukv.KeyMismatch, 4},
		"newest duplicated":        {func(v list) list { return append(v, copied(v[3])) }, immukv.KeyMismatch, 10},
		"an older one on top":      {func(v list) list { return append(v, copied(v[0])) }, immukv.KeyMismatch, 1},
		"another key's on top":     {func(v list) list { return append(v, copied(others[1])) }, immukv.KeyMismatch, 5},
		"made up":                  {func(v list) list { return append(v, copied(madeUp(v[3], others[3]))) }, immukv.HashMismatch, 10},
		"from the future":          {func(v list) list { return append(v, copied(ofFuture(v[3], "k1"))) }, immukv.KeyMismatch, 99},
		"deleted":                  {marked, immukv.DeleteMarker, -1},
		"deleted and written":      {func(v list) list { return slices.Insert(v, 2, memstore.Version{ID: "x", DeleteMarker: true}) }, immukv.DeleteMarker, -1},
	}
}

// madeUp is a version with another's hash.
func madeUp(v, other memstore.Version) memstore.Version {
	var hash struct{ Hash string }
	_ = json.Unmarshal([]byte(other.Body), &hash)
	v.Body = `{"hash":"` + hash.Hash + v.Body[len(`{"hash":"`)+len(hash.Hash):]
	return v
}

// ofFuture is a version with a right hash, of an entry that is not in the log.
func ofFuture(v memstore.Version, key string) memstore.Version {
	hash, err := immukv.Python.Hash(key, immukv.GenesisHash, 99, 1, []byte("1"))
	if err != nil {
		panic(err)
	}
	v.Body = fmt.Sprintf(`{"hash":"%s","key":"%s","log_version_id":"none","previous_hash":"sha256:genesis","sequence":99,"timestamp_ms":1,"value":1}`, hash, key)
	return v
}

// Each tampering with a key object is found by the audit, with its place, and not
// by verifying the log alone.
func TestTamperedKeyObject(t *testing.T) {
	t.Parallel()
	honest := filled(t, logLength, 3)
	const object = "keys/k1.json"
	state := honest.Dump()
	for name, c := range keyTamperings(versionsOf(state, object), versionsOf(state, "keys/k2.json")) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mem := edit(t, honest, object, c.change)
			if r := verified(t, mem, true); !found(r, c.kind, object, c.sequence) {
				t.Errorf("no %s at %d among %v", c.kind, c.sequence, r.Findings)
			}
			if r := verified(t, mem, false); !r.Valid() {
				t.Errorf("found in the log: %v", r.Findings)
			}
		})
	}
}

// sameKeyObject tells whether an object holds what it held, and the same on top.
// Beneath that, the order in which a store lists versions is no more than a hint,
// and nothing names their IDs.
func sameKeyObject(a, b []memstore.Version) bool {
	contents := func(versions []memstore.Version) (all []string) {
		for _, v := range versions {
			all = append(all, string(v.ETag)+v.Body)
		}
		return all
	}
	x, y := contents(a), contents(b)
	if len(x) != len(y) || len(x) > 0 && x[len(x)-1] != y[len(y)-1] {
		return false
	}
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

// Any change of any key object's versions is found, but for one: the newest entry's
// may be outstanding.
func TestTamperedKeyObjects(t *testing.T) {
	t.Parallel()
	honest := filled(t, logLength, 3)
	objects := []string{"keys/k0.json", "keys/k1.json", "keys/k2.json"}
	rapid.Check(t, func(r *rapid.T) {
		mem := honest
		for range rapid.IntRange(1, 3).Draw(r, "changes") {
			object := rapid.SampledFrom(objects).Draw(r, "object")
			other := versionsOf(honest.Dump(), rapid.SampledFrom(objects).Draw(r, "from"))
			if versionsOf(mem.Dump(), object) == nil {
				continue
			}
			mem = edit(t, mem, object, func(v []memstore.Version) []memstore.Version {
				i := rapid.IntRange(0, len(v)-1).Draw(r, "i")
				switch rapid.IntRange(0, 3).Draw(r, "kind") {
				case 0:
					return slices.Delete(v, i, i+1)
				case 1:
					j := rapid.IntRange(0, len(v)-1).Draw(r, "j")
					v[i].Body, v[j].Body = v[j].Body, v[i].Body
				case 2:
					c := other[rapid.IntRange(0, len(other)-1).Draw(r, "which")]
					c.ID = backend.VersionID(fmt.Sprint("copy", len(v), i, rapid.Uint32().Draw(r, "id")))
					return slices.Insert(v, i, c)
				case 3: // to the top: the object goes back
					return append(slices.Delete(slices.Clone(v), i, i+1), v[i])
				}
				return v
			})
		}
		report, err := open[any](t, mem).Audit(t.Context())
		if err != nil {
			r.Fatal(err)
		}
		same, outstanding := true, false
		for _, object := range objects {
			now, before := versionsOf(mem.Dump(), object), versionsOf(honest.Dump(), object)
			if object == "keys/k2.json" && sameKeyObject(now, before[:3]) {
				outstanding = true
				continue
			}
			same = same && sameKeyObject(now, before)
		}
		if outstanding && len(report.Orphans) == 0 {
			r.Fatal("the orphan is not reported")
		}
		if report.Valid() != same {
			r.Fatalf("changed %v, findings %v", !same, report.Findings)
		}
		for _, f := range report.Findings {
			if !slices.Contains(objects, f.Object) {
				r.Fatalf("a finding about %s: %v", f.Object, f)
			}
		}
	})
}

// What stands in a key object and not in the log is found, be there a log or not.
func TestKeyObjectsWithoutLog(t *testing.T) {
	t.Parallel()
	mem := filled(t, 3, 3)
	state := mem.Dump()
	foreign := memstore.Object{Name: "keys/new.json", Versions: versionsOf(state, "keys/k1.json")}
	state.Objects = append(state.Objects, foreign)
	if r := verified(t, load(t, state), true); !found(r, immukv.KeyMismatch, "keys/new.json", 1) {
		t.Errorf("an object of a key that was never set: %v", r.Findings)
	}
	state = mem.Dump()
	state.Objects = slices.DeleteFunc(state.Objects, func(o memstore.Object) bool { return o.Name == logObject })
	r := verified(t, load(t, state), true)
	for i := range 3 {
		if !found(r, immukv.KeyMismatch, fmt.Sprintf("keys/k%d.json", i), int64(i)) {
			t.Errorf("log removed: %v", r.Findings)
		}
	}
	// A log cut off behind a key object's back.
	cut := edit(t, mem, logObject, func(v []memstore.Version) []memstore.Version { return v[:2] })
	if r := verified(t, cut, true); !found(r, immukv.KeyMismatch, "keys/k2.json", 2) {
		t.Errorf("log cut off: %v", r.Findings)
	}
	// Entries put in another order within the log, with every hash made anew, do
	// not fit the key objects any more.
	other := memstore.New()
	db := open[int](t, other)
	for _, i := range []int{1, 0, 2} {
		set(t, db, fmt.Sprint("k", i), i)
	}
	state = mem.Dump()
	for i, o := range state.Objects {
		if o.Name == logObject {
			state.Objects[i].Versions = versionsOf(other.Dump(), logObject)
		}
	}
	if r := verified(t, load(t, state), true); !found(r, immukv.KeyMismatch, "keys/k0.json", 0) || !found(r, immukv.KeyMismatch, "keys/k1.json", 1) {
		t.Errorf("log replaced: %v", r.Findings)
	}
}

// A repair by a client of the other language, which formats numbers its own way, is
// no finding.
func TestReformattedRepair(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		db := open[json.RawMessage](t, deniedObject(mem, "keys/k.json"), immukv.WithDialect(immukv.TypeScript))
		e := set(t, db, "k", json.RawMessage(`{"e":1e-7,"n":0.5}`))
		body := fmt.Sprintf(`{"hash":"%s","key":"k","log_version_id":"%s","previous_hash":"%s","sequence":0,"timestamp_ms":%d,"value":{"e":1e-07,"n":0.5}}`,
			e.Hash, e.VersionID, e.PreviousHash, e.Timestamp.UnixMilli())
		if _, err := mem.Put(t.Context(), "keys/k.json", []byte(body), backend.IfAbsent()); err != nil {
			t.Fatal(err)
		}
		if r := audit(t, mem); len(r.Orphans) > 0 {
			t.Errorf("report is %+v", r)
		}
		if got := get(t, open[json.RawMessage](t, mem), "k"); got.Hash != e.Hash || got.Dialect != immukv.TypeScript {
			t.Errorf("got %+v", got)
		}
		set(t, open[json.RawMessage](t, mem), "k", json.RawMessage("2"))
		audit(t, mem)
	})
}

// The orphan of a report is the newest entry, and only while its key object is as
// it was before.
func TestAuditOrphan(t *testing.T) {
	bothOrphans(t, func(t *testing.T, isNew bool) {
		mem, e := orphaned(t, isNew)
		for _, opts := range [][]immukv.VerifyOption{nil, {immukv.Limit(1)}, {immukv.Limit(2)}} {
			r := verified(t, mem, true, opts...)
			if !r.Valid() || len(r.Orphans) == 0 || r.Orphans[0].VersionID != e.VersionID {
				t.Errorf("%d options: %+v", len(opts), r)
			}
		}
		if r := verified(t, mem, false); len(r.Orphans) > 0 {
			t.Error("a look at the log alone cannot know of an orphan")
		}
		if isNew {
			return
		}
		gone := edit(t, mem, "keys/k.json", func([]memstore.Version) []memstore.Version { return nil })
		if r := verified(t, gone, true); r.Valid() || len(r.Orphans) > 0 {
			t.Errorf("the object is gone: %+v", r)
		}
	})
}

// An entry of the empty key, which is not for this client to write, has a key object
// as any other has.
func TestAuditEmptyKey(t *testing.T) {
	t.Parallel()
	first := forged(t, "", 0, immukv.GenesisHash, "")
	first.Body = replaced(first.Body, `"previous_version_id":"",`, "")
	mem := load(t, memstore.State{Objects: []memstore.Object{{Name: logObject, Versions: []memstore.Version{first}}}})
	set(t, open[int](t, mem), "k", 1)
	audit(t, mem)
	mem = edit(t, mem, "keys/.json", func(v []memstore.Version) []memstore.Version {
		v[0].Body = replaced(v[0].Body, `"value":1`, `"value":2`)
		return v
	})
	if r := verified(t, mem, true); !found(r, immukv.HashMismatch, "keys/.json", 0) {
		t.Errorf("found %v", r.Findings)
	}
}

// While more entries lack their key versions than a report has room for, it is
// cut short and says nothing false.
func TestAuditManyMissing(t *testing.T) {
	t.Parallel()
	const n = 1200
	mem := edit(t, filled(t, n, 1), "keys/k0.json", func(v []memstore.Version) []memstore.Version { return v[n-1:] })
	r := verified(t, mem, true)
	if len(r.Findings) != 1000 || r.MoreFindings == 0 {
		t.Errorf("%d findings, %d more", len(r.Findings), r.MoreFindings)
	}
	for _, f := range r.Findings {
		if f.Object != "keys/k0.json" || !strings.Contains(string(f.Kind), "mis") {
			t.Fatalf("finding is %v", f)
		}
	}
}
