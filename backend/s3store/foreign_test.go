package s3store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
	"github.com/immukv/immukv-go/immukv"
)

var updateForeign = flag.Bool("update-foreign", false, "write what TestForeignEntries sees into docs/compatibility.md")

// document guards docs/compatibility.md.
var document sync.Mutex

// foreignEntry is an entry that another client writes and ours does not. The zero
// fields stand for the key "k" and the value 1.
type foreignEntry struct {
	name string
	key  string
	// beside is another key of which the log has an entry before.
	beside string
	// value is the token in the log; empty if it is left out.
	value string
	// copied is the token in the key object, if that is another.
	copied string
}

var foreignEntries = []foreignEntry{
	{name: `key "\x01"`, key: "\x01", value: "1"},
	{name: `key "a.json/b"`, key: "a.json/b", value: "1"},
	{name: `key "a.json/b" beside "a"`, key: "a.json/b", beside: "a", value: "1"},
	{name: "the empty key", key: "", value: "1"},
	{name: `key "."`, key: ".", value: "1"},
	{name: `key ".."`, key: "..", value: "1"},
	{name: "value left out", key: "k", copied: "null"},
	{name: "value left out, repaired by TypeScript", key: "k", copied: " "},
	{name: "`NaN`", key: "k", value: "NaN"},
	{name: "`Infinity`", key: "k", value: "Infinity"},
	{name: "`-Infinity`", key: "k", value: "-Infinity"},
	{name: "`__proto__`", key: "k", value: `{"__proto__":{"x":1},"y":2}`},
	{name: "`__proto__`, repaired by TypeScript", key: "k", value: `{"__proto__":{"x":1},"y":2}`, copied: `{"y":2}`},
	{name: "10⁴⁰⁰", key: "k", value: "1" + strings.Repeat("0", 400)},
	{name: "10⁴⁰⁰, repaired by TypeScript", key: "k", value: "1" + strings.Repeat("0", 400), copied: "null"},
	{name: "2⁵³+1", key: "k", value: "9007199254740993"},
	{name: "2⁵³+1, repaired by TypeScript", key: "k", value: "9007199254740993", copied: "9007199254740992"},
}

// pythonClient writes entries as the Python client does, whatever their keys and
// values.
type pythonClient struct {
	client         *s3.Client
	bucket, prefix string
	sequence       int
	hash           string
	logID, logETag string
	keyETag        map[string]string
}

func jsonText(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err)
	}
	return strings.TrimSpace(b.String())
}

func (p *pythonClient) put(ctx context.Context, name, body, etag string) (*s3.PutObjectOutput, error) {
	in := &s3.PutObjectInput{Bucket: &p.bucket, Key: aws.String(p.prefix + name), Body: strings.NewReader(body), IfNoneMatch: aws.String("*")}
	if etag != "" {
		in.IfNoneMatch, in.IfMatch = nil, &etag
	}
	return p.client.PutObject(ctx, in)
}

// set appends an entry and, unless it is to stay an orphan, applies it.
func (p *pythonClient) set(ctx context.Context, e foreignEntry, orphan bool) error {
	hashed := e.value
	if hashed == "" {
		hashed = "null"
	}
	fields := fmt.Sprintf(`"key":%s,"previous_hash":%q,"sequence":%d,"timestamp_ms":%d,"value":%s`,
		jsonText(e.key), p.hash, p.sequence, 1795533620034+p.sequence, hashed)
	hash := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("{"+fields+"}")))
	var tag, version, value string
	if etag, ok := p.keyETag[e.key]; ok {
		tag = `"previous_key_object_etag":` + jsonText(etag) + ","
	}
	if p.logID != "" {
		version = fmt.Sprintf(`"previous_version_id":%q,`, p.logID)
	}
	if e.value != "" {
		value = `,"value":` + e.value
	}
	log, err := p.put(ctx, "_log.json", fmt.Sprintf(`{"hash":%q,"key":%s,"previous_hash":%q,%s%s"sequence":%d,"timestamp_ms":%d%s}`,
		hash, jsonText(e.key), p.hash, tag, version, p.sequence, 1795533620034+p.sequence, value), p.logETag)
	if err != nil {
		return fmt.Errorf("append %q: %w", e.key, err)
	}
	copied := e.copied
	if copied == "" {
		copied = e.value
	}
	if copied = strings.TrimSpace(copied); copied != "" {
		copied = `,"value":` + copied
	}
	object := fmt.Sprintf(`{"hash":%q,"key":%s,"log_version_id":%q,"previous_hash":%q,"sequence":%d,"timestamp_ms":%d%s}`,
		hash, jsonText(e.key), *log.VersionId, p.hash, p.sequence, 1795533620034+p.sequence, copied)
	p.hash, p.logID, p.logETag = hash, *log.VersionId, *log.ETag
	p.sequence++
	if orphan {
		return nil
	}
	applied, err := p.put(ctx, "keys/"+e.key+".json", object, p.keyETag[e.key])
	if err != nil {
		return fmt.Errorf("apply %q: %w", e.key, err)
	}
	p.keyETag[e.key] = *applied.ETag
	return nil
}

