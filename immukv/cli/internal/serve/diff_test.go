package serve

import (
	"errors"
	"fmt"
	"strings"
	"testing"
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
		changes, more, err := diff([]byte(c.before), []byte(c.after))
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
	changes, _, err := diff([]byte(`"`+same+"x"+same+`"`), []byte(`"`+same+"ü"+same+`"`))
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
	changes, more, err := diff(array(5000, "1"), array(5000, "2"))
	if err != nil || len(changes) != maxChanges || more != 5000-maxChanges {
		t.Errorf("%d changes, %d more, %v", len(changes), more, err)
	}
	// Too long to compare each with each; the ends are the same.
	long := strings.Repeat("1,2,", 20_000)
	changes, more, err = diff([]byte("["+long+`"x",`+long+"0]"), []byte("["+long+`"y",`+long+"0]"))
	if err != nil || len(changes) != 1 || more != 0 || changes[0].Path != "[40000]" {
		t.Errorf("%v, %d more, %v", changes, more, err)
	}
	if _, _, err := diff(array(maxDiffBytes, "1"), array(1, "1")); !errors.Is(err, errTooLarge) {
		t.Errorf("%d elements: %v", maxDiffBytes, err)
	}
	deep := strings.Repeat("[", 9000) + strings.Repeat("]", 9000)
	if changes, _, err := diff([]byte(deep), []byte("1")); err != nil || len(changes) != 1 {
		t.Errorf("a deep value: %v, %v", changes, err)
	}
	for _, text := range []string{`NaN`, `{"a":Infinity}`, `"\ud800`, ``, `1 2`} {
		if _, _, err := diff([]byte(text), []byte(`1`)); err == nil {
			t.Errorf("%q is compared", text)
		}
	}
}

func FuzzDiff(f *testing.F) {
	for _, text := range []string{`1`, `{"a":[1,2,{"b":"c"}]}`, `[1,2,3]`, `{"a":[2,{"b":"d"}],"c":null}`, `"\ud83d\ude00"`} {
		f.Add(text, text)
		f.Add(text, `[3,2,1]`)
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		changes, _, err := diff([]byte(before), []byte(after))
		back, _, backErr := diff([]byte(after), []byte(before))
		if (err == nil) != (backErr == nil) {
			t.Fatalf("%v, and the other way %v", err, backErr)
		}
		if err != nil {
			return
		}
		a, _ := parse([]byte(before))
		b, _ := parse([]byte(after))
		if same := string(compact(a)) == string(compact(b)); same != (len(changes) == 0) || same != (len(back) == 0) {
			t.Errorf("same: %t, differences: %v, the other way: %v", same, changes, back)
		}
	})
}
