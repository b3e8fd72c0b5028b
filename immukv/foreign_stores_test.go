package immukv_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// foreignStore is a store as the other clients left it on a real server.
type foreignStore struct {
	memstore.State
	Writer string `json:"writer"`
	Prefix string `json:"prefix"`
	orphan bool
}

func foreignStores(t *testing.T, test func(t *testing.T, s foreignStore)) {
	t.Parallel()
	names, err := filepath.Glob("testdata/vectors/stores/*.json")
	if err != nil || len(names) == 0 {
		t.Fatal("no stores", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".json"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s := foreignStore{orphan: strings.Contains(name, "orphan")}
			if err := json.Unmarshal(text, &s); err != nil {
				t.Fatal(err)
			}
			test(t, s)
		})
	}
}

func (s foreignStore) log() []memstore.Version { return versionsOf(s.State, s.Prefix+logObject) }

func (s foreignStore) keyObject(key string) []memstore.Version {
	return versionsOf(s.State, s.Prefix+"keys/"+key+".json")
}

// tokens are the fields of a stored document, as they are stored; null is the value
// that is left out.
func tokens(t *testing.T, body string) map[string]json.RawMessage {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &all); err != nil {
		t.Fatal(err)
	}
	if all["value"] == nil {
		all["value"] = json.RawMessage("null")
	}
	return all
}