// build makes a store in which the entry stands in one of the places.
func (p *pythonClient) build(ctx context.Context, e foreignEntry, place string) error {
	before := []string{"first"}
	if e.beside != "" {
		before = append(before, e.beside)
	}
	for _, key := range before {
		if err := p.set(ctx, foreignEntry{key: key, value: "1"}, false); err != nil {
			return err
		}
	}
	if err := p.set(ctx, e, place == "orphan"); err != nil {
		return err
	}
	if place == "buried" {
		return p.set(ctx, foreignEntry{key: "last", value: "1"}, false)
	}
	return nil
}

// operations are what ours is asked to do, each with a word for what it did.
var operations = []struct {
	name string
	do   func(ctx context.Context, db *immukv.Client[json.RawMessage], e foreignEntry, entries int) string
}{
	{"Set another", func(ctx context.Context, db *immukv.Client[json.RawMessage], _ foreignEntry, _ int) string {
		_, err := db.Set(ctx, "another", json.RawMessage("1"))
		return word(err)
	}},
	{"Set", func(ctx context.Context, db *immukv.Client[json.RawMessage], e foreignEntry, _ int) string {
		_, err := db.Set(ctx, e.key, json.RawMessage("2"))
		return word(err)
	}},
	{"Get", func(ctx context.Context, db *immukv.Client[json.RawMessage], e foreignEntry, _ int) string {
		got, err := db.Get(ctx, e.key)
		if err == nil && string(got.JSON) != e.wanted() {
			return "another value: " + string(got.JSON)
		}
		return word(err)
	}},
	{"History", func(ctx context.Context, db *immukv.Client[json.RawMessage], e foreignEntry, _ int) string {
		return sequence(db.History(ctx, e.key), 1)
	}},
	{"Log", func(ctx context.Context, db *immukv.Client[json.RawMessage], _ foreignEntry, entries int) string {
		return sequence(db.Log(ctx), entries)
	}},
	{"Keys", func(ctx context.Context, db *immukv.Client[json.RawMessage], e foreignEntry, _ int) string {
		var keys []string
		for key, err := range db.Keys(ctx) {
			if err != nil {
				return word(err)
			}
			keys = append(keys, key)
		}
		switch {
		case !slices.IsSorted(keys) || !slices.Contains(keys, "first"):
			return fmt.Sprintf("%q", keys)
		case !slices.Contains(keys, e.key):
			return "not listed"
		}
		return "yes"
	}},
	{"VerifyLog", func(ctx context.Context, db *immukv.Client[json.RawMessage], _ foreignEntry, entries int) string {
		return verdict(db.VerifyLog(ctx))
	}},
	{"Audit", func(ctx context.Context, db *immukv.Client[json.RawMessage], _ foreignEntry, entries int) string {
		return verdict(db.Audit(ctx))
	}},
	{"Repair", func(ctx context.Context, db *immukv.Client[json.RawMessage], _ foreignEntry, _ int) string {
		_, err := db.Repair(ctx)
		return word(err)
	}},
}

func (e foreignEntry) wanted() string {
	if e.value == "" {
		return "null"
	}
	return e.value
}

// word is an outcome in a word or two.
func word(err error) string {
	var entry *immukv.EntryError
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return "yes"
	case errors.As(err, &entry) && errors.As(err, &syntax):
		return "no JSON"
	case errors.Is(err, immukv.ErrInvalidKey):
		return "refused"
	case errors.Is(err, immukv.ErrDiverged):
		return "cannot"
	case errors.Is(err, backend.ErrNotFound):
		return "not found"
	}
	return err.Error()
}

