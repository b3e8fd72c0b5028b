package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// canonicalVector is a JSON text and what Python and JavaScript make of it.
type canonicalVector struct {
	text string
	want map[Dialect]string
}

// canonicalVectors reads a file as testdata/canonical/README.md describes it.
func canonicalVectors(t testing.TB, name string) []canonicalVector {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "canonical", name))
	if err != nil {
		t.Fatal(err)
	}
	var vectors []canonicalVector
	for line := range strings.Lines(string(data)) {
		columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(columns) != 3 {
			t.Fatalf("%s: line %q has %d columns", name, line, len(columns))
		}
		for i := range columns[1:] {
			if columns[i+1] == "" {
				columns[i+1] = columns[i]
			}
		}
		vectors = append(vectors, canonicalVector{
			text: columns[0],
			want: map[Dialect]string{Python: columns[1], TypeScript: columns[2]},
		})
	}
	return vectors
}

func TestCanonicalVectors(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"numbers.tsv", "texts.tsv"} {
		for _, v := range canonicalVectors(t, name) {
			for d, want := range v.want {
				got, err := d.Canonical([]byte(v.text))
				if err != nil || string(got) != want {
					t.Errorf("%v: canonical form of %s is\n%s, want\n%s (error %v)", d, v.text, got, want, err)
				}
				again, err := d.Canonical(got)
				if err != nil || !bytes.Equal(again, got) {
					t.Errorf("%v: %s is not its own canonical form: %s (error %v)", d, got, again, err)
				}
			}
		}
	}
}

func TestCanonicalLoneSurrogates(t *testing.T) {
	t.Parallel()
	for _, v := range canonicalVectors(t, "surrogates.tsv") {
		for d, want := range v.want {
			if got, err := d.Canonical([]byte(v.text)); !errors.Is(err, ErrInvalidValue) {
				t.Errorf("%v: %s is accepted as %s, error %v", d, v.text, got, err)
			}
			// A stored value may have them: the other clients write them.
			got, err := d.canonicalize([]byte(v.text), asStored)
			if err != nil || string(got) != want {
				t.Errorf("%v: canonical form of stored %s is\n%s, want\n%s (error %v)", d, v.text, got, want, err)
			}
		}
	}
}

// Names in every order in which they can come give the same object.
func TestCanonicalMemberOrder(t *testing.T) {
	t.Parallel()
	names := []string{`b`, `10`, `\uffff`, `\ud800\udc00`, `9`}
	want := map[Dialect]string{
		Python:     `[[{"10":0,"9":0,"b":0,"\uffff":0,"\ud800\udc00":0}]]`,
		TypeScript: `[[{"9":0,"10":0,"b":0,"\ud800\udc00":0,"\uffff":0}]]`,
	}
	for order := range permutations(len(names)) {
		var members []string
		for _, i := range order {
			members = append(members, fmt.Sprintf(`"%s":0`, names[i]))
		}
		text := "[[{" + strings.Join(members, ", ") + "}]]"
		for _, d := range dialects {
			if got, err := d.Canonical([]byte(text)); err != nil || string(got) != want[d] {
				t.Errorf("%v: canonical form of %s is %s, error %v", d, text, got, err)
			}
		}
	}
}

// permutations yields every order of the numbers below n.
func permutations(n int) func(yield func([]int) bool) {
	return func(yield func([]int) bool) {
		order := make([]int, 0, n)
		var extend func() bool
		extend = func() bool {
			if len(order) == n {
				return yield(order)
			}
		next:
			for i := range n {
				for _, taken := range order {
					if taken == i {
						continue next
					}
				}
				order = append(order, i)
				ok := extend()
				order = order[:len(order)-1]
				if !ok {
					return false
				}
			}
			return true
		}
		extend()
	}
}

// Objects out of order inside objects out of order, at every depth: rewriting
// them must take neither the wrong bytes nor time that grows with the depth.
func TestCanonicalNestedDisorder(t *testing.T) {
	t.Parallel()
	const depth = maxDepth - 1
	text := strings.Repeat(`{"b":[1],"a":`, depth) + `{"d":{},"c":{"y":1,"x":2}}` + strings.Repeat(`}`, depth)
	want := strings.Repeat(`{"a":`, depth-1) + `{"a":{"c":{"x":2,"y":1},"d":{}}` + strings.Repeat(`,"b":[1]}`, depth)
	for _, d := range dialects {
		if _, err := d.Canonical([]byte(text)); err == nil {
			t.Fatalf("%v: nesting of %d is accepted", d, depth+2)
		}
		got, err := d.Canonical([]byte(text[len(`{"b":[1],"a":`) : len(text)-1]))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want[len(`{"a":`):len(want)-len(`,"b":[1]}`)] {
			t.Errorf("%v: wrong canonical form of nested objects", d)
		}
	}
}

