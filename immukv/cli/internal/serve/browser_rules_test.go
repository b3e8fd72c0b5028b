package serve_test

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/cli/internal/serve/chromium"
)

// rules returns what is wrong with a page for those who read it, as a list of texts.
//
//go:embed testdata/rules.js
var rules string

// testRules holds every page to what makes it readable: enough contrast, in light and in
// dark, nothing beyond the edge of a narrow window, one heading, landmarks, names.
func (v *visitor) testRules() {
	dir := v.TempDir()
	store := fileURL(dir)
	v.fill(store, func(db *immukv.Client[json.RawMessage]) {
		for i := range 30 {
			v.set(db, "sensor-with-a-rather-long-name/that/does/not/break-0123456789abcdef", fmt.Sprintf(`{"alpha":0.%d,"list":[1,2,3],"text":"a text that goes on for a while, as texts do"}`, i))
			v.set(db, fmt.Sprint("k", i), `{"bidi":"\u202e"}`)
		}
		for _, text := range hostile {
			v.set(db, keyOf(text), quote(text))
		}
		v.set(db, "long", quote(fmt.Sprintf("%0500d", 7)))
		v.set(db, "gone", `{"kept":1,"old":true}`)
		v.set(db, "gone", `{"kept":2,"new":[]}`)
	})
	v.seal(store)
	if _, code := v.exit("--store", store, "demo-crash", "gone", "3"); code == 0 {
		v.Fatal("the writer that was to die did not")
	}
	v.tamper(dir, `"kept":1`, `"kept":7`)
	v.serve(store)
	v.visit("/trust")
	v.click("#audit")
	v.until(`document.querySelector("#findings")`)
	for _, path := range []string{
		"/keys", "/keys?prefix=none", "/keys?after=k", "/key?key=gone&at=2026-03-03",
		"/key?key=sensor-with-a-rather-long-name%2Fthat%2Fdoes%2Fnot%2Fbreak-0123456789abcdef", "/key?key=long",
		"/log", "/log?sequence=12", "/trust", "/nothing", "/key?key=never", "/log?sequence=x",
	} {
		for _, look := range []chromium.Look{{}, {Dark: true}, {Width: 400, Height: 800}, {Width: 320, Height: 600, Dark: true}} {
			v.show(look)
			if status := v.status(path); status != http.StatusOK {
				v.expect(chromium.Network)
			}
			// What is folded is to be read as well.
			eval[bool](v, `document.querySelectorAll("details").forEach(d => { d.open = true }), true`)
			if wrong := eval[[]string](v, rules); len(wrong) > 0 {
				v.Errorf("%s, %+v: %d things are wrong:\n%s", path, look, len(wrong), strings.Join(wrong[:min(len(wrong), 8)], "\n"))
			}
		}
	}
}
