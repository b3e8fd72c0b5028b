package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// lines are the documents of a log version: entry i has sequence 7+i and key ki, and the
// hash that entry i+1 has as the one before.
func lines(n int) []string {
	var all []string
	hash := func(i int) string { return fmt.Sprintf(`"sha256:%064d"`, i) }
	for i := range n {
		changes := []string{"value", `{"x":1}`, "key", fmt.Sprintf(`"k%d"`, i), "sequence", fmt.Sprint(7 + i), "hash", hash(i + 1), "previous_hash", hash(i)}
		if i > 0 {
			changes = append(changes, "previous_version_id", "")
		}
		all = append(all, storedLog(changes...))
	}
	return all
}

func joinLines(lines ...string) []byte { return []byte(strings.Join(lines, "\n")) }

// A version of several lines is read as its documents, each with its own bytes, and is
// written as it was.
func TestParseLines(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3, MaxEntries} {
		want := lines(n)
		docs, err := ParseLog(joinLines(want...))
		if err != nil || len(docs) != n {
			t.Fatalf("%d lines: %d documents, %v", n, len(docs), err)
		}
		for i, d := range docs {
			if string(d.LogBody()) != want[i] || d.Key != fmt.Sprintf("k%d", i) || d.Sequence != int64(7+i) || !d.IsCanonical() {
				t.Fatalf("line %d of %d was read as %s", i+1, n, d.LogBody())
			}
		}
		if got := JoinLog(docs); !bytes.Equal(got, joinLines(want...)) {
			t.Errorf("%d lines were written otherwise:\n%s", n, got)
		}
	}
}

// If anything is wrong with one line, none of them is an entry, and the error says which.
func TestParseLinesRefuses(t *testing.T) {
	t.Parallel()
	three := lines(3)
	replace := func(i int, old, with string) []byte {
		changed := lines(3)
		if !strings.Contains(changed[i], old) {
			t.Fatalf("%s has no %s", changed[i], old)
		}
		changed[i] = strings.Replace(changed[i], old, with, 1)
		return joinLines(changed...)
	}
	large := lines(2)
	large[1] = strings.Replace(large[1], `{"x":1}`, `"`+strings.Repeat("x", MaxBatchBytes)+`"`, 1)
	for _, c := range []struct {
		name string
		body []byte
		says string
	}{
		{"a line too many", joinLines(lines(MaxEntries + 1)...), "1001 lines; the limit is 1000"},
		{"too many bytes", joinLines(large...), "the limit is 8388608 bytes"},
		{"as many bytes as a body may have", bytes.Repeat([]byte("{}\n"), 64<<20/3), "the limit is 1000"},
		{"two lines of as many bytes as a body may have", joinLines("{"+strings.Repeat(" ", 32<<20)+"}", "{"+strings.Repeat(" ", 32<<20)+"}"), "the limit is 8388608 bytes"},
		{"an empty line", joinLines(three[0], "", three[1]), ""},
		{"an empty line after two", joinLines(three[0], three[1], "", three[2]), "line 3 of 4"},
		{"a line feed at the end", append(joinLines(three...), '\n'), "line 4 of 4"},
		{"a line feed before all", append([]byte("\n"), joinLines(three...)...), "line 1 of 4"},
		{"a carriage return", bytes.ReplaceAll(joinLines(three...), []byte("\n"), []byte("\r\n")), ""},
		{"two documents in a line", []byte(three[0] + three[1]), ""},
		{"a space between", []byte(three[0] + "\n " + three[1]), ""},
		{"a line cut short", joinLines(three[0], three[1], three[2][:20]), "line 3 of 3"},
		{"a document over two lines", joinLines(three[0], strings.Replace(three[1], ",", ",\n", 1)), "line 2 of 3"},
		{"a line of another kind", joinLines(three[0], "[]", three[1]), ""},
		{"a key twice", replace(2, `"k2"`, `"k0"`), "line 3 of 3: field key"},
		{"neighbours of one key", replace(1, `"k1"`, `"\u006b0"`), "line 2 of 3: field key"},
		{"a gap", replace(2, `"sequence":9`, `"sequence":10`), "line 3 of 3: field sequence is 10, after 8"},
		{"a sequence twice", replace(1, `"sequence":8`, `"sequence":7`), "line 2 of 3: field sequence is 7, after 7"},
		{"the greatest sequence before another", bytes.ReplaceAll(replace(0, `"sequence":7`, `"sequence":9223372036854775807`), []byte(`"sequence":8`), []byte(`"sequence":0`)), "line 2 of 3: field sequence"},
		{"another hash before", replace(1, `"previous_hash":"sha256:0`, `"previous_hash":"sha256:1`), "line 2 of 3: field previous_hash"},
		{"a further line that names a version", replace(1, `"sequence"`, `"previous_version_id":"v7","sequence"`), "line 2 of 3: field previous_version_id"},
		{"lines exchanged", joinLines(three[1], three[0], three[2]), "line 2 of 3"},
		{"a line doubled", joinLines(three[0], three[1], three[1], three[2]), "line 3 of 4"},
		{"a line removed", joinLines(three[0], three[2]), "line 2 of 2"},
		{"a missing field", replace(1, `"timestamp_ms":1700000000000,`, ""), "line 2 of 3: field timestamp_ms"},
	} {
		docs, err := ParseLog(c.body)
		if !errors.Is(err, ErrMalformedEntry) || docs != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %d documents, error %v, which should say %q", c.name, len(docs), err, c.says)
		}
	}
	// White space within a line is read, as it is in a version of one, and told.
	docs, err := ParseLog(replace(1, `"value":`, `"value": `))
	if err != nil || docs[1].IsCanonical() || !docs[0].IsCanonical() || !docs[2].IsCanonical() {
		t.Errorf("a line with a space in it: %v", err)
	}
	// A field that is null is left out.
	if _, err := ParseLog(replace(1, `"sequence"`, `"previous_version_id":null,"sequence"`)); err != nil {
		t.Errorf("a further line with no version: %v", err)
	}
	// A key object is one document.
	if _, err := ParseKey(joinLines(storedKey(), storedKey())); !errors.Is(err, ErrMalformedEntry) {
		t.Errorf("a key object of two lines: %v", err)
	}
}