// sequence is the outcome of reading so many entries, of which one may be unreadable.
func sequence(seq func(func(immukv.Entry[json.RawMessage], error) bool), want int) string {
	read, outcome := 0, "yes"
	for _, err := range seq {
		read++
		if err != nil {
			outcome = word(err)
		}
	}
	if read != want {
		return fmt.Sprintf("%s, %d entries of %d", outcome, read, want)
	}
	return outcome
}

// verdict is what a report says.
func verdict(report *immukv.Report, err error) string {
	switch {
	case err != nil:
		return word(err)
	case !report.Valid():
		var kinds []string
		for _, f := range report.Findings {
			kinds = append(kinds, string(f.Kind))
		}
		slices.Sort(kinds)
		return strings.Join(slices.Compact(kinds), ", ")
	}
	return "clean"
}

// foreignTable asks ours for everything, each time in a store of its own.
func foreignTable(t *testing.T, server *s3test.Server) string {
	ctx := t.Context()
	bucket := server.NewBucket(t)
	s, raw := open(t, server, bucket), server.Client(t)
	places := []string{"head", "orphan", "buried"}
	cells := make([][][]string, len(foreignEntries))
	var group errgroup.Group
	group.SetLimit(8)
	for i, e := range foreignEntries {
		cells[i] = make([][]string, len(places))
		for j, place := range places {
			cells[i][j] = make([]string, len(operations))
			if place == "orphan" && strings.Contains(e.name, "repaired") {
				continue
			}
			group.Go(func() error {
				for k, op := range operations {
					prefix := fmt.Sprintf("s%d-%d-%d/", i, j, k)
					python := &pythonClient{client: raw, bucket: bucket, prefix: prefix, hash: "sha256:genesis", keyETag: map[string]string{}}
					if err := python.build(ctx, e, place); err != nil {
						if place == "orphan" || !strings.Contains(err.Error(), "apply") {
							return fmt.Errorf("%s as %s: %w", e.name, place, err)
						}
						cells[i][j][k] = "–" // the server does not hold the object: nobody can apply it
						continue
					}
					db, err := immukv.Open[json.RawMessage](ctx, s, immukv.WithPrefix(prefix))
					if err != nil {
						return err
					}
					cells[i][j][k] = op.do(ctx, db, e, python.sequence)
					if err := db.Close(); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return render(places, cells)
}

// render makes the table, a row for each entry, and for its places where they differ.
func render(places []string, cells [][][]string) string {
	var b strings.Builder
	b.WriteString("| entry | as |")
	for _, op := range operations {
		b.WriteString(" " + op.name + " |")
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(operations)) + "\n")
	for i, e := range foreignEntries {
		for j := 0; j < len(places); {
			if cells[i][j][0] == "" {
				j++
				continue
			}
			as := []string{places[j]}
			k := j + 1
			for ; k < len(places) && (cells[i][k][0] == "" || slices.Equal(cells[i][k], cells[i][j])); k++ {
				if cells[i][k][0] != "" {
					as = append(as, places[k])
				}
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", e.name, strings.Join(as, ", "), strings.Join(cells[i][j], " | "))
			j = k
		}
	}
	return b.String()
}

// Entries that other clients write, and that ours never writes, stop nothing: the tables
// of docs/compatibility.md are what happens on each server.
func TestForeignEntries(t *testing.T) {
	if !long() {
		t.Log("left out: it makes some ten thousand requests to each server; set IMMUKV_LONG=1")
		return
	}
	const doc = "../../docs/compatibility.md"
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		table := foreignTable(t, server)
		document.Lock() // the other server's test may update it
		defer document.Unlock()
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		heading := "### On " + server.Software.Name + "\n\n"
		before, rest, found := strings.Cut(string(text), heading)
		if !found {
			t.Fatalf("%s has no heading %q", doc, strings.TrimSpace(heading))
		}
		there, after, _ := strings.Cut(rest, "\n\n")
		if there+"\n" == table {
			return
		}
		if !*updateForeign {
			t.Fatalf("%s says\n%s\nand it is\n%s", doc, there, table)
		}
		if err := os.WriteFile(doc, []byte(before+heading+strings.TrimSuffix(table, "\n")+"\n\n"+after), 0o644); err != nil {
			t.Fatal(err)
		}
	})
}
