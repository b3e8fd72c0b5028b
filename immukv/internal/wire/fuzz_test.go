package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// FuzzCanonical compares canonical JSON with encoding/json, which knows the
// syntax and the meaning but not the form.
func FuzzCanonical(f *testing.F) {
	for _, name := range []string{"texts.tsv", "surrogates.tsv"} {
		for _, v := range canonicalVectors(f, name) {
			f.Add([]byte(v.text))
		}
	}
	for i, v := range canonicalVectors(f, "numbers.tsv") {
		if i%20 == 0 {
			f.Add([]byte(v.text))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		problem := scan(text, false)
		if valid := json.Valid(text) && utf8.Valid(text); valid != (problem == nil) {
			t.Fatalf("valid: %v, problem: %v", valid, problem)
		}
		for _, d := range dialects {
			canonical, err := d.Canonical(text)
			written, errWriting := d.Encode(text)
			switch {
			case err == nil:
				checkCanonical(t, d, text, canonical)
			case errWriting == nil || !errors.Is(err, ErrInvalidValue) || canonical != nil:
				t.Fatalf("%v: %s, error %v, error when writing %v", d, canonical, err, errWriting)
			}
			if errWriting != nil {
				continue
			}
			if !bytes.Equal(written, canonical) {
				t.Fatalf("%v: written as %s, canonical form %s", d, written, canonical)
			}
			if !sameValue(decode(t, text), decode(t, written), sameWhenWritten) {
				t.Fatalf("%v: writing changes the value to %s", d, written)
			}
		}
	})
}

func checkCanonical(t *testing.T, d Dialect, text, canonical []byte) {
	t.Helper()
	if again, err := d.Canonical(canonical); err != nil || !bytes.Equal(again, canonical) {
		t.Fatalf("%v: not its own canonical form: %s, then %s, error %v", d, canonical, again, err)
	}
	if i := bytes.IndexFunc(canonical, func(r rune) bool { return r < ' ' || r > 0x7f }); i >= 0 {
		t.Fatalf("%v: %s has byte %#x", d, canonical, canonical[i])
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, canonical); err != nil || compact.Len() != len(canonical) {
		t.Fatalf("%v: %s has white space, or is no JSON: %v", d, canonical, err)
	}
	if !sameValue(decode(t, text), decode(t, canonical), sameNumber) {
		t.Fatalf("%v: another value: %s", d, canonical)
	}
}

func decode(t *testing.T, text []byte) (value any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func sameValue(a, b any, same func(a, b json.Number) bool) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, func(a, b any) bool { return sameValue(a, b, same) })
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, func(a, b any) bool { return sameValue(a, b, same) })
	case json.Number:
		b, ok := b.(json.Number)
		return ok && same(a, b)
	default:
		return a == b
	}
}

// sameNumber compares as doubles.
func sameNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	x, errX := a.Float64()
	y, errY := b.Float64()
	return errX == nil && errY == nil && x == y
}

// sameWhenWritten compares exactly what was an integer, and the rest as doubles.
func sameWhenWritten(a, b json.Number) bool {
	if strings.ContainsAny(string(a), ".eE") {
		return sameNumber(a, b)
	}
	x, okX := new(big.Rat).SetString(string(a))
	y, okY := new(big.Rat).SetString(string(b))
	return okX && okY && x.Cmp(y) == 0
}

