package serve

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/cli/internal/invisible"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// everyPath is each page there is, and what pages load, of a store with the key "k" whose
// newest entry has sequence 1.
var everyPath = []string{
	"/keys", "/keys?prefix=k", "/keys?after=k", "/key?key=k", "/key?key=k&at=2026-11-24", "/key/value?key=k&sequence=1",
	"/key/proof?key=k&sequence=0", "/log", "/log?sequence=1", "/log?date=2026-11-24", "/trust",
	"/static/style.css", "/static/log.js", "/static/trust.js", "/static/icon.svg",
}

// seal seals the log and returns the key that checks it.
func (b *bench) seal() (verifier string) {
	b.Helper()
	private, verifier, err := tlog.GenerateKey("example.com/plant-7")
	b.check(err)
	b.sealWith(private)
	return verifier
}

func (b *bench) sealWith(private string, opts ...tlog.SealOption) {
	b.Helper()
	signer, err := tlog.NewSigner(private)
	b.check(err)
	_, err = tlog.Seal(b.Context(), b.writer, signer, opts...)
	b.check(err)
}

// TestPages holds every page to what all have: one of each landmark, IDs that are
// unique, a label for each field, and nothing that the content policy would stop.
func TestPages(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.set("k", `{"a":1}`)
	b.set("k", `{"a":[1,2,{"b":null}]}`)
	b.seal()
	paths := append(everyPath, "/nothing", "/key?key=nothing", "/log?sequence=x", "/keys?prefix=zzz", "/log?sequence=99")
	pages := 0
	for _, path := range paths {
		a := b.do("GET", path)
		if !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			if a.status != http.StatusOK {
				t.Errorf("%s: %d", path, a.status)
			}
			continue
		}
		pages++
		checkPage(a)
	}
	if pages < 13 {
		t.Errorf("it saw %d pages", pages)
	}
}

func checkPage(a *answer) {
	a.Helper()
	for _, selector := range []string{"title", "h1", "main#main", "header", "nav#site", "footer", "a.skip"} {
		a.one(selector)
	}
	if lang := attr(a.one("html"), "lang"); lang != "en" {
		a.Errorf("%s: its language is %q", a.path, lang)
	}
	ids := make(map[string]bool)
	labelled := make(map[string]bool)
	for _, n := range a.find("") {
		if id := attr(n, "id"); id != "" {
			if ids[id] {
				a.Errorf("%s: the ID %q is there twice", a.path, id)
			}
			ids[id] = true
		}
		if n.Data == "label" {
			labelled[attr(n, "for")] = true
		}
		for _, at := range n.Attr {
			if strings.HasPrefix(at.Key, "on") || at.Key == "style" {
				a.Errorf("%s: <%s %s=%q>", a.path, n.Data, at.Key, at.Val)
			}
			if strings.HasPrefix(at.Key, "aria-") && (strings.HasSuffix(at.Key, "by")) {
				for id := range strings.FieldsSeq(at.Val) {
					if len(a.find("#"+id)) != 1 {
						a.Errorf("%s: %s names %q", a.path, at.Key, id)
					}
				}
			}
			if (at.Key == "src" || at.Key == "href" || at.Key == "action") && !strings.HasPrefix(at.Val, "/") && !strings.HasPrefix(at.Val, "#") {
				a.Errorf("%s: %s leads to %q", a.path, at.Key, at.Val)
			}
		}
		if n.Data == "style" || n.Data == "script" && n.FirstChild != nil {
			a.Errorf("%s: inline %s", a.path, n.Data)
		}
	}
	for _, n := range a.find("input") {
		if attr(n, "type") != "hidden" && !labelled[attr(n, "id")] {
			a.Errorf("%s: no label for %q", a.path, attr(n, "id"))
		}
	}
	for _, n := range a.find("th") {
		if attr(n, "scope") == "" {
			a.Errorf("%s: a heading of a table without scope: %s", a.path, textOf(n))
		}
	}
}

// hostile are texts that would do harm as markup, or look like another text.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `</pre></title><b id="main">`, `' onclick='alert(1)`, `javascript:alert(1)`,
	"\u202eabc\u2066", "a\u200bb\ufeff", "\u00a0", "x\r\n\ty", "\x1b[31m", "{{.Title}}", "&lt;b&gt;",
}

