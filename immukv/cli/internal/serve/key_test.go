package serve

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/immukv/tlog"
)

// TestHistory reads a history that fills several pages: each version once, newest first,
// and compared with the one before it, also across pages.
func TestHistory(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	const n = 2*versionsPerPage + 5
	var want []string
	for i := range n {
		b.set("k", fmt.Sprintf(`{"n":%d,"same":true}`, i))
		b.set("other", `1`)
		want = append(want, fmt.Sprintf("v%d", 2*i))
	}
	slices.Reverse(want)
	var got []string
	a := b.get("/key?key=k")
	for {
		for _, item := range a.find("li") {
			if id := attr(item, "id"); id != "" {
				got = append(got, id)
			}
		}
		if len(a.find("#next")) == 0 {
			break
		}
		if n := len(a.find("table.diff")); n != versionsPerPage {
			t.Errorf("%d of %d versions of a page have differences", n, versionsPerPage)
		}
		a = a.link("#next")
	}
	if !slices.Equal(got, want) {
		t.Errorf("the pages have %q", got)
	}
	a.reads("#history", "First value", "n changed 3 4")
	a.link("#first").reads("#history", `{"n": 44, "same": true}`)
	if strings.Contains(a.text("table.diff"), "same") {
		t.Errorf("what did not change is shown as a difference: %s", a.text("table.diff"))
	}
}

// TestVersions shows the kinds of versions that have no differences to show.
func TestVersions(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.set("k", `{"a":[1,2,3]}`)
	b.set("k", `{"a":[1,2,3]}`)
	b.set("k", `"text"`)
	a := b.get("/key?key=k")
	a.reads("#history", "First value", "The same value again", `value changed {"a": [1, 2, 3]} "text"`)
	if a := b.do("GET", "/key?key=nothing"); a.status != http.StatusNotFound {
		t.Errorf("a key that was never set: %d", a.status)
	}
	if a := b.do("GET", "/key?key=k&before=nothing"); a.status == http.StatusOK {
		t.Errorf("before a version that there is not: %d\n%s", a.status, a.text("#main"))
	}
}

// TestAsOf asks for the value at a moment: the writer's clock goes on by a minute with
// each entry.
func TestAsOf(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	for i := range 3 {
		b.set("k", fmt.Sprintf(`"value %d"`, i)) // at 09:01, 09:02, 09:03
	}
	for moment, want := range map[string]string{
		"2026-11-24+09:02": "value 1", "2026-11-24T09:02": "value 1", "2026-11-24T09:02:30": "value 1", "2026-11-24T10:02:30%2B01:00": "value 1",
		"2026-11-24+09:02:59.999": "value 1", "2026-11-24+09:03:00.000+UTC": "value 2", "2026-11-24T09:01:00Z": "value 0", "2026-11-25": "value 2",
		"2026-11-24": "The key had no value yet.", "2026-11-24+09:00": "The key had no value yet.",
	} {
		b.get("/key?key=k&at="+moment).reads("#asof-result", want)
	}
	for _, moment := range []string{"yesterday", "2026", "09:00"} {
		if a := b.do("GET", "/key?key=k&at="+moment); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d", moment, a.status)
		}
	}
}

// TestProof downloads proofs. They are the bytes that tlog.Prove returns.
func TestProof(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.set("plant/7 ü", `{"a":1}`)
	b.set("k", `2`)
	if a := b.get("/key?key=k"); len(a.find("a.proof")) > 0 {
		t.Error("a proof is offered, and the log is not sealed")
	}
	a := b.do("GET", "/key/proof?key=k&sequence=1")
	if a.status != http.StatusNotFound {
		t.Errorf("not sealed: %d", a.status)
	}
	a.reads("#error", "not sealed")
	verifier := b.seal()
	b.set("k", `3`)
	policy, err := tlog.NewPolicy(verifier)
	b.check(err)
	a = b.get("/key?key=plant/7+%C3%BC").link("a.proof")
	want, err := tlog.ProveKeyAt(t.Context(), b.writer, "plant/7 ü", 0)
	b.check(err)
	if !bytes.Equal(a.body, want) {
		t.Errorf("the proof is\n%s\nwant\n%s", a.body, want)
	}
	e, _, err := tlog.CheckProof(a.body, policy)
	if err != nil || e.Key != "plant/7 ü" {
		t.Errorf("the proof does not hold: %v", err)
	}
	if got := a.header.Get("Content-Disposition"); got != `attachment; filename=plant_7__-0.tlog-proof` {
		t.Errorf("it is to be saved as %s", got)
	}
	if links := b.get("/key?key=k").find("a.proof"); len(links) != 1 {
		t.Errorf("%d proofs are offered, of which one entry is sealed", len(links))
	}
	for path, want := range map[string]string{"sequence=2": "not sealed yet", "sequence=0": "Not found", "sequence=x": "no sequence", "sequence=9": ""} {
		a := b.do("GET", "/key/proof?key=k&"+path)
		if a.status < 400 || a.header.Get("Content-Disposition") != "" {
			t.Errorf("%s: %d", path, a.status)
		}
		a.reads("#error", want)
	}
}

// TestLargeValue cuts a value of a megabyte, in each list and on its own page, and serves
// it whole as text.
func TestLargeValue(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	large := func(end string) string { return `{"text":"` + strings.Repeat("a long text ", 90_000) + end + `"}` }
	b.set("k", large("one"))
	e := b.set("k", large("two"))
	for _, path := range []string{"/keys", "/log", "/key?key=k"} {
		a := b.get(path)
		if len(a.body) > 100_000 {
			t.Errorf("%s has %d bytes", path, len(a.body))
		}
		a.reads("#main", "a long text", "…")
	}
	a := b.get("/key?key=k")
	// The difference is at the end, behind what is cut.
	a.reads("table.diff", "long text one", "long text two")
	a = b.get(attr(a.find("a.whole")[0], "href"))
	if !bytes.Equal(a.body, e.JSON) {
		t.Errorf("the whole value has %d bytes, want %d", len(a.body), len(e.JSON))
	}
	if got := a.header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
		t.Errorf("its type is %s", got)
	}
	if a := b.do("GET", "/key/value?key=k&sequence=7"); a.status != http.StatusNotFound {
		t.Errorf("a sequence that is not of the key: %d", a.status)
	}
}
