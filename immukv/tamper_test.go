package immukv_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// tamperedVersion is a version of an object, and what stands in it.
type tamperedVersion struct {
	object    string
	id        backend.VersionID
	body      []byte
	sequence  int64  // of the entry
	keyObject string // of the entry's key
	orphan    bool   // it is the log's, and the key object has no version for it
}

// tamperedStore is a store of which one version reads otherwise than it was
// written.
type tamperedStore struct {
	backend.VersionedStore
	changed *tamperedVersion
	body    []byte
}

func (s *tamperedStore) Get(ctx context.Context, name string) (backend.Object, error) {
	obj, err := s.VersionedStore.Get(ctx, name)
	return s.tamper(name, obj), err
}

func (s *tamperedStore) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	obj, err := s.VersionedStore.GetVersion(ctx, name, id)
	return s.tamper(name, obj), err
}

func (s *tamperedStore) tamper(name string, obj backend.Object) backend.Object {
	if name == s.changed.object && obj.ID == s.changed.id {
		obj.Body = bytes.Clone(s.body)
	}
	return obj
}

// tamperTarget makes a store of three entries, in both dialects. The newest one may
// be an orphan.
func tamperTarget(t *testing.T, orphan bool) (*memstore.Store, []*tamperedVersion) {
	t.Helper()
	store := memstore.New()
	set := func(key, value string, opts ...immukv.Option) {
		t.Helper()
		db, err := immukv.Open[json.RawMessage](t.Context(), store, opts...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Set(t.Context(), key, json.RawMessage(value)); err != nil {
			t.Fatal(err)
		}
	}
	set("b/ü", `{"x":[1,2.5],"y":null}`)
	set("a", `"\u007f ü"`, immukv.WithDialect(immukv.TypeScript))
	set("b/ü", "12345678901234567890")
	state := store.Dump()
	if orphan {
		for i, o := range state.Objects {
			if o.Name == "keys/b/ü.json" {
				state.Objects[i].Versions = o.Versions[:len(o.Versions)-1]
			}
		}
	}
	store, err := memstore.Load(state)
	if err != nil {
		t.Fatal(err)
	}
	var versions []*tamperedVersion
	for _, o := range state.Objects {
		for _, v := range o.Versions {
			versions = append(versions, readTampered(t, o.Name, v, orphan))
		}
	}
	return store, versions
}

func readTampered(t *testing.T, object string, v memstore.Version, orphan bool) *tamperedVersion {
	t.Helper()
	var doc struct {
		Key      string
		Sequence int64
	}
	if err := json.Unmarshal([]byte(v.Body), &doc); err != nil {
		t.Fatal(err)
	}
	return &tamperedVersion{
		object: object, id: v.ID, body: []byte(v.Body), sequence: doc.Sequence, keyObject: "keys/" + doc.Key + ".json",
		orphan: orphan && object == "_log.json" && doc.Sequence == 2,
	}
}

// meaningless tells whether changing a byte is nothing that an audit could find:
// where a write_id, which no hash covers, has no second copy.
//
//   - The name of the member in a key object: the other clients leave it out when
//     they repair, and members that are unknown are to be ignored.
//   - All of the member in an orphan: its key object has no version yet.
func (v *tamperedVersion) meaningless(i int) bool {
	start := bytes.LastIndex(v.body, []byte(`"write_id"`))
	if v.object != "_log.json" {
		return start < i && i < start+len(`"write_id`)
	}
	return v.orphan && start < i && i < len(v.body)-len(`"}`)
}

// named tells whether a finding is about this version, or about the entry that it
// holds: by its sequence, in the log or in its key's object. Where the two differ in
// what no hash covers, an audit cannot tell which of them was changed.
func (v *tamperedVersion) named(f immukv.Finding) bool {
	if f.Object == v.object && f.VersionID == v.id {
		return true
	}
	return f.Sequence == v.sequence && (f.Object == "_log.json" || f.Object == v.keyObject)
}

// TestTamperedByte changes each byte of each version of a small store, in a long
// test to each other byte there is: every audit must find it, and name the entry.
func TestTamperedByte(t *testing.T) {
	t.Parallel()
	for _, orphan := range []bool{false, true} {
		t.Run(fmt.Sprintf("orphan=%v", orphan), func(t *testing.T) {
			t.Parallel()
			store, versions := tamperTarget(t, orphan)
			work := make(chan func())
			var workers sync.WaitGroup
			for range runtime.GOMAXPROCS(0) {
				workers.Go(func() {
					for do := range work {
						do()
					}
				})
			}
			for _, v := range versions {
				// What is not about the orphan is the same without one.
				every := os.Getenv("IMMUKV_LONG") == "1" && orphan == v.orphan
				for i := range v.body {
					if !v.meaningless(i) {
						work <- func() { tamperByte(t, store, v, i, every) }
					}
				}
			}
			close(work)
			workers.Wait()
		})
	}
}

// tamperByte changes one byte to others, or to every other.
func tamperByte(t *testing.T, store backend.VersionedStore, v *tamperedVersion, i int, every bool) {
	others := []byte{v.body[i] ^ 1, v.body[i] ^ 0x20}
	if every {
		others = nil
		for n := 1; n < 256; n++ {
			others = append(others, v.body[i]^byte(n))
		}
	}
	for _, b := range others {
		body := bytes.Clone(v.body)
		body[i] = b
		db, err := immukv.Open[json.RawMessage](t.Context(), &tamperedStore{VersionedStore: store, changed: v, body: body})
		if err != nil {
			t.Error(err)
			return
		}
		report, err := db.Audit(t.Context())
		if err != nil {
			t.Errorf("%s version %s, byte %d is %q: %v", v.object, v.id, i, b, err)
		} else if !slices.ContainsFunc(report.Findings, v.named) {
			t.Errorf("%s version %s (sequence %d), byte %d is %q: %s: findings %v", v.object, v.id, v.sequence, i, b,
				strings.ToValidUTF8(string(body), "?"), report.Findings)
		}
	}
}
