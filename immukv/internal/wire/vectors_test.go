package wire

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testdata is where the vectors and stores are that the other clients wrote.
var testdata = filepath.Join("..", "..", "testdata")

// hashVector is an entry as one of the other clients stored and hashed it.
type hashVector struct {
	Dialect   string `json:"dialect"`
	HashInput string `json:"hash_input"`
	Hash      Hash   `json:"hash"`
	LogBody   string `json:"log_body"`
}

func readJSON(t testing.TB, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testdata, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func hashVectors(t testing.TB) []hashVector {
	t.Helper()
	var all []hashVector
	for _, d := range dialects {
		var vectors []hashVector
		readJSON(t, "vectors/hash-"+d.String()+".json", &vectors)
		if len(vectors) == 0 {
			t.Fatalf("no vectors of dialect %v", d)
		}
		all = append(all, vectors...)
	}
	return all
}

// parseOneLog reads a version of the log that has to be a single document.
func parseOneLog(body []byte) (*Document, error) {
	docs, err := ParseLog(body)
	switch {
	case err != nil:
		return nil, err
	case len(docs) != 1:
		return nil, fmt.Errorf("%w: %d documents", ErrMalformedEntry, len(docs))
	}
	return docs[0], nil
}

func mustParseLog(t testing.TB, body string) *Document {
	t.Helper()
	d, err := parseOneLog([]byte(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return d
}

// hashInput is the text that is hashed for a document.
func hashInput(dialect Dialect, d *Document) string {
	t := d.hashed()
	h := hashers.Get().(*hasher)
	defer hashers.Put(h)
	h.hash(dialect, &t)
	return string(h.head) + string(t.value) + "}"
}

func TestHashVectors(t *testing.T) {
	t.Parallel()
	for _, v := range hashVectors(t) {
		want, err := ParseDialect(v.Dialect)
		if err != nil {
			t.Fatal(err)
		}
		d := mustParseLog(t, v.LogBody)
		if got := d.Dialect(); got != want {
			t.Errorf("%s: dialect %v, want %v", v.LogBody, got, want)
		}
		if got := hashInput(want, d); got != v.HashInput {
			t.Errorf("hash input is\n%s, want\n%s", got, v.HashInput)
		}
		if !d.IsCanonical() {
			t.Errorf("%s: not canonical", v.LogBody)
		}
		if got := string(d.LogBody()); got != v.LogBody {
			t.Errorf("log body is\n%s, want\n%s", got, v.LogBody)
		}
		hash, err := want.Hash(d.Key, d.PreviousHash, d.Sequence, d.TimestampMS, d.Value)
		if err != nil || hash != v.Hash || d.Hash != v.Hash {
			t.Errorf("%s: hash %s (stored %s), error %v", v.LogBody, hash, d.Hash, err)
		}
		if got := VerifyFields(d.Key, d.PreviousHash, d.Sequence, d.TimestampMS, d.Value, v.Hash); got != want {
			t.Errorf("%s: fields verify in dialect %v", v.LogBody, got)
		}
		for _, text := range []string{string(d.Value), v.LogBody, v.HashInput} {
			got, err := want.Canonical([]byte(text))
			if err != nil || string(got) != text {
				// The hashed object keeps the order of its fields, which
				// happens to be the canonical one.
				t.Errorf("canonical form is\n%s, want\n%s (error %v)", got, text, err)
			}
		}
	}
}

// An entry that we write is, byte for byte, the one that the other client wrote.
func TestWriteVectors(t *testing.T) {
	t.Parallel()
	for _, v := range hashVectors(t) {
		dialect, _ := ParseDialect(v.Dialect)
		d := mustParseLog(t, v.LogBody)
		indented := indent(t, d.Value)
		value, err := dialect.Canonical(indented)
		if err != nil {
			t.Fatalf("%s: %v", indented, err)
		}
		ours := New(Draft{
			Key: d.Key, Value: value, Sequence: d.Sequence, TimestampMS: d.TimestampMS,
			PreviousHash: d.PreviousHash, Dialect: dialect,
		})
		if got := string(ours.LogBody()); got != v.LogBody {
			t.Errorf("log body is\n%s, want\n%s", got, v.LogBody)
		}
		if ours.Hash != v.Hash || ours.Dialect() != dialect || !ours.IsCanonical() {
			t.Errorf("%s: hash %s, dialect %v", v.LogBody, ours.Hash, ours.Dialect())
		}
	}
}

func indent(t *testing.T, text []byte) []byte {
	t.Helper()
	var v json.RawMessage = text
	indented, err := json.MarshalIndent(v, " ", "\t")
	if err != nil {
		t.Fatal(err)
	}
	return indented
}

// vectorStore is a store as the other clients left it.
type vectorStore struct {
	Writer  string `json:"writer"`
	Prefix  string `json:"prefix"`
	Objects []struct {
		Name     string `json:"name"`
		Versions []struct {
			VersionID string `json:"version_id"`
			Body      string `json:"body"`
		} `json:"versions"`
	} `json:"objects"`
}

func TestStoreVectors(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob(filepath.Join(testdata, "vectors", "stores", "*.json"))
	if err != nil || len(names) == 0 {
		t.Fatal("no stores", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".json"), func(t *testing.T) {
			t.Parallel()
			var store vectorStore
			readJSON(t, "vectors/stores/"+filepath.Base(name), &store)
			entries := logOf(t, store)
			for _, o := range store.Objects {
				if o.Name == store.Prefix+"_log.json" {
					continue
				}
				for _, v := range o.Versions {
					d, err := ParseKey([]byte(v.Body))
					if err != nil {
						t.Fatalf("%s: %v", v.Body, err)
					}
					if d.Dialect() == 0 || !d.IsCanonical() {
						t.Errorf("%s: dialect %v, canonical %v", v.Body, d.Dialect(), d.IsCanonical())
					}
					entry := entries[d.LogVersionID]
					if entry == nil {
						t.Fatalf("%s: its log version is not in the log", v.Body)
					}
					body := entry.KeyBody(d.LogVersionID)
					if string(body) != v.Body && !sameInSomeDialect(body, []byte(v.Body)) {
						t.Errorf("key object is\n%s, want\n%s", body, v.Body)
					}
				}
			}
		})
	}
}

// logOf checks the log of a store and returns its entries.
func logOf(t *testing.T, store vectorStore) map[LogVersionID]*Document {
	t.Helper()
	entries := make(map[LogVersionID]*Document)
	for _, o := range store.Objects {
		if o.Name != store.Prefix+"_log.json" {
			continue
		}
		previous := &Document{Hash: GenesisHash}
		var previousID LogVersionID
		for i, v := range o.Versions {
			d := mustParseLog(t, v.Body)
			dialect := d.Dialect()
			if dialect == 0 || (store.Writer == "python" || store.Writer == "typescript") && dialect.String() != store.Writer {
				t.Errorf("%s: dialect %v in a store of %s", v.Body, dialect, store.Writer)
			}
			if !d.IsCanonical() {
				t.Errorf("%s: not canonical", v.Body)
			}
			if d.Sequence != int64(i) || d.PreviousHash != previous.Hash || d.PreviousVersionID != previousID {
				t.Errorf("%s: does not follow its predecessor", v.Body)
			}
			if got := string(d.LogBody()); got != v.Body {
				t.Errorf("log body is\n%s, want\n%s", got, v.Body)
			}
			previous, previousID = d, LogVersionID(v.VersionID)
			entries[previousID] = d
		}
	}
	return entries
}

// sameInSomeDialect allows for a key object that the client of the other
// language wrote when it repaired it.
func sameInSomeDialect(ours, stored []byte) bool {
	for _, d := range dialects {
		if canonical, err := d.canonicalize(ours, asStored); err == nil && string(canonical) == string(stored) {
			return true
		}
	}
	return false
}
