package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/immukv"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		before, after string
		want          []string
	}{
		{`1`, `1`, nil},
		{`1`, `2`, []string{`changed : 1 > 2`}},
		{`1`, `1.0`, []string{`changed : 1 > 1.0`}},
		{`12345678901234567890`, `12345678901234567891`, []string{`changed : 12345678901234567890 > 12345678901234567891`}},
		{`"a"`, `null`, []string{`changed : "a" > null`}},
		{`null`, `null`, nil},
		{`{}`, `[]`, []string{`changed : {} > []`}},
		{`1`, `[]`, []string{`changed : 1 > []`}},
		{`[]`, `1`, []string{`changed : [] > 1`}},
		{`{"a":1,"b":2}`, `{"b":2,"a":1}`, nil},
		{`{"a":1,"b":2}`, `{"b":3,"c":4}`, []string{`removed a: 1 > `, `changed b: 2 > 3`, `added c:  > 4`}},
		{`{"a":{"b":{"c":[1,{"d":true}]}}}`, `{"a":{"b":{"c":[1,{"d":false}]}}}`, []string{`changed a.b.c[1].d: true > false`}},
		{`{"a b":1,"1":2,"":3}`, `{"a b":2,"1":3,"":4}`, []string{`changed [""]: 3 > 4`, `changed ["1"]: 2 > 3`, `changed ["a b"]: 1 > 2`}},
		{`{"a":{"b c":1}}`, `{"a":{"b c":2}}`, []string{`changed a["b c"]: 1 > 2`}},
		{`[1,2,3]`, `[1,3]`, []string{`removed [1]: 2 > `}},
		{`[1,3]`, `[1,2,3]`, []string{`added [1]:  > 2`}},
		{`[1,2,3,4]`, `[4,1,2,3]`, []string{`added [0]:  > 4`, `removed [3]: 4 > `}},
		{`[{"id":1,"x":1},{"id":2,"x":1}]`, `[{"id":1,"x":1},{"id":2,"x":2}]`, []string{`changed [1].x: 1 > 2`}},
		{`[{"id":1,"x":1},{"id":2}]`, `[{"id":0},{"id":1,"x":1},{"id":2}]`, []string{`added [0]:  > {"id": 0}`}},
		{`[[1,2],[3,4]]`, `[[1,2],[3,5]]`, []string{`changed [1][1]: 4 > 5`}},
		{`{"a":null}`, `{}`, []string{`removed a: null > `}},
		{`{}`, `{"a":{"b":[]}}`, []string{`added a:  > {"b": []}`}},
		{`"\u00e4\u202e"`, `"ö"`, []string{"changed : \"ä\u202e\" > \"ö\""}},
	} {
		changes, more, err := diff(t.Context(), []byte(c.before), []byte(c.after))
		var got []string
		for _, c := range changes {
			got = append(got, fmt.Sprintf("%s %s: %s > %s", c.Kind, c.Path, c.Old, c.New))
		}
		if err != nil || more != 0 || strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s and %s: %v\n%s\nwant\n%s", c.before, c.after, err, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// TestLongDifference leaves out most of what two long texts have in common, and none of
// where they differ.
func TestLongDifference(t *testing.T) {
	t.Parallel()
	same := strings.Repeat("ä", 300)
	changes, _, err := diff(t.Context(), []byte(`"`+same+"x"+same+`"`), []byte(`"`+same+"ü"+same+`"`))
	if err != nil || len(changes) != 1 {
		t.Fatalf("%v, %v", changes, err)
	}
	some := strings.Repeat("ä", shared/2)
	if c := changes[0]; c.Old != "…"+some+"x"+some+"…" || c.New != "…"+some+"ü"+some+"…" {
		t.Errorf("%q and %q", c.Old, c.New)
	}
}

// TestLargeDifferences are bounded, and so is the work for them.
func TestLargeDifferences(t *testing.T) {
	t.Parallel()
	array := func(n int, text string) []byte {
		return []byte("[" + strings.TrimSuffix(strings.Repeat(text+",", n), ",") + "]")
	}
	changes, more, err := diff(t.Context(), array(5000, "1"), array(5000, "2"))
	if err != nil || len(changes) != maxChanges || more != 5000-maxChanges {
		t.Errorf("%d changes, %d more, %v", len(changes), more, err)
	}
	// Too long to compare each with each; the ends are the same.
	long := strings.Repeat("1,2,", 20_000)
	changes, more, err = diff(t.Context(), []byte("["+long+`"x",`+long+"0]"), []byte("["+long+`"y",`+long+"0]"))
	if err != nil || len(changes) != 1 || more != 0 || changes[0].Path != "[40000]" {
		t.Errorf("%v, %d more, %v", changes, more, err)
	}
	if _, _, err := diff(t.Context(), array(maxDiffBytes, "1"), array(1, "1")); !errors.Is(err, errTooLarge) {
		t.Errorf("%d elements: %v", maxDiffBytes, err)
	}
	deep := strings.Repeat("[", 9000) + strings.Repeat("]", 9000)
	if changes, _, err := diff(t.Context(), []byte(deep), []byte("1")); err != nil || len(changes) != 1 {
		t.Errorf("a deep value: %v, %v", changes, err)
	}
	for _, text := range []string{`NaN`, `{"a":Infinity}`, `"\ud800`, `"\ud800"`, `{"a":1,"a":1}`, ``, `1 2`} {
		if _, _, err := diff(t.Context(), []byte(text), []byte(`1`)); err == nil {
			t.Errorf("%q is compared", text)
		}
	}
}

// TestHostileDifferences compares values that are made to cost much. The work, the memory
// and what is shown are bounded.
//
//nolint:paralleltest // it counts the bytes that the process allocates
func TestHostileDifferences(t *testing.T) {
	nested := func(levels int, open, inner, end string) string {
		return strings.Repeat(open, levels) + inner + strings.Repeat(end, levels)
	}
	long := strings.Repeat("n", 100_000)
	var names, arrays []string
	for i := range 100 {
		names = append(names, fmt.Sprintf(`"%s%d":X`, long[:5000], i))
	}
	for i := range 1000 {
		var elements []string
		for j := range 500 {
			elements = append(elements, fmt.Sprint((i+j)%9+1, "X"))
		}
		arrays = append(arrays, "["+strings.Join(elements, ",")+"]")
	}
	for name, value := range map[string]string{
		"deep arrays":           nested(9000, "[", "X", "]"),
		"deep objects":          nested(9000, `{"n":`, "X", "}"),
		"long names, nested":    nested(20, `{"`+long+`":`, "X", "}"),
		"long names":            "{" + strings.Join(names, ",") + "}",
		"arrays with siblings":  nested(4000, "["+strings.Repeat("0,", 200), "X", ","+strings.Repeat("1,", 50)+"2]"),
		"objects with siblings": nested(4000, `{"`+long[:200]+`":[`+strings.Repeat("0,", 100)+`0],"n":`, "X", "}"),
		"many arrays":           "[" + strings.Join(arrays, ",") + "]",
		"escapes":               `{"` + strings.Repeat(`\u202e`, 80_000) + `":X}`,
		"a long array":          "[" + strings.Repeat("X,", maxDiffParts-1) + "X]",
		"a longer array":        "[" + strings.Repeat("X,", 1_000_000) + "X]",
		"empty objects":         "[" + strings.Repeat("{},", 500_000) + "X]",
	} {
		before, after := []byte(strings.ReplaceAll(value, "X", "1")), []byte(strings.ReplaceAll(value, "X", "2"))
		d := differ{ctx: t.Context()}
		var start, end runtime.MemStats
		runtime.ReadMemStats(&start)
		err := d.diff(before, after)
		runtime.ReadMemStats(&end)
		allocated := end.TotalAlloc - start.TotalAlloc
		t.Logf("%s: %d bytes each, %d changes and %d more; %d bytes allocated, work %d", name, len(before), len(d.changes), d.more, allocated, d.work)
		if err != nil || len(d.changes) == 0 {
			t.Errorf("%s: %d changes, %v", name, len(d.changes), err)
		}
		if d.work > maxDiffWork {
			t.Errorf("%s: the work is %d", name, d.work)
		}
		if allocated > 128<<20 {
			t.Errorf("%s: %d bytes are allocated", name, allocated)
		}
		shown := 0
		for _, c := range d.changes {
			if len(c.Path) > maxChangeBytes || len(c.Old) > maxChangeBytes || len(c.New) > maxChangeBytes {
				t.Errorf("%s: a change has a path of %d bytes and values of %d and %d", name, len(c.Path), len(c.Old), len(c.New))
			}
			shown += len(c.Path) + len(c.Old) + len(c.New)
		}
		if shown > maxShownDiff+3*maxChangeBytes {
			t.Errorf("%s: %d bytes are shown", name, shown)
		}
	}
}

// TestDifferencesInTime stops when the time for the page is over.
func TestDifferencesInTime(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := differ{ctx: ctx}
	if err := d.diff([]byte(`[1,[1,2]]`), []byte(`[1,[1,3]]`)); !errors.Is(err, errNoTime) || d.work > 0 {
		t.Errorf("%v after work of %d", err, d.work)
	}
}

func FuzzDiff(f *testing.F) {
	for _, text := range []string{`1`, `{"a":[1,2,{"b":"c"}]}`, `[1,2,3]`, `{"a":[2,{"b":"d"}],"c":null}`, `"\ud83d\ude00"`} {
		f.Add(text, text)
		f.Add(text, `[3,2,1]`)
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		changes, _, err := diff(t.Context(), []byte(before), []byte(after))
		back, _, backErr := diff(t.Context(), []byte(after), []byte(before))
		if (err == nil) != (backErr == nil) {
			t.Fatalf("%v, and the other way %v", err, backErr)
		}
		if err != nil {
			return
		}
		a, _ := immukv.Python.Canonical([]byte(before))
		b, _ := immukv.Python.Canonical([]byte(after))
		if same := bytes.Equal(a, b); same != (len(changes) == 0) || same != (len(back) == 0) {
			t.Errorf("same: %t, differences: %v, the other way: %v", same, changes, back)
		}
	})
}
