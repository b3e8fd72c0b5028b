package s3store_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
	"github.com/immukv/immukv-go/immukv"
)

// vector is a whole store as another client left it.
type vector struct {
	Prefix string `json:"prefix"`
	memstore.State
}

// stored is what the tests read of a stored document.
type stored struct {
	Key          string          `json:"key"`
	Value        json.RawMessage `json:"value"`
	Sequence     int64           `json:"sequence"`
	Hash         string          `json:"hash"`
	LogVersionID string          `json:"log_version_id"`
}

func parse(t *testing.T, body string) stored {
	t.Helper()
	var d stored
	if err := json.Unmarshal([]byte(body), &d); err != nil {
		t.Fatal(err)
	}
	if d.Value == nil { // the Python client leaves null out
		d.Value = json.RawMessage("null")
	}
	return d
}

func readVector(t *testing.T, path string) (v vector, log []memstore.Version, keys map[string][]memstore.Version) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	keys = make(map[string][]memstore.Version)
	for _, object := range v.Objects {
		if object.Name == v.Prefix+"_log.json" {
			log = object.Versions
			continue
		}
		for _, version := range object.Versions {
			key := parse(t, version.Body).Key
			keys[key] = append(keys[key], version)
		}
	}
	return v, log, keys
}

// replay writes a store anew, in the order in which its client wrote it: each
// log version, then the key object's.
func replay(t *testing.T, s backend.VersionedStore, v vector, log []memstore.Version, keys map[string][]memstore.Version) {
	t.Helper()
	r := replayer{store: s, prefix: v.Prefix, keys: keys, tags: make(map[string]backend.ETag)}
	for _, version := range log {
		r.write(t, version)
	}
}

// replayer writes what another client wrote. A server gives versions IDs and ETags of
// its own; where a document names those of another, it is made to name the new ones. No
// hash covers these fields.
type replayer struct {
	store   backend.VersionedStore
	prefix  string
	keys    map[string][]memstore.Version
	tags    map[string]backend.ETag // by object
	renamed []string                // old and new alternately, as they stand in the documents
}

func (r *replayer) rename(t *testing.T, before, after string) {
	r.renamed = append(r.renamed, quoted(t, before), quoted(t, after))
}

// write writes a version of the log, and then that of the key object, if there was one.
func (r *replayer) write(t *testing.T, version memstore.Version) {
	t.Helper()
	put := func(name string, version memstore.Version) backend.Version {
		cond := backend.IfAbsent()
		if tag, exists := r.tags[name]; exists {
			cond = backend.IfMatch(tag)
		}
		written, err := r.store.Put(t.Context(), name, []byte(strings.NewReplacer(r.renamed...).Replace(version.Body)), cond)
		if err != nil {
			t.Fatal(err)
		}
		r.tags[name] = written.ETag
		return written
	}
	written := put(r.prefix+"_log.json", version)
	r.rename(t, string(version.ID), string(written.ID))
	if applied := r.appliedAs(t, version); applied != nil {
		r.rename(t, string(applied.ETag), string(put(r.keyObject(t, version), *applied).ETag))
	}
}

func (r *replayer) keyObject(t *testing.T, version memstore.Version) string {
	return r.prefix + "keys/" + parse(t, version.Body).Key + ".json"
}

// appliedAs returns the version of the key object that reflects the entry of a version of
// the log, or nil if the entry stayed an orphan.
func (r *replayer) appliedAs(t *testing.T, version memstore.Version) *memstore.Version {
	for _, applied := range r.keys[parse(t, version.Body).Key] {
		if parse(t, applied.Body).LogVersionID == string(version.ID) {
			return &applied
		}
	}
	return nil
}