// FuzzParseDocument compares the strict reader with a slow one made of
// encoding/json, and what it read with what it prints.
func FuzzParseDocument(f *testing.F) {
	for i, v := range hashVectors(f) {
		if i%7 == 0 {
			f.Add([]byte(v.LogBody))
		}
	}
	f.Add([]byte(storedLog()))
	f.Add([]byte(storedLog("write_id", "null", "key", `"\ud83d\ude00\u007f"`)))
	f.Add([]byte(storedKey("sequence", "1.0")))
	f.Add([]byte(strings.Replace(storedKey(), `{`, ` {"zz": "\u00E9", "\u007az":1,`, 1)))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, c := range []struct {
			parse func([]byte) (*Document, error)
			kind  documentKind
		}{{parseOneLog, logDocument}, {ParseKey, keyDocument}} {
			d, err := c.parse(body)
			if err != nil && (!errors.Is(err, ErrMalformedEntry) || d != nil) {
				t.Fatalf("document %v, error %v", d, err)
			}
			if err == nil {
				checkParsed(t, d)
			}
			if bytes.Contains(bytes.ToLower(body), []byte(`\ud`)) {
				continue // encoding/json takes all lone surrogates for one character
			}
			if bytes.Contains(body, []byte(nan)) || bytes.Contains(body, []byte(infinity)) {
				continue // encoding/json takes neither
			}
			slow, slowErr := readSlowly(body, c.kind)
			if (slowErr != nil) != (err != nil) {
				t.Fatalf("error %v, want %v", err, slowErr)
			}
			if err != nil {
				continue
			}
			read := fieldsOf(d)
			read.LogBody, read.KeyBodyOfLogV8 = "", ""
			if diff := cmp.Diff(slow, read); diff != "" {
				t.Fatalf("-want +got:\n%s", diff)
			}
		}
	})
}

// checkParsed prints a document and reads it again.
func checkParsed(t *testing.T, d *Document) {
	t.Helper()
	if d.IsCanonical() && bytes.ContainsAny(d.body[:2], " \t\r\n") {
		t.Fatalf("canonical: %q", d.body)
	}
	got, want := fieldsOf(mustParseLog(t, string(d.LogBody()))), fieldsOf(d)
	want.LogVersionID, got.LogBody, want.LogBody = "", "", "" // not a log's
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("read again (-want +got):\n%s", diff)
	}
	body := d.KeyBody("v\u007f")
	key, err := ParseKey(body)
	if err != nil || key.Key != d.Key || key.LogVersionID != "v\u007f" || key.Dialect() != d.Dialect() {
		t.Fatalf("%s: error %v", body, err)
	}
}

// readSlowly reads a document as parse does, by other means.
func readSlowly(body []byte, kind documentKind) (read fields, err error) {
	tokens, err := membersOf(body)
	if err != nil {
		return read, err
	}
	into := map[field]any{
		fieldHash: &read.Hash, fieldKey: &read.Key, fieldLogVersionID: &read.LogVersionID,
		fieldPreviousHash: &read.PreviousHash, fieldPreviousKeyETag: &read.PreviousKeyETag,
		fieldPreviousVersionID: &read.PreviousVersionID, fieldSequence: &read.Sequence,
		fieldTimestampMS: &read.TimestampMS, fieldValue: new(any), fieldWriteID: &read.WriteID,
	}
	for f, name := range fieldNames {
		f, token := field(f), tokens[name]
		switch {
		case !(kind.required | kind.optional).has(f):
			continue
		case kind.optional.has(f) && (token == nil || string(token) == "null"):
			continue
		case token == nil || string(token) == "null" && f != fieldValue:
			return read, fmt.Errorf("%s is missing", name)
		}
		if err := json.Unmarshal(token, into[f]); err != nil && f != fieldValue {
			return read, err
		}
		if string(token) == `""` && f != fieldKey && f != fieldValue {
			return read, fmt.Errorf("%s is empty", name)
		}
		if string(token) == "-0" && f != fieldValue {
			return read, fmt.Errorf("%s is negative", name)
		}
		if f == fieldPreviousKeyETag {
			read.HasPreviousKeyETag = true
		}
	}
	if read.Value = string(tokens["value"]); tokens["value"] == nil {
		read.Value = "null"
	}
	if read.Sequence < 0 || read.TimestampMS <= 0 {
		return read, errors.New("numbers are out of range")
	}
	if !strings.HasPrefix(string(read.Hash), hashPrefix) || !strings.HasPrefix(string(read.PreviousHash), hashPrefix) {
		return read, errors.New("hashes are not SHA-256")
	}
	return read, nil
}

// membersOf are the tokens of a JSON object that repeats no name.
func membersOf(body []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(body) || !json.Valid(body) {
		return nil, errors.New("no JSON")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("no object")
	}
	members := make(map[string]json.RawMessage)
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		if _, repeated := members[name.(string)]; repeated {
			return nil, errors.New("repeated name")
		}
		var token json.RawMessage
		if err := decoder.Decode(&token); err != nil {
			return nil, err
		}
		members[name.(string)] = token
	}
	return members, nil
}