func TestCanonicalRefuses(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range []struct{ name, text, want string }{
		{"nothing", ``, `text ends early at byte 0`},
		{"white space", " \n", `text ends early at byte 2`},
		{"byte order mark", "\ufeff1", `value expected at byte 0`},
		{"word", `nul`, `value expected at byte 0`},
		{"NaN", `NaN`, `value expected at byte 0`},
		{"infinity", `-Infinity`, `digit expected at byte 1`},
		{"two values", `1 2`, `data after the end at byte 2`},
		{"unclosed array", `[1`, `text ends early at byte 2`},
		{"unclosed object", `{"a":1`, `text ends early at byte 6`},
		{"unclosed string", `"abc`, `text ends early at byte 4`},
		{"trailing comma in an array", `[1,]`, `value expected at byte 3`},
		{"trailing comma in an object", `{"a":1,}`, `member name expected at byte 7`},
		{"no comma", `[1 2]`, `comma or closing bracket expected at byte 3`},
		{"no comma in an object", `{"a":1 "b":2}`, `comma or closing brace expected at byte 7`},
		{"no colon", `{"a" 1}`, `colon expected at byte 5`},
		{"name without quotes", `{a:1}`, `member name expected at byte 1`},
		{"number as name", `{1:1}`, `member name expected at byte 1`},
		{"leading zero", `01`, `number with a leading zero at byte 1`},
		{"leading plus", `+1`, `value expected at byte 0`},
		{"leading point", `.5`, `value expected at byte 0`},
		{"bare minus", `-`, `text ends early at byte 1`},
		{"bare point", `1.`, `text ends early at byte 2`},
		{"point and exponent", `1.e5`, `digit expected at byte 2`},
		{"bare exponent", `1e+`, `text ends early at byte 3`},
		{"hexadecimal", `0x10`, `data after the end at byte 1`},
		{"single quotes", `'a'`, `value expected at byte 0`},
		{"raw control character", "\"a\nb\"", `control character in a string at byte 2`},
		{"unknown escape", `"\x41"`, `invalid escape in a string at byte 1`},
		{"short escape", `"\u12"`, `text ends early at byte 6`},
		{"short escape before other text", `"\u12" `, `invalid escape in a string at byte 1`},
		{"escape that ends early", `"\u1`, `text ends early at byte 4`},
		{"escape that is not hexadecimal", `"\u12g4"`, `invalid escape in a string at byte 1`},
		{"invalid UTF-8", "\"abcdefgh\xff\"", `invalid UTF-8 at byte 9`},
		{"stray byte of UTF-8", "\"abcdefg\x80hijklmn\"", `invalid UTF-8 at byte 8`},
		{"overlong UTF-8", "\"\xc0\x80\"", `invalid UTF-8 at byte 1`},
		{"surrogate in UTF-8", "\"\xed\xa0\x80\"", `invalid UTF-8 at byte 1`},
		{"nesting", deep(maxDepth + 1), `nesting too deep at byte 10000`},
		{"repeated name", `{"a":1,"a":1}`, `object that repeats a member name at byte 0`},
		{"repeated name out of order", `[{"a":1,"b":2,"c":3,"b":4}]`, `object that repeats a member name at byte 1`},
		{"repeated name in two spellings", `{"\u0061":1,"a":1}`, `object that repeats a member name at byte 0`},
		{"repeated empty name", `{"":1,"":1}`, `object that repeats a member name at byte 0`},
		{"repeated name deep inside", `{"b":[{"x":{"y":0,"y":0}}],"a":0}`, `object that repeats a member name at byte 11`},
		{"overflow", `[1e400]`, `number beyond the range of a double at byte 1`},
		{"negative overflow", `-1.8e308`, `number beyond the range of a double at byte 0`},
		{"lone surrogate", `"a\ud800"`, `string with a lone surrogate at byte 0`},
		{"lone surrogate in a name", `{"\udc00":1}`, `string with a lone surrogate at byte 1`},
	} {
		for _, d := range dialects {
			got, err := d.Canonical([]byte(c.text))
			want := "invalid value: " + c.want
			if !errors.Is(err, ErrInvalidValue) || err.Error() != want {
				t.Errorf("%s: %v: got %s, error %v; want %s", c.name, d, got, err, want)
			}
		}
	}
	if _, err := Python.Canonical([]byte(deep(maxDepth))); err != nil {
		t.Errorf("nesting of %d: %v", maxDepth, err)
	}
}

