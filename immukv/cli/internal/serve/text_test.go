package serve

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func TestVisible(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                   "",
		"plain <b> ä 🏭":      "plain <b> ä 🏭",
		"\u202eabc\u2066":    `[\u202e U+202E]abc[\u2066 U+2066]`,
		"a\u200bb":           `a[\u200b U+200B]b`,
		"\u00a0":             `[\u00a0 U+00A0]`,
		"a\nb\tc":            `a[\n U+000A]b[\t U+0009]c`,
		"\x00\x1b[31m\x7f":   `[\x00 U+0000][\x1b U+001B][31m[\x7f U+007F]`,
		"\xff\xc3":           `[\xff not UTF-8][\xc3 not UTF-8]`,
		"\ufeff\u00ad":       `[\ufeff U+FEFF][\u00ad U+00AD]`,
		"\U000e0041":         `[\U000e0041 U+E0041]`,
		"\u2028":             `[\u2028 U+2028]`,
		"\ufffd":             "\ufffd",
		"שלום":               "שלום",
		"'\\":                `'\`,
		"\u0007'":            `[\a U+0007]'`,
		"line\u0085feed":     `line[\u0085 U+0085]feed`,
		"\u3164\u2800\ufe0f": `[\u3164 U+3164][\u2800 U+2800][\ufe0f U+FE0F]`,
		"\U0001f3ed\u200d":   `🏭[\u200d U+200D]`,
		"e\u0301":            "e\u0301",
		"\u061c\u200e\u200f": `[\u061c U+061C][\u200e U+200E][\u200f U+200F]`,
	} {
		if got := spell(visible(text)); got != want {
			t.Errorf("%q is shown as %s, want %s", text, got, want)
		}
	}
	if got, want := spell(visibleLines("a\r\n\tb\u202e")), "a[\\r U+000D]\n\tb[\\u202e U+202E]"; got != want {
		t.Errorf("lines are shown as %q, want %q", got, want)
	}
}

// TestLongText cuts a text, and says how much is missing.
func TestLongText(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("x", maxTextBytes)
	if got := spell(visible(text)); got != text {
		t.Errorf("%q is shown as %q", text, got)
	}
	if got, want := spell(visible(text+"…x")), text+"[… 4 bytes more]"; got != want {
		t.Errorf("it is shown as %q", got)
	}
}

func spell(pieces []piece) string {
	var b strings.Builder
	for _, p := range pieces {
		if p.Escape == "" {
			b.WriteString(p.Text)
		} else {
			b.WriteString("[" + p.Text + " " + p.Escape + "]")
		}
	}
	return b.String()
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text  string
		limit int
		want  string
		left  int
	}{{"abc", 3, "abc", 0}, {"abcd", 3, "abc", 1}, {"aää", 4, "aä", 2}, {"🏭🏭", 7, "🏭", 4}, {"\xff\xff\xff\xff\xff\xff", 5, "\xff\xff\xff\xff\xff", 1}} {
		if got, left := cut(c.text, c.limit); got != c.want || left != c.left {
			t.Errorf("cut(%q, %d) = %q, %d", c.text, c.limit, got, left)
		}
	}
}

func TestPretty(t *testing.T) {
	t.Parallel()
	long := `"` + strings.Repeat("x", 40) + `"`
	for value, want := range map[string]string{
		`1`:                           `1`,
		`"a, b: [c"`:                  `"a, b: [c"`,
		`{"a":1,"b":[1,2]}`:           `{"a": 1, "b": [1, 2]}`,
		`{}`:                          `{}`,
		`[` + long + `,` + long + `]`: "[\n  " + long + ",\n  " + long + "\n]",
		`{"b":` + long + `,"a":{"c":[` + long + `,` + long + `]}}`: "{\n  \"b\": " + long + ",\n  \"a\": {\n    \"c\": [\n      " + long + ",\n      " + long + "\n    ]\n  }\n}",
		`{"n":12345678901234567890.10}`:                            `{"n": 12345678901234567890.10}`,
		`"\u00e4\ud83c\udfed\u202e"`:                               "\"ä🏭\u202e\"",
		`"\u0022\u005c\u0000\n\ud800"`:                             `"\u0022\u005c\u0000\n\ud800"`,
		`"\\u00e4"`:                                                `"\\u00e4"`,
		`NaN`:                                                      `NaN`,
		`{"a":1`:                                                   `{"a":1`,
	} {
		if got := pretty([]byte(value), len(want)); got != want {
			t.Errorf("%s is shown as\n%s\nwant\n%s", value, got, want)
		}
	}
}

// TestPrettyLimit indents no more than is shown: a value may be many times as long then.
func TestPrettyLimit(t *testing.T) {
	t.Parallel()
	const levels = maxIndent - 1
	value := strings.Repeat("[", levels) + "[" + strings.Repeat(`[1],`, 100_000) + "1]" + strings.Repeat("]", levels)
	const limit, ends = 1000, (maxIndent + 1) * lineWidth // of the levels that are open
	if got := pretty([]byte(value), limit); len(got) <= limit || len(got) > limit+ends {
		t.Errorf("%d bytes are shown in %d bytes", len(value), len(got))
	}
}

// FuzzPretty holds what is shown to the same value, with its members in the same order.
func FuzzPretty(f *testing.F) {
	for _, text := range []string{`1`, `{"a":[1,2,{"b":"c"}]}`, `"\u00e4"`, `[[[[]]],{}]`, `"a\"b,:"`, strings.Repeat("[", 200) + strings.Repeat("]", 200)} {
		f.Add(text)
		f.Add(`["` + strings.Repeat("x", 100) + `",` + text + `]`)
	}
	f.Fuzz(func(t *testing.T, text string) {
		shown := pretty([]byte(text), math.MaxInt)
		var b, again bytes.Buffer
		if json.Compact(&b, []byte(text)) != nil {
			if shown != text {
				t.Errorf("%q is shown as %q", text, shown)
			}
			return
		}
		if err := json.Compact(&again, []byte(shown)); err != nil || again.String() != readable(b.String()) {
			t.Errorf("%q is shown as %q: %v", text, shown, err)
		}
		var want, got any
		if json.Unmarshal([]byte(text), &want) == nil {
			if err := json.Unmarshal([]byte(shown), &got); err != nil || string(compact(got)) != string(compact(want)) {
				t.Errorf("%q is shown as %q: %v", text, shown, err)
			}
		}
	})
}
