package blobstore

import (
	"path"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/immukv/immukv-go/backend"
)

func TestPath(t *testing.T) {
	for name, want := range map[string]string{
		"a":                               "a!",
		"_log.json":                       "=5flog.2ejson!",
		"keys/sensor-012352.json":         "keys.2fsensor-012352.2ejson!",
		"../x":                            ".2e.2e.2fx!",
		"CON":                             "=43=4f=4e!",
		"nul":                             "nul!",
		"a b":                             "a,20b!",
		"!":                               ",21!",
		"é":                               "~c3~a9!",
		strings.Repeat("a", partBytes):    strings.Repeat("a", partBytes) + "!",
		strings.Repeat("a", partBytes+1):  strings.Repeat("a", partBytes) + "+/a!",
		strings.Repeat("/", partBytes/3):  strings.Repeat(".2f", partBytes/3) + "!",
		strings.Repeat("/", partBytes):    strings.Repeat(".2f", partBytes)[:128] + "+/" + strings.Repeat(".2f", partBytes)[128:256] + "+/" + strings.Repeat(".2f", partBytes)[256:] + "!",
		strings.Repeat("a", partBytes*2):  strings.Repeat("a", partBytes) + "+/" + strings.Repeat("a", partBytes) + "!",
		strings.Repeat("\xff", partBytes): strings.Repeat("~ff", partBytes)[:128] + "+/" + strings.Repeat("~ff", partBytes)[128:256] + "+/" + strings.Repeat("~ff", partBytes)[256:] + "!",
	} {
		if got := joinPath(pathOf(name)); got != want {
			t.Errorf("%q: path %q, want %q", name, got, want)
		}
	}
}

// nameBytes are drawn with a liking for what is at the edge of a class of the
// encoding, and for what file systems treat specially.
var nameBytes = rapid.SampledFrom([]byte("\x00\x1f !+,-./09:=@AZ[_`az{~\x7f\x80\xc3\xff"))

// drawName draws any string: names, and what listings may be asked to start after.
var drawName = rapid.Custom(func(t *rapid.T) string {
	if rapid.Bool().Draw(t, "short") {
		return string(rapid.SliceOfN(nameBytes, 0, 6).Draw(t, "name"))
	}
	// Long ones are alike up to where parts are cut.
	same := strings.Repeat(string(rapid.SliceOfN(nameBytes, 1, 3).Draw(t, "unit")), 400)
	cut := rapid.IntRange(0, backend.MaxNameBytes-10).Draw(t, "cut")
	return same[:min(cut, len(same))] + string(rapid.SliceOfN(nameBytes, 0, 10).Draw(t, "end"))
})

// TestOrder: paths compare as names do, both as the keys of a bucket and as the
// entries of directories, part by part; and prefixes are prefixes.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawName.Draw(t, "a")
		b := drawName.Draw(t, "b")
		if rapid.Bool().Draw(t, "begin alike") {
			b = a[:rapid.IntRange(0, len(a)).Draw(t, "so far")] + b
		}
		want := strings.Compare(a, b)
		pa, pb := pathOf(a), pathOf(b)
		if got := strings.Compare(keyOf(joinPath(pa), 1), keyOf(joinPath(pb), 1)); got != want {
			t.Errorf("as keys: %q and %q compare %d, and their names %d", joinPath(pa), joinPath(pb), got, want)
		}
		if got := slices.Compare(pa, pb); got != want {
			t.Errorf("as parts: %q and %q compare %d, and their names %d", pa, pb, got, want)
		}
		parts, rest := cut(encode(a))
		begin := joinPath(append(parts, rest))
		if got, want := strings.HasPrefix(joinPath(pb), begin), strings.HasPrefix(b, a); got != want {
			t.Errorf("%q begins with %q: %v, and their names: %v", joinPath(pb), begin, got, want)
		}
	})
}

// TestPathShape: a path stands for one name, and is one that every file system
// can hold.
func TestPathShape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := drawName.Filter(func(s string) bool { return backend.CheckName(s) == nil }).Draw(t, "name")
		parts := pathOf(name)
		if back, ok := nameOf(parts); !ok || back != name {
			t.Fatalf("%q came back as %q, %v", name, back, ok)
		}
		for _, part := range parts {
			if !isPart(part) || len(part) > 143 || strings.ToLower(part) != part || strings.HasSuffix(part, ".") || strings.ContainsAny(part, `/\:*?"<>|`) {
				t.Errorf("%q is not a good part", part)
			}
		}
		if joined := joinPath(parts); path.Clean("/"+joined) != "/"+joined {
			t.Errorf("%q is not a plain path", joined)
		}
	})
}

// FuzzNameOf: no path but that of a name is taken for one.
func FuzzNameOf(f *testing.F) {
	for _, seed := range []string{"a!", "a.2fb!", ".2E!", "=61!", "~ff!", "!", "..!", "a+/b!", strings.Repeat("a", partBytes) + "+/b!", strings.Repeat("a", partBytes) + "+/!"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, joined string) {
		name, ok := nameOf(strings.Split(joined, "/"))
		if !ok {
			return
		}
		if backend.CheckName(name) != nil || joinPath(pathOf(name)) != joined {
			t.Errorf("%q is taken for the path of %q, which is %q", joined, name, joinPath(pathOf(name)))
		}
	})
}

func TestNumberOfBase(t *testing.T) {
	for _, n := range []int64{1, 2, 9, 10, 99_999, 1e9, maxNumber - 1} {
		if got, ok := numberOfBase(baseOf(n)); !ok || got != n {
			t.Errorf("%d came back as %d, %v", n, got, ok)
		}
		if baseOf(n) <= baseOf(n+1) {
			t.Errorf("%s does not stand below %s", baseOf(n+1), baseOf(n))
		}
	}
	for _, base := range []string{"", ".", "latest", "9999999999999996.v4", "9999999999999996.v3.tmp", "9999999999999996.3",
		"999999999999996.v3", "9999999999999996.v03", "9999999999999999.v0", "0000000000000000.v9999999999999999", "9999999999999996.v+3"} {
		if n, ok := numberOfBase(base); ok {
			t.Errorf("%q is taken for version %d", base, n)
		}
	}
}
