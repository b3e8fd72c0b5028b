package serve

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/immukv/immukv-go/immukv"
)

// sequences are those of a page's entries, in their order.
func (a *answer) sequences() (all []string) {
	a.Helper()
	for _, n := range a.find("tr") {
		if id := attr(n, "id"); id != "" {
			all = append(all, id[1:])
		}
	}
	return all
}

// TestLog reads the whole log page by page, newest first, also where a page ends within a
// log version of several entries.
func TestLog(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.get("/log").reads("#none", "The log is empty.")
	var want []string
	n := 0
	for round := range 5 {
		var batch []immukv.Write[json.RawMessage]
		for i := range 17 {
			batch = append(batch, immukv.Write[json.RawMessage]{Key: fmt.Sprintf("k%d", i), Value: json.RawMessage(fmt.Sprint(n))})
			n++
		}
		_, err := b.writer.SetAll(t.Context(), batch...)
		b.check(err)
		for range 6 + round {
			b.set("single", fmt.Sprint(n))
			n++
		}
	}
	for i := range n {
		want = append(want, fmt.Sprint(n-1-i))
	}
	a := b.get("/log")
	if got := attr(a.one("#log"), "data-after"); got != fmt.Sprint(n-1) {
		t.Errorf("the page goes on after %s of %d entries", got, n)
	}
	var got []string
	for {
		got = append(got, a.sequences()...)
		if len(a.find("#next")) == 0 {
			break
		}
		if n := len(a.sequences()); n != entriesPerPage {
			t.Errorf("a page has %d entries", n)
		}
		a = a.link("#next")
	}
	if !slices.Equal(got, want) {
		t.Errorf("the pages have %q", got)
	}
	if len(a.find("#live")) > 0 || len(a.find("script")) > 0 {
		t.Error("a page of old entries is live")
	}
	a.link("#first").one("#live")
	for _, sequence := range []int{0, 1, 16, 17, 22, 23, 60, n - 1} {
		a := b.get(fmt.Sprintf("/log?sequence=%d", sequence))
		if got, want := a.sequences(), want[n-1-sequence:min(n, n-1-sequence+entriesPerPage)]; !slices.Equal(got, want) {
			t.Errorf("from sequence %d: %q", sequence, got)
		}
	}
	for path, status := range map[string]int{"sequence=9999": 404, "sequence=-1": 400, "sequence=x": 400, "version=nothing&below=3": 404, "version=v&below=": 400} {
		if a := b.do("GET", "/log?"+path); a.status != status {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}

// TestLogByDate finds the newest entry up to a date, at every place of a log of several
// pages of the listing, with a number of requests that grows with these pages.
func TestLogByDate(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	const n = 2300
	first := b.now.Add(time.Minute)
	for i := range n {
		b.set("k", fmt.Sprint(i)) // at 09:01 and a minute later each
	}
	b.now = b.now.AddDate(0, 0, 5)
	b.set("k", `"later"`)
	for _, i := range []int{0, 1, 2, 299, 300, 301, 1299, 1300, 1301, n - 2, n - 1} {
		before := b.tap.requests()
		a := b.get("/log?" + url.Values{"date": {formatTime(first.Add(time.Duration(i)*time.Minute + 30*time.Second))}}.Encode())
		if got := a.sequences(); got[0] != fmt.Sprint(i) {
			t.Errorf("entry %d: the page begins with %s", i, got[0])
		}
		if requests := b.tap.requests() - before; requests > 3+12+entriesPerPage+10 {
			t.Errorf("entry %d: %d requests", i, requests)
		}
	}
	if a := b.get("/log?date=" + first.AddDate(0, 0, 2).Format(time.DateOnly)); a.sequences()[0] != fmt.Sprint(n-1) {
		t.Errorf("a day between: %q", a.sequences())
	}
	if a := b.get("/log?date=2031-01-01"); a.sequences()[0] != fmt.Sprint(n) {
		t.Errorf("a day to come: %q", a.sequences())
	}
	b.get("/log?date=2001-01-01").reads("#none", "no such entry")
	if a := b.do("GET", "/log?date=soon"); a.status != http.StatusBadRequest {
		t.Errorf("no date: %d", a.status)
	}
}
