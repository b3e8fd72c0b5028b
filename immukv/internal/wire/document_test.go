package wire

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/immukv/immukv-go/backend"
)

const (
	someHash    = `"sha256:81e760681c3478a1004a744ae759e92538f8ae5c3488a9fdb33d2ef3dd8e8e87"`
	anotherHash = `"sha256:b221713908ba9bd97e318ad63a0ea6e15ec69be3ecd7570b6ca06496aad7c7c0"`
)

// stored is a document with some of its fields changed: field, token,
// field, token, and so on. An empty token leaves a field out.
func stored(fields []string, changes ...string) string {
	tokens := map[string]string{
		"hash": someHash, "key": `"a"`, "previous_hash": anotherHash, "sequence": `7`,
		"timestamp_ms": `1700000000000`, "value": `{"x":[1.50,"\u00e9"]}`,
		"log_version_id": `"v8"`, "previous_version_id": `"v7"`,
		"previous_key_object_etag": `"\"e\""`, "write_id": `"w"`,
	}
	for i := 0; i < len(changes); i += 2 {
		tokens[changes[i]] = changes[i+1]
	}
	var members []string
	for _, name := range fields {
		if tokens[name] != "" {
			members = append(members, fmt.Sprintf("%q:%s", name, tokens[name]))
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

func storedLog(changes ...string) string {
	return stored([]string{"hash", "key", "previous_hash", "previous_key_object_etag", "previous_version_id",
		"sequence", "timestamp_ms", "value", "write_id"}, changes...)
}

func storedKey(changes ...string) string {
	return stored([]string{"hash", "key", "log_version_id", "previous_hash",
		"sequence", "timestamp_ms", "value", "write_id"}, changes...)
}

// fields are the fields of a document that callers see.
type fields struct {
	Key                     string
	Sequence, TimestampMS   int64
	Hash, PreviousHash      Hash
	Value, WriteID          string
	PreviousVersionID       LogVersionID
	PreviousKeyETag         backend.ETag
	HasPreviousKeyETag      bool
	LogVersionID            LogVersionID
	LogBody, KeyBodyOfLogV8 string
}

func fieldsOf(d *Document) fields {
	return fields{
		d.Key, d.Sequence, d.TimestampMS, d.Hash, d.PreviousHash, string(d.Value), d.WriteID,
		d.PreviousVersionID, d.PreviousKeyETag, d.HasPreviousKeyETag, d.LogVersionID,
		string(d.LogBody()), string(d.KeyBody("v8")),
	}
}

func TestParseDocument(t *testing.T) {
	t.Parallel()
	common := fields{
		Key: "a", Sequence: 7, TimestampMS: 1700000000000,
		Hash: Hash(strings.Trim(someHash, `"`)), PreviousHash: Hash(strings.Trim(anotherHash, `"`)),
		Value: `{"x":[1.50,"\u00e9"]}`, WriteID: "w",
		LogBody: storedLog(), KeyBodyOfLogV8: storedKey(),
	}
	inLog := common
	inLog.PreviousVersionID, inLog.PreviousKeyETag, inLog.HasPreviousKeyETag = "v7", `"e"`, true
	first := common
	first.WriteID, first.LogBody = "", storedLog("previous_key_object_etag", "", "previous_version_id", "", "write_id", "")
	first.KeyBodyOfLogV8 = storedKey("write_id", "")
	inKey := common
	inKey.LogVersionID, inKey.LogBody = "v8", storedKey()

	for _, c := range []struct {
		name, body string
		parse      func([]byte) (*Document, error)
		want       fields
	}{
		{"log", storedLog(), parseOneLog, inLog},
		{"log, no optional fields", first.LogBody, parseOneLog, first},
		{"log, optional fields null", storedLog("previous_key_object_etag", `null`, "previous_version_id", `null`, "write_id", `null`), parseOneLog, first},
		{"log, unknown fields", strings.Replace(storedLog(), `{`, `{"zz":{"key":[]},"log_version_id":7,`, 1), parseOneLog, inLog},
		{"log, escaped names", strings.NewReplacer(`"key"`, `"\u006bey"`, `"write_id"`, `"write\u005Fid"`).Replace(storedLog()), parseOneLog, inLog},
		{"key", storedKey(), ParseKey, inKey},
		{"key, fields of the log", strings.Replace(storedKey(), `{`, `{"previous_version_id":true,`, 1), ParseKey, inKey},
	} {
		d, err := c.parse([]byte(c.body))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.want, fieldsOf(d)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestParseDocumentWhiteSpace(t *testing.T) {
	t.Parallel()
	value := "[1 ,\t2\r]"
	body := strings.NewReplacer(`{"hash":`, " {\n\"hash\" : ", `,"key":`, "\t,\r\"key\":\n").Replace(storedLog("value", value)) + "\n"
	d := mustParseLog(t, body)
	want := fieldsOf(mustParseLog(t, storedLog("value", value)))
	if diff := cmp.Diff(want, fieldsOf(d)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", body, diff)
	}
}

func TestParseDocumentStrings(t *testing.T) {
	t.Parallel()
	d := mustParseLog(t, storedLog(
		"key", `"\u00e9\ud83d\ude00\n\/日\u007f\\\""`, "previous_version_id", `"a\u0062c"`, "sequence", `0`))
	if d.Key != "é😀\n/日\x7f\\\"" || d.PreviousVersionID != "abc" || d.PreviousKeyETag != `"e"` || d.Sequence != 0 {
		t.Errorf("key %q, previous version %q, ETag %q, sequence %d", d.Key, d.PreviousVersionID, d.PreviousKeyETag, d.Sequence)
	}
	// An escaped colon or quote must not end a token.
	d = mustParseLog(t, storedLog("value", `"\",\"sequence\":9"`))
	if d.Sequence != 7 || string(d.Value) != `"\",\"sequence\":9"` {
		t.Errorf("sequence %d, value %s", d.Sequence, d.Value)
	}
}

func TestParseDocumentRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth)
	for _, c := range []struct{ name, body, want string }{
		{"empty", ``, `text ends early at byte 0`},
		{"array", `[1]`, `value that is not an object at byte 0`},
		{"null", `null`, `value that is not an object at byte 0`},
		{"broken array", `[1`, `text ends early at byte 2`},
		{"empty object", `{}`, `field hash is missing`},
		{"cut off", storedLog()[:40], `text ends early at byte 40`},
		{"trailing data", storedLog() + `{}`, fmt.Sprintf(`data after the end at byte %d`, len(storedLog()))},
		{"invalid UTF-8 in a value", storedLog("value", "\"\xff\""), `invalid UTF-8 at byte 295`},
		{"invalid UTF-8 in an unknown name", strings.Replace(storedLog(), `{`, "{\"\xff\":1,", 1), `invalid UTF-8 at byte 2`},
		{"value that is no JSON", storedLog("value", `nan`), `value expected at byte 294`},
		{"value nested too deep", storedLog("value", deep), `nesting too deep at byte 10293`},
		{"repeated field", strings.Replace(storedLog(), `"sequence":7`, `"sequence":7,"sequence":7`, 1), `repeated field at byte 257`},
		{"repeated field in another spelling", strings.Replace(storedLog(), `"sequence":7`, `"sequence":7,"\u0073equence":7`, 1), `repeated field at byte 257`},
		{"repeated unknown field", strings.Replace(storedLog(), `{`, `{"zz":1,"yy":1,"zz":1,`, 1), `repeated field at byte 15`},
		{"repeated null", strings.Replace(storedLog(), `"write_id":"w"`, `"write_id":null,"write_id":"w"`, 1), `repeated field at byte 332`},

		{"no hash", storedLog("hash", ``), `field hash is missing`},
		{"no key", storedLog("key", ``), `field key is missing`},
		{"no previous hash", storedLog("previous_hash", ``), `field previous_hash is missing`},
		{"no sequence", storedLog("sequence", ``), `field sequence is missing`},
		{"no timestamp", storedLog("timestamp_ms", ``), `field timestamp_ms is missing`},
		{"key not finite", storedLog("key", `NaN`), `field key is not a string`},
		{"sequence not finite", storedLog("sequence", `Infinity`), `field sequence is not an integer`},

		{"hash null", storedLog("hash", `null`), `field hash is not a string`},
		{"hash of another kind", storedLog("hash", `"md5:00"`), `field hash does not start with sha256:`},
		{"previous hash of another kind", storedLog("previous_hash", `"SHA256:00"`), `field previous_hash does not start with sha256:`},
		{"previous hash a number", storedLog("previous_hash", `1`), `field previous_hash is not a string`},
		{"key a number", storedLog("key", `1`), `field key is not a string`},
		{"key null", storedLog("key", `null`), `field key is not a string`},
		{"key no Unicode", storedLog("key", `"a\ud800"`), `field key has a lone surrogate`},
		{"sequence a boolean", storedLog("sequence", `true`), `field sequence is not an integer`},
		{"sequence a string", storedLog("sequence", `"7"`), `field sequence is not an integer`},
		{"sequence null", storedLog("sequence", `null`), `field sequence is not an integer`},
		{"sequence with a fraction", storedLog("sequence", `7.0`), `field sequence is not an integer`},
		{"sequence with an exponent", storedLog("sequence", `7e0`), `field sequence is not an integer`},
		{"sequence negative", storedLog("sequence", `-7`), `field sequence is negative`},
		{"sequence minus nought", storedLog("sequence", `-0`), `field sequence is negative`},
		{"sequence too large", storedLog("sequence", `9223372036854775808`), `field sequence exceeds 63 bits`},
		{"timestamp a fraction", storedLog("timestamp_ms", `1700000000000.5`), `field timestamp_ms is not an integer`},
		{"timestamp nought", storedLog("timestamp_ms", `0`), `field timestamp_ms is not positive`},
		{"timestamp negative", storedLog("timestamp_ms", `-1`), `field timestamp_ms is negative`},
		{"ETag a number", storedLog("previous_key_object_etag", `1`), `field previous_key_object_etag is not a string`},
		{"ETag empty", storedLog("previous_key_object_etag", `""`), `field previous_key_object_etag is empty`},
		{"previous version false", storedLog("previous_version_id", `false`), `field previous_version_id is not a string`},
		{"previous version empty", storedLog("previous_version_id", `""`), `field previous_version_id is empty`},
		{"write ID an object", storedLog("write_id", `{}`), `field write_id is not a string`},
		{"write ID empty", storedLog("write_id", `""`), `field write_id is empty`},
	} {
		d, err := parseOneLog([]byte(c.body))
		if !errors.Is(err, ErrMalformedEntry) || err.Error() != "malformed entry: "+c.want {
			t.Errorf("%s: got %+v, error %v; want %s", c.name, d, err, c.want)
		}
	}
	for _, c := range []struct{ name, body, want string }{
		{"no log version", storedKey("log_version_id", ``), `field log_version_id is missing`},
		{"log version null", storedKey("log_version_id", `null`), `field log_version_id is not a string`},
		{"log version empty", storedKey("log_version_id", `""`), `field log_version_id is empty`},
		{"a log version's body", storedLog(), `field log_version_id is missing`},
	} {
		d, err := ParseKey([]byte(c.body))
		if !errors.Is(err, ErrMalformedEntry) || err.Error() != "malformed entry: "+c.want {
			t.Errorf("%s: got %+v, error %v; want %s", c.name, d, err, c.want)
		}
	}
}

// What the Python client writes though it is no JSON, or leaves out, is read.
func TestValuesOfPythonAlone(t *testing.T) {
	t.Parallel()
	for _, value := range []string{`NaN`, `Infinity`, `-Infinity`, `[1,NaN,{"x":-Infinity}]`} {
		hash := hashTokens(Python, Python.tokens("a", GenesisHash, 0, 1, []byte(value)))
		body := storedLog("hash", string(Python.appendQuoted(nil, string(hash))), "previous_hash", `"sha256:genesis"`,
			"sequence", "0", "timestamp_ms", "1", "value", value, "previous_version_id", "", "previous_key_object_etag", "", "write_id", "")
		d, err := parseOneLog([]byte(body))
		if err != nil || d.Dialect() != Python || !d.IsCanonical() || string(d.Value) != value {
			t.Errorf("%s: got %+v, error %v", value, d, err)
			continue
		}
		key, err := ParseKey(d.KeyBody("v1"))
		if err != nil || key.Dialect() != Python || !key.IsCanonical() {
			t.Errorf("%s: its key object: %v", value, err)
		}
		if VerifyFields("a", GenesisHash, 0, 1, d.Value, hash) != Python {
			t.Errorf("%s: its fields do not verify", value)
		}
		for _, dialect := range dialects {
			if text, err := dialect.Canonical([]byte(value)); !errors.Is(err, ErrInvalidValue) {
				t.Errorf("%s in %v: written as %s, error %v", value, dialect, text, err)
			}
		}
	}
	for _, value := range []string{`-NaN`, `Infinity1`, `NaNs`, `-Inf`, `- Infinity`, `--Infinity`} {
		if d, err := parseOneLog([]byte(storedLog("value", value))); !errors.Is(err, ErrMalformedEntry) {
			t.Errorf("%s: got %+v, error %v", value, d, err)
		}
	}
}

// A value that is left out is null, is hashed as null, and stands in the key object as
// the Python client puts it there.
func TestValueLeftOut(t *testing.T) {
	t.Parallel()
	hash := hashTokens(Python, Python.tokens("a", GenesisHash, 0, 1, []byte("null")))
	changes := []string{"hash", string(Python.appendQuoted(nil, string(hash))), "previous_hash", `"sha256:genesis"`,
		"sequence", "0", "timestamp_ms", "1", "value", "", "previous_version_id", "", "previous_key_object_etag", "", "write_id", ""}
	body := storedLog(changes...)
	d, err := parseOneLog([]byte(body))
	if err != nil || d.Dialect() != Python || !d.IsCanonical() || string(d.Value) != "null" || string(d.LogBody()) != body {
		t.Fatalf("got %+v, error %v", d, err)
	}
	if want := storedKey(append(changes, "value", "null", "log_version_id", `"v1"`)...); string(d.KeyBody("v1")) != want {
		t.Errorf("the key object is\n%s, want\n%s", d.KeyBody("v1"), want)
	}
	// So the TypeScript client repairs it.
	if key, err := ParseKey([]byte(storedKey(changes...))); err != nil || key.Dialect() != Python || !key.IsCanonical() {
		t.Errorf("a key object without a value: %+v, error %v", key, err)
	}
}

func TestFieldNames(t *testing.T) {
	t.Parallel()
	for f, name := range fieldNames {
		if got := fieldNamed([]byte(name)); got != field(f) {
			t.Errorf("%s is field %d, want %d", name, got, f)
		}
		if f > 0 && name <= fieldNames[f-1] {
			t.Errorf("%s is out of order", name)
		}
	}
}

// entryOf is a log version with the value, in canonical form of the dialect.
func entryOf(t testing.TB, dialect Dialect, value string) *Document {
	t.Helper()
	canonical, err := dialect.Canonical([]byte(value))
	if err != nil {
		t.Fatal(err)
	}
	return New(Draft{
		Key: "k\x7fé", Value: canonical, Sequence: 12, TimestampMS: 1700000000001,
		PreviousHash: GenesisHash, PreviousVersionID: "v11", PreviousKeyETag: `"e"`,
		HasPreviousKeyETag: true, WriteID: "w", Dialect: dialect,
	})
}

func TestNewLogDocument(t *testing.T) {
	t.Parallel()
	for _, dialect := range dialects {
		d := entryOf(t, dialect, `{"b":1.0,"a":"\u007f"}`)
		read := mustParseLog(t, string(d.LogBody()))
		if diff := cmp.Diff(fieldsOf(read), fieldsOf(d)); diff != "" {
			t.Errorf("%v: read again (-read +new):\n%s", dialect, diff)
		}
		if read.Dialect() != dialect || !read.IsCanonical() || !d.IsCanonical() || d.Dialect() != dialect {
			t.Errorf("%s: dialect %v, want %v", d.LogBody(), read.Dialect(), dialect)
		}
		key, err := ParseKey(read.KeyBody("v12"))
		if err != nil || key.Dialect() != dialect || !key.IsCanonical() || key.LogVersionID != "v12" || key.WriteID != "w" {
			t.Errorf("%s: dialect %v, error %v", read.KeyBody("v12"), key.Dialect(), err)
		}
	}
}

// A repair by the client of the other language re-formats the key object. What
// that leaves recognisable verifies; a float that JavaScript made an integer is
// another value.
func TestReformattedKeyObject(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value  string
		writer Dialect
		want   Dialect
	}{
		{`{"x":1e-07,"y":"\u007f"}`, Python, Python},
		{`{"10":1,"9":2,"\uffff":3,"\ud800\udc00":4}`, Python, Python},
		{`1e+16`, Python, 0},
		{`[1.0]`, Python, 0},
		{`{"x":1e-7,"y":"\u007f"}`, TypeScript, TypeScript},
		{`{"10":1,"9":2,"\uffff":3,"\ud800\udc00":4}`, TypeScript, TypeScript},
		{`[10000000000000000,1,1.5]`, TypeScript, TypeScript},
	} {
		other := Python + TypeScript - c.writer
		body, err := other.canonicalize(entryOf(t, c.writer, c.value).KeyBody("v12"), asStored)
		if err != nil {
			t.Fatal(err)
		}
		d, err := ParseKey(body)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Dialect(); got != c.want || !d.IsCanonical() {
			t.Errorf("%s: dialect %v, want %v; canonical %v", body, got, c.want, d.IsCanonical())
		}
		if got := VerifyFields(d.Key, d.PreviousHash, d.Sequence, d.TimestampMS, d.Value, d.Hash); got != c.want {
			t.Errorf("%s: fields verify in dialect %v, want %v", body, got, c.want)
		}
	}
}

// The other clients write lone surrogates, and more digits and levels than we
// do. What they wrote must verify, by its tokens.
func TestStoredBeyondWhatWeWrite(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		`"\ud800"`, `{"\udc00":1}`, strings.Repeat("7", 5000), strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
	} {
		for _, dialect := range dialects {
			d := New(Draft{Key: "k", Value: []byte(value), TimestampMS: 1, PreviousHash: GenesisHash, Dialect: dialect})
			read := mustParseLog(t, string(d.LogBody()))
			if read.Dialect() != dialect || !read.IsCanonical() {
				t.Errorf("%v: %.40s: dialect %v, canonical %v", dialect, value, read.Dialect(), read.IsCanonical())
			}
		}
	}
}

func TestDialectHint(t *testing.T) {
	t.Parallel()
	for _, dialect := range dialects {
		body := string(entryOf(t, dialect, `"x"`).LogBody())
		for hint := range TypeScript + 2 {
			if got := mustParseLog(t, body).DialectHint(hint); got != dialect {
				t.Errorf("%v: hint %v gives %v", dialect, hint, got)
			}
		}
	}
}

// A change that keeps the meaning keeps the hash, so only the bytes tell.
func TestNotCanonical(t *testing.T) {
	t.Parallel()
	body := string(entryOf(t, Python, `{"a":"\u00e9","b":1.5}`).LogBody())
	for _, c := range []struct {
		name, old, new string
		dialect        Dialect
	}{
		{"blank between members", `,"key"`, `, "key"`, Python},
		{"blank before the end", `"w"}`, `"w" }`, Python},
		{"blank in front", `{"hash"`, ` {"hash"`, Python},
		{"line feed behind", `"w"}`, `"w"}` + "\n", Python},
		{"escaped letter in a field name", `"write_id"`, `"write_\u0069d"`, Python},
		{"escaped letter in a hash", `"hash":"sha256`, `"hash":"\u0073ha256`, Python},
		{"escaped letter in an ID", `"v11"`, `"\u007611"`, Python},
		{"escaped letter in the previous hash", `"sha256:genesis"`, `"\u0073ha256:genesis"`, Python},
		{"long escape of a quote in an ETag", `"\"e\""`, `"\u0022e\""`, Python},
		{"raw U+007F in an ID, where it is escaped in the key", `"v11"`, "\"v\x7f11\"", Python},
		{"escaped slash in an ID", `"v11"`, `"v\/11"`, Python},
		{"raw letter in an ID", `"v11"`, `"é11"`, Python},
		{"upper-case escape in a value", `\u00e9`, `\u00E9`, Python},
		{"raw letter in a value", `\u00e9`, `é`, Python},
		{"blank in a value", `"b":1.5`, `"b": 1.5`, Python},
		{"another spelling of a number", `"b":1.5`, `"b":1.50`, Python},
		{"another order of members", `{"a":"\u00e9","b":1.5}`, `{"b":1.5,"a":"\u00e9"}`, Python},
		{"another order of fields", `"previous_version_id":"v11","sequence":12`, `"sequence":12,"previous_version_id":"v11"`, Python},
		{"upper-case escape in a key", `\u00e9",`, `\u00E9",`, Python},
		{"unknown field out of order", `{"hash"`, `{"z":1,"hash"`, Python},
		{"unknown field not canonical", `{"hash"`, `{"a":1.50,"hash"`, Python},
		{"unknown field not canonical, at the end", `"w"}`, `"w","z":1.50}`, Python},
		{"another value", `1.5`, `1.6`, 0},
	} {
		if !strings.Contains(body, c.old) {
			t.Fatalf("%s: %s is not in %s", c.name, c.old, body)
		}
		d := mustParseLog(t, strings.Replace(body, c.old, c.new, 1))
		if got := d.Dialect(); got != c.dialect {
			t.Errorf("%s: dialect %v, want %v", c.name, got, c.dialect)
		}
		if c.dialect != 0 && d.IsCanonical() {
			t.Errorf("%s: canonical", c.name)
		}
	}
	for _, c := range []struct{ name, old, new string }{
		{"unknown field", `{"hash"`, `{"a":1.5,"hash"`},
		{"null for an absent field", `"write_id":"w"`, `"write_id":null`},
		{"escape in an ID", `"v11"`, `"\u00e9\""`},
		{"U+007F in an ID", `"v11"`, `"\u007f"`},
	} {
		if d := mustParseLog(t, strings.Replace(body, c.old, c.new, 1)); d.Dialect() != Python || !d.IsCanonical() {
			t.Errorf("%s: dialect %v, canonical %v", c.name, d.Dialect(), d.IsCanonical())
		}
	}
}

// Every substitution of one byte of a stored body shows: the body is malformed,
// has its hash in no dialect, or is not canonical; or it changes a field that is
// not hashed, which a caller compares with what it points to. Those are the
// fields below: the version before, the key object's ETag at the time, and, in
// the other of the two objects, the write ID and the log version.
func TestEverySubstitution(t *testing.T) {
	t.Parallel()
	bodies := map[string]func([]byte) (*Document, error){}
	for _, dialect := range dialects {
		d := entryOf(t, dialect, `{"a":"\u00e9","b":[1.5,true]}`)
		bodies[string(d.LogBody())] = parseOneLog
		bodies[string(d.KeyBody("v12"))] = ParseKey
	}
	compared := map[field]bool{}
	for body, parse := range bodies {
		original, err := parse([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := range body {
			for c := range 256 {
				if byte(c) == body[i] {
					continue
				}
				changed := []byte(body)
				changed[i] = byte(c)
				d, err := parse(changed)
				if err != nil || d.Dialect() == 0 || !d.IsCanonical() {
					continue
				}
				f := fieldCount
				switch {
				case d.PreviousVersionID != original.PreviousVersionID:
					f = fieldPreviousVersionID
				case d.PreviousKeyETag != original.PreviousKeyETag:
					f = fieldPreviousKeyETag
				case d.WriteID != original.WriteID:
					f = fieldWriteID
				case d.LogVersionID != original.LogVersionID:
					f = fieldLogVersionID
				default:
					t.Errorf("byte %d from %q to %q does not show in %s", i, body[i], byte(c), changed)
				}
				compared[f] = true
			}
		}
	}
	want := map[field]bool{
		fieldPreviousVersionID: true, fieldPreviousKeyETag: true, fieldWriteID: true, fieldLogVersionID: true,
	}
	if diff := cmp.Diff(want, compared); diff != "" {
		t.Errorf("fields in which a change passes (-want +got):\n%s", diff)
	}
}