// object makes an object of tokens, in the given order.
func object(tokens map[string]json.RawMessage, names ...string) string {
	var members []string
	for _, name := range names {
		if token, ok := tokens[name]; ok {
			members = append(members, `"`+name+`":`+string(token))
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

// dialectOf finds the dialect of a log version as wire-format.md says, without the
// code under test.
func dialectOf(t *testing.T, body string) immukv.Dialect {
	t.Helper()
	all := tokens(t, body)
	python := object(all, "key", "previous_hash", "sequence", "timestamp_ms", "value")
	all["previousHash"], all["timestampMs"] = all["previous_hash"], all["timestamp_ms"]
	typescript := object(all, "key", "previousHash", "sequence", "timestampMs", "value")
	for dialect, input := range map[immukv.Dialect]string{immukv.Python: python, immukv.TypeScript: typescript} {
		sum := sha256.Sum256([]byte(input))
		if string(all["hash"]) == `"sha256:`+hex.EncodeToString(sum[:])+`"` {
			return dialect
		}
	}
	t.Fatalf("%s: no dialect", body)
	return 0
}

// keyObjectOf is the key object version that the writer of a log version stores.
func keyObjectOf(t *testing.T, v memstore.Version) string {
	t.Helper()
	all := tokens(t, v.Body)
	all["log_version_id"] = json.RawMessage(`"` + v.ID + `"`)
	return object(all, "hash", "key", "log_version_id", "previous_hash", "sequence", "timestamp_ms", "value", "write_id")
}

// What the other clients wrote is read, entry by entry in its own dialect, and has
// no findings.
func TestForeignStoresRead(t *testing.T) {
	foreignStores(t, func(t *testing.T, s foreignStore) {
		log := s.log()
		var dialects []immukv.Dialect
		for _, v := range log {
			d := dialectOf(t, v.Body)
			if (s.Writer == "python" || s.Writer == "typescript") && d.String() != s.Writer {
				t.Errorf("dialect %v in a store of %s", d, s.Writer)
			}
			if !slices.Contains(dialects, d) {
				dialects = append(dialects, d)
			}
		}
		slices.Sort(dialects)
		if s.Writer == "mixed" && len(dialects) != 2 {
			t.Error("the mixed store is not")
		}

		db := open[json.RawMessage](t, load(t, s.State), immukv.WithPrefix(s.Prefix), immukv.WithReadOnly())
		entries := all(t, db.Log(t.Context()))
		slices.Reverse(entries)
		if len(entries) != len(log) {
			t.Fatalf("%d entries of %d", len(entries), len(log))
		}
		newest := make(map[string]immukv.Entry[json.RawMessage])
		histories := make(map[string][]int64)
		for i, e := range entries {
			stored := tokens(t, log[i].Body)
			if e.Sequence != int64(i) || e.Dialect != dialectOf(t, log[i].Body) || string(e.VersionID) != string(log[i].ID) ||
				string(e.JSON) != string(stored["value"]) || e.WriteID != "" {
				t.Errorf("%s is read as %+v", log[i].Body, e)
			}
			if err := db.Verify(e); err != nil {
				t.Error(err)
			}
			newest[e.Key] = e
			histories[e.Key] = append([]int64{e.Sequence}, histories[e.Key]...)
		}
		var keys []string
		for key, want := range newest {
			keys = append(keys, key)
			if got := get(t, db, key); got.Hash != want.Hash || got.VersionID != want.VersionID || db.Verify(got) != nil {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if got := sequences(all(t, db.History(t.Context(), key))); !slices.Equal(got, histories[key]) {
				t.Errorf("history of %q is %v, want %v", key, got, histories[key])
			}
		}
		slices.Sort(keys)
		if got := all(t, db.Keys(t.Context())); !slices.Equal(got, keys) {
			t.Errorf("keys are %q, want %q", got, keys)
		}

		head := entries[len(entries)-1]
		for name, verify := range map[string]func() (*immukv.Report, error){
			"log":   func() (*immukv.Report, error) { return db.VerifyLog(t.Context()) },
			"audit": func() (*immukv.Report, error) { return db.Audit(t.Context()) },
		} {
			r, err := verify()
			if err != nil || !r.Valid() || !r.Complete || r.Entries != int64(len(log)) || r.Head() != head.Checkpoint() || !slices.Equal(r.Dialects, dialects) {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
			wantOrphan := s.orphan && name == "audit"
			if wantOrphan != (len(r.Orphans) > 0) || wantOrphan && r.Orphans[0] != (immukv.Orphan{Key: head.Key, Sequence: head.Sequence, VersionID: head.VersionID}) {
				t.Errorf("%s: orphan %+v", name, r.Orphans)
			}
		}
	})
}

// The first write repairs an orphan with the bytes that its own writer would have
// stored, and the log continues in either dialect.
func TestForeignStoresExtended(t *testing.T) {
	foreignStores(t, func(t *testing.T, s foreignStore) {
		log := s.log()
		for _, v := range log[:len(log)-1] { // what those writers stored proves that the expectation is right
			var key string
			if err := json.Unmarshal(tokens(t, v.Body)["key"], &key); err != nil {
				t.Fatal(err)
			}
			want := keyObjectOf(t, v)
			if !slices.ContainsFunc(s.keyObject(key), func(stored memstore.Version) bool { return stored.Body == want }) {
				t.Errorf("no version of %q is %s", key, want)
			}
		}
		for _, dialect := range []immukv.Dialect{immukv.Python, immukv.TypeScript} {
			for _, key := range []string{"new", "日本", "k"} {
				mem := load(t, s.State)
				db := open[any](t, mem, immukv.WithPrefix(s.Prefix), immukv.WithDialect(dialect))
				e := set(t, db, key, any(map[string]any{"ours": 1.5}))
				if e.Sequence != int64(len(log)) || string(e.PreviousVersionID) != string(log[len(log)-1].ID) || e.Dialect != dialect {
					t.Errorf("ours is %+v", e)
				}
				head := log[len(log)-1]
				var headKey string
				if err := json.Unmarshal(tokens(t, head.Body)["key"], &headKey); err != nil {
					t.Fatal(err)
				}
				before := len(s.keyObject(headKey))
				after := versionsOf(mem.Dump(), s.Prefix+"keys/"+headKey+".json")
				want := before
				if s.orphan {
					want++
				}
				if got := after[want-1].Body; got != keyObjectOf(t, head) {
					t.Errorf("the key object of the head is\n%s, want\n%s", got, keyObjectOf(t, head))
				}
				if key == headKey {
					want++
				}
				if len(after) != want {
					t.Errorf("the key object of the head has %d versions, had %d", len(after), before)
				}
				set(t, db, headKey, any("again"))
				r := audit(t, mem, immukv.WithPrefix(s.Prefix))
				if len(r.Orphans) > 0 || r.Entries != int64(len(log))+2 {
					t.Errorf("report is %+v", r)
				}
			}
		}
	})
}

// A foreign orphan is repaired by whatever comes first, too.
func TestForeignOrphanRepaired(t *testing.T) {
	foreignStores(t, func(t *testing.T, s foreignStore) {
		mem := load(t, s.State)
		result, err := open[any](t, mem, immukv.WithPrefix(s.Prefix), immukv.WithDialect(immukv.TypeScript)).Repair(t.Context())
		if err != nil || (len(result.Orphans) > 0) != s.orphan || result.Repaired != s.orphan {
			t.Errorf("repair found %+v, %v", result, err)
		}
		log := s.log()
		object := versionsOf(mem.Dump(), s.Prefix+"keys/"+result.Key+".json")
		if got, want := object[len(object)-1].Body, keyObjectOf(t, log[len(log)-1]); got != want {
			t.Errorf("repaired as\n%s, want\n%s", got, want)
		}
		if r := audit(t, mem, immukv.WithPrefix(s.Prefix)); len(r.Orphans) > 0 || r.Entries != int64(len(log)) {
			t.Errorf("report is %+v", r)
		}
	})
}