// TestHostile shows hostile texts as keys, as values, as names of members, and in
// differences: the page has the elements that it has for harmless ones, and no character
// that is not seen.
func TestHostile(t *testing.T) {
	t.Parallel()
	for _, text := range hostile {
		b := newBench(t, nil)
		harmless := newBench(t, nil)
		for _, c := range []struct {
			*bench
			text string
		}{{b, text}, {harmless, "harmless"}} {
			quoted := string(compact(c.text))
			c.set(c.text, `{"a":1}`)
			c.set(c.text, quoted)
			c.set(c.text, `{`+quoted+`:[`+quoted+`]}`)
		}
		key := url.Values{"key": {text}, "prefix": {text}, "at": {text}, "date": {text}, "sequence": {text}}
		with := func(name string) string { return "?" + url.Values{name: key[name]}.Encode() }
		for path, plain := range map[string]string{
			"/keys" + with("prefix"): "/keys?prefix=harmless", "/key" + with("key"): "/key?key=harmless", "/log": "/log", "/trust": "/trust",
			"/key" + with("key") + "&" + with("at")[1:]: "/key?key=harmless&at=harmless",
			"/log" + with("date"):                       "/log?date=harmless", "/log" + with("sequence"): "/log?sequence=harmless",
		} {
			got, want := b.do("GET", path), harmless.do("GET", plain)
			if got.status != want.status {
				t.Errorf("%s: %d, want %d", path, got.status, want.status)
			}
			if g, w := elements(got), elements(want); g != w {
				t.Errorf("%s has the elements\n%s\nand one with harmless text\n%s", path, g, w)
			}
			if text := got.text("html"); strings.ContainsFunc(strings.ReplaceAll(text, "\u202f", ""), invisible.Is) {
				t.Errorf("%s has characters that nobody sees: %q", path, text)
			}
		}
	}
}

// elements are the names of a page's elements, but for the escapes in texts.
func elements(a *answer) string {
	var names []string
	for _, n := range a.find("") {
		if attr(n, "class") != "escape" {
			names = append(names, n.Data)
		}
	}
	return strings.Join(names, " ")
}

// TestEveryTextIsShown finds hostile texts on the pages, as they are or with escapes.
func TestEveryTextIsShown(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.set(`<script>`, `{"<i>":"\u202eabc<b>"}`)
	b.get("/keys").reads("#keys", `<script>`, `{"<i>":"\u202eabc<b>"}`)
	b.get("/log").reads("#entries", `<script>`, `{"<i>":"\u202eabc<b>"}`)
	b.get("/key?key=%3Cscript%3E").reads("#history", `{"<i>": "\u202eabc<b>"}`)
	b.get("/key?key=%3Cscript%3E").reads("h1", `<script>`)
	var escape *html.Node
	for _, n := range b.get("/keys").find("span.escape") {
		escape = n
	}
	if escape == nil || textOf(escape) != `\u202e` || attr(escape, "title") != "U+202E" {
		t.Errorf("the mark is not shown as an escape: %v", escape)
	}
}

// TestManyFindings shows as many findings as have room, and how many more there are.
func TestManyFindings(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	const n = 500
	report := &immukv.Report{MoreFindings: 3}
	for range n {
		report.Findings = append(report.Findings, immukv.Finding{Kind: immukv.BrokenLink, Detail: strings.Repeat("x", 3000)})
	}
	b.server.jobs.last = &job{kind: verifyJob, report: report}
	a := b.get("/trust")
	shown := len(a.find("li.finding"))
	if shown == 0 || shown > maxShownFindings/3000+1 || len(a.body) > 2*maxShownFindings {
		t.Errorf("%d findings are shown in %d bytes", shown, len(a.body))
	}
	a.reads("#report", fmt.Sprintf("and %d more findings", n-shown+3))
	checkPage(a)
}

// TestHostileDocuments reads documents with fields of any length, of characters that take
// many bytes on a page. No page is much longer for it.
func TestHostileDocuments(t *testing.T) {
	t.Parallel()
	for _, field := range []string{"key", "hash", "previous_version_id", "log_version_id", "write_id"} {
		b := newBench(t, func(config *Config) { config.Logger = nil }) // which gets the texts as they are
		for range 3 {
			b.set("k", `1`)
		}
		b.tap.change = func(name string, body []byte) []byte {
			var document map[string]any
			if json.Unmarshal(body, &document) != nil {
				return body
			}
			document[field] = strings.Repeat("\u00ad", 100_000)
			changed, err := json.Marshal(document)
			b.check(err)
			return changed
		}
		b.do("POST", "/trust/audit")
		b.server.jobs.wg.Wait()
		for _, path := range []string{"/keys", "/key?key=k", "/log", "/trust"} {
			a := b.do("GET", path)
			// Each text of a page takes at most 64 bytes for each character of two.
			if texts := 16; len(a.body) > texts*maxTextBytes*32 {
				t.Errorf("a long %s: %s has %d bytes", field, path, len(a.body))
			}
		}
	}
}