// goOn has the client continue with a copy, which holds the given versions: it sees the
// IDs and ETags that they have there.
func (r *replayer) goOn(t *testing.T, there backend.VersionedStore, prefix string, log []memstore.Version) {
	t.Helper()
	r.store, r.prefix, r.renamed, r.tags = there, prefix, nil, make(map[string]backend.ETag)
	oldestFirst := func(name string) []backend.Version {
		page, err := there.ListVersions(t.Context(), name, backend.VersionsRequest{})
		if err != nil || page.Next != "" {
			t.Fatalf("list %s: %v, %q", name, err, page.Next)
		}
		slices.Reverse(page.Versions)
		return page.Versions
	}
	of := make(map[string]int) // versions seen of each key object
	for i, v := range oldestFirst(prefix + "_log.json") {
		name := r.keyObject(t, log[i])
		held := oldestFirst(name)[of[name]]
		of[name]++
		r.rename(t, string(log[i].ID), string(v.ID))
		if applied := r.appliedAs(t, log[i]); applied != nil {
			r.rename(t, string(applied.ETag), string(held.ETag))
		}
		r.tags[prefix+"_log.json"], r.tags[name] = v.ETag, held.ETag
	}
}

func quoted(t *testing.T, s string) string {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// eachForeign runs a test on each server with each store that the Python and the
// TypeScript client left, recorded at a path.
func eachForeign(t *testing.T, test func(t *testing.T, server *s3test.Server, path string)) {
	t.Helper()
	paths, err := filepath.Glob("../../immukv/testdata/vectors/stores/*.json")
	if err != nil || len(paths) != 9 {
		t.Fatalf("%d stores, %v", len(paths), err)
	}
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		for _, path := range paths {
			t.Run(strings.TrimSuffix(filepath.Base(path), ".json"), func(t *testing.T) {
				t.Parallel()
				test(t, server, path)
			})
		}
	})
}

// Whole stores as the Python and the TypeScript client left them are read,
// verified, repaired and extended on every server.
func TestForeignStores(t *testing.T) { eachForeign(t, testForeignStore) }

func testForeignStore(t *testing.T, server *s3test.Server, path string) {
	ctx := t.Context()
	v, log, keys := readVector(t, path)
	s := open(t, server, server.NewBucket(t))
	replay(t, s, v, log, keys)
	reader := client(t, s, immukv.WithPrefix(v.Prefix), immukv.WithReadOnly())

	// The whole log, newest first, each entry with the value as it was stored.
	want := make([]stored, len(log))
	for i, version := range log {
		want[len(log)-1-i] = parse(t, version.Body)
	}
	var got []stored
	for entry, err := range reader.Log(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, stored{Key: entry.Key, Value: entry.JSON, Sequence: entry.Sequence, Hash: string(entry.Hash)})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log (stored -, read +):\n%s", diff)
	}

	// An orphan is no finding, and is read where it belongs.
	orphan := strings.Contains(path, "orphan")
	report, err := reader.Audit(ctx)
	if err != nil || !report.Valid() || report.Entries != int64(len(log)) || (len(report.Orphans) > 0) != orphan {
		t.Fatalf("audit: %+v, %v", report, err)
	}
	newest := make(map[string]stored)
	for _, d := range slices.Backward(want) {
		newest[d.Key] = d
	}
	for key, d := range newest {
		entry, err := reader.Get(ctx, key)
		if err != nil || entry.Sequence != d.Sequence || !bytes.Equal(entry.JSON, d.Value) {
			t.Errorf("get %q: sequence %d, %s, %v; want %d, %s", key, entry.Sequence, entry.JSON, err, d.Sequence, d.Value)
		}
	}

	// Our client repairs the orphan and appends.
	writer := client(t, s, immukv.WithPrefix(v.Prefix))
	entry, err := writer.Set(ctx, want[0].Key, json.RawMessage(`{"written":"by us"}`))
	if err != nil || entry.Sequence != int64(len(log)) || string(entry.PreviousHash) != want[0].Hash {
		t.Fatalf("set: %+v, %v", entry, err)
	}
	report, err = writer.Audit(ctx)
	if err != nil || !report.Valid() || len(report.Orphans) > 0 || report.Entries != int64(len(log)+1) || report.HeadHash != entry.Hash {
		t.Errorf("audit after our own entry: %+v, %v", report, err)
	}
}