// FuzzParseLog compares the reader of log versions with what a version is: lines that
// each can be read alone, of which each continues the one before, with distinct keys.
func FuzzParseLog(f *testing.F) {
	for _, n := range []int{1, 2, 3} {
		f.Add(joinLines(lines(n)...))
	}
	three := lines(3)
	f.Add(joinLines(three[0], "", three[1]))
	f.Add(append(joinLines(three...), '\n'))
	f.Add(joinLines(three[0], three[2]))
	f.Add([]byte(strings.Replace(string(joinLines(three...)), `"value":`, `"value" : `, 1)))
	f.Add(joinLines(three[0], strings.Replace(three[1], `"sequence"`, `"previous_version_id":"v","sequence"`, 1)))
	f.Fuzz(func(t *testing.T, body []byte) {
		docs, err := ParseLog(body)
		if err != nil {
			if !errors.Is(err, ErrMalformedEntry) || docs != nil {
				t.Fatalf("%d documents, error %v", len(docs), err)
			}
			return
		}
		if len(docs) == 1 {
			return // FuzzParseDocument says what it is
		}
		parts := bytes.Split(body, []byte("\n"))
		if len(parts) != len(docs) || len(docs) > MaxEntries || len(body) > MaxBatchBytes {
			t.Fatalf("%d documents of %d lines and %d bytes", len(docs), len(parts), len(body))
		}
		keys := make(map[string]bool)
		for i, d := range docs {
			alone, err := parseOneLog(parts[i])
			if err != nil || fieldsOf(alone) != fieldsOf(d) {
				t.Fatalf("line %d alone is %v, error %v", i+1, alone, err)
			}
			if keys[d.Key] {
				t.Fatalf("line %d has the key of another", i+1)
			}
			keys[d.Key] = true
			if i > 0 && (d.Sequence-1 != docs[i-1].Sequence || d.PreviousHash != docs[i-1].Hash || d.PreviousVersionID != "") {
				t.Fatalf("line %d does not continue the one before", i+1)
			}
		}
		again, err := ParseLog(JoinLog(docs))
		if err != nil || len(again) != len(docs) {
			t.Fatalf("read again: %d documents, error %v", len(again), err)
		}
		for i := range again {
			if want, got := fieldsOf(docs[i]), fieldsOf(again[i]); got != want {
				t.Fatalf("line %d was %v, and is %v when read again", i+1, want, got)
			}
		}
	})
}