// Every byte, wherever the scanner meets it in its stride of eight.
func TestStringBytes(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		for at := range 20 {
			text := []byte(`"` + strings.Repeat("x", 20) + `"`)
			text[1+at] = byte(c)
			if problem := scan(text, false); (problem == nil) != (json.Valid(text) && utf8.Valid(text)) {
				t.Errorf("%q: %v", text, problem)
			}
		}
	}
}

// The TypeScript client copies members by assignment, which for this name sets
// the prototype: it would hash the value without the member.
func TestCanonicalProto(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"a":1,"__proto__":{}}`, `[{"_\u005fproto__":null}]`} {
		if got, err := TypeScript.Canonical([]byte(text)); !errors.Is(err, ErrInvalidValue) {
			t.Errorf("typescript: %s is accepted as %s, error %v", text, got, err)
		}
		if _, err := Python.Canonical([]byte(text)); err != nil {
			t.Errorf("python: %s: %v", text, err)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat(`[`, n) + strings.Repeat(`]`, n) }
	digits := func(n int) string { return "-" + strings.Repeat("7", n) }
	both := map[Dialect]bool{Python: true, TypeScript: true}
	python := map[Dialect]bool{Python: true}
	for _, c := range []struct {
		name, text string
		accepted   map[Dialect]bool
	}{
		{"2^53", `9007199254740992`, both},
		{"-2^53", `[-9007199254740992]`, both},
		{"2^53+1", `9007199254740993`, python},
		{"2^53+2", `9007199254740994`, both},
		{"2^64, printed with other digits", `18446744073709551616`, python},
		{"digits of a double that is another number", `12345678901234567000`, python},
		{"10^15", `1000000000000000`, both},
		{"10^21, printed with an exponent", `1000000000000000000000`, both},
		{"10^23, which is no double", `-100000000000000000000000`, python},
		{"a fraction, which is a double anyway", `0.12345678901234567890123`, both},
		{"an exponent, which makes a double", `12345678901234567890e0`, both},
		{"an integer beyond a double", "1" + strings.Repeat("0", 400), python},
		{"the longest integer", digits(maxIntegerDigits), python},
		{"an integer too long", digits(maxIntegerDigits + 1), nil},
		{"the deepest nesting", deep(maxWrittenDepth), both},
		{"too deep a nesting", deep(maxWrittenDepth + 1), nil},
		{"a repeated name", `{"a":1,"a":1}`, nil},
		{"a lone surrogate", `"\ud800"`, nil},
		{"a pair of surrogates", `"\ud83d\ude00"`, both},
		{"overflow", `1E400`, nil},
	} {
		for _, d := range dialects {
			text, err := d.Encode([]byte(c.text))
			if c.accepted[d] != (err == nil) || err != nil && !errors.Is(err, ErrInvalidValue) {
				t.Errorf("%s: %v: %.40s, error %v", c.name, d, text, err)
			}
		}
	}
}

// What is refused is confidential as much as what is stored.
func TestErrorsDoNotShowValues(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"secret":1,"secret":2}`, `"secret`, `"secret\ud800"`, `secret`, `[1e999,"secret"]`, `"secret" "secret"`,
	} {
		_, err := TypeScript.Canonical([]byte(text))
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "999") {
			t.Errorf("%s: error %v", text, err)
		}
	}
}

func TestUnknownDialect(t *testing.T) {
	t.Parallel()
	if _, err := Dialect(0).Canonical([]byte(`1`)); !errors.Is(err, ErrUnknownDialect) {
		t.Errorf("error %v", err)
	}
	if _, err := ParseDialect("perl"); !errors.Is(err, ErrUnknownDialect) {
		t.Errorf("error %v", err)
	}
	if d, err := ParseDialect("unknown"); err == nil {
		t.Errorf("parsed as %v", d)
	}
	for _, d := range dialects {
		if parsed, err := ParseDialect(d.String()); parsed != d || err != nil {
			t.Errorf("%v parses as %v, error %v", d, parsed, err)
		}
	}
}
