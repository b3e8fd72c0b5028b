package serve_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/cli/internal/serve/chromium"
)

// focused describes the element that has the focus, and how a person sees that: by an
// outline of two pixels or more, within the window.
const focused = `(() => {
	const e = document.activeElement;
	if (!e || e === document.body) return {name: "", seen: true};
	const s = getComputedStyle(e), r = e.getBoundingClientRect();
	return {
		name: e.tagName.toLowerCase() + (e.id ? "#" + e.id : "") + " " + (e.innerText || e.value || e.getAttribute("aria-label") || "").trim().slice(0, 40),
		seen: s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 &&
			r.width > 0 && r.height > 0 && r.bottom > 0 && r.top < innerHeight && r.right > 0 && r.left < innerWidth,
		index: [...document.querySelectorAll("*")].indexOf(e),
	};
})()`

// usable are the elements that the keyboard must reach.
const usable = `[...document.querySelectorAll("a[href], button, input:not([type=hidden]), summary, [tabindex='0']")]
	.filter(e => !e.disabled && e.checkVisibility({visibilityProperty: true})).length`

type focus struct {
	Name  string
	Seen  bool
	Index int
}

// walk goes through a page by the tabulator, from its beginning to its end.
func (v *visitor) walk(path string) []focus {
	v.Helper()
	v.visit(path)
	var stops []focus
	for {
		v.press("\t")
		f := eval[focus](v, focused)
		if f.Name == "" || len(stops) > 0 && f.Index == stops[0].Index {
			return stops
		}
		if stops = append(stops, f); len(stops) > 500 {
			v.Fatalf("%s: the tabulator finds no end", path)
		}
	}
}

// testKeyboard uses the pages without a mouse.
func (v *visitor) testKeyboard() {
	store := v.newStore()
	v.fill(store, func(db *immukv.Client[json.RawMessage]) {
		for i := range 60 {
			v.set(db, fmt.Sprintf("k%02d", i), fmt.Sprintf(`{"n":%d}`, i))
		}
		v.set(db, "k00", `{"n":{"deep":[1,2]}}`)
	})
	v.seal(store)
	v.serve(store)
	for _, look := range []chromium.Look{{}, {Width: 400, Height: 700}} {
		v.show(look)
		for _, path := range []string{"/keys", "/key?key=k00&at=2026-03-03", "/log", "/log?sequence=5", "/trust"} {
			stops := v.walk(path)
			var unseen []string
			for i, stop := range stops {
				if !stop.Seen {
					unseen = append(unseen, stop.Name)
				}
				if i > 0 && stop.Index < stops[i-1].Index {
					v.Errorf("%s: %q is reached after %q, which comes later on the page", path, stop.Name, stops[i-1].Name)
				}
			}
			if len(unseen) > 0 {
				v.Errorf("%s, %d wide: nobody sees that %d of %d elements have the focus: %.300q", path, look.Width, len(unseen), len(stops), unseen)
			}
			if want := eval[int](v, usable); len(stops) != want {
				v.Errorf("%s: the tabulator reaches %d of %d elements: %v", path, len(stops), want, stops)
			}
			if first := stops[0].Name; !strings.HasPrefix(first, "a Skip to") {
				v.Errorf("%s: the tabulator begins at %q", path, first)
			}
		}
	}
	v.show(chromium.Look{})
	v.journey()
}

// journey goes from the first page to a key's history and on to a verification.
func (v *visitor) journey() {
	v.visit("/")
	v.press("\t\r")
	v.until(`document.activeElement.id === "main"`)
	v.press("\t") // the field is what comes next
	v.until(`document.activeElement.id === "prefix"`)
	v.press("k0\r")
	v.until(`document.querySelectorAll("#keys tbody tr").length === 10`)
	v.tabTo("a k00")
	v.press("\r")
	v.until(`document.querySelector("#history")`)
	v.tabTo("summary Value")
	v.press("\r")
	v.until(`!document.querySelector("#history details").open`)
	v.press(" ")
	v.until(`document.querySelector("#history details").open`)
	v.visit("/trust")
	v.tabTo("button#verify")
	v.press(" ")
	v.until(`document.querySelector("#report-heading")?.innerText === "Verification: valid"`)
	// The result has the focus if it was waited for, or else comes with the page.
	v.visit("/log")
	v.until(`document.querySelector("#live").dataset.state === "live"`)
	v.tabTo("button#pause")
	v.press("\r")
	v.until(`document.querySelector("#live").dataset.state === "paused"`)
}

// tabTo presses the tabulator until an element has the focus.
func (v *visitor) tabTo(name string) {
	v.Helper()
	var passed []string
	for range 200 {
		v.press("\t")
		f := eval[focus](v, focused)
		if strings.HasPrefix(f.Name, name) {
			return
		}
		passed = append(passed, f.Name)
	}
	v.Fatalf("the tabulator does not come to %q: %q", name, slices.Compact(passed))
}

// testNoScript uses the pages in a browser that runs no script.
func (v *visitor) testNoScript() {
	store := v.newStore()
	v.small(store)
	v.show(chromium.Look{NoScript: true})
	v.serve(store)
	v.visit("/")
	v.reads("#keys", "a", "b")
	v.click("#prefix")
	v.press("a\r")
	v.until(`document.querySelectorAll("#keys tbody tr").length === 1`)
	v.click("#keys a")
	v.until(`document.querySelector("#history")`)
	v.reads("#history .diff", "0.15", "0.17")
	v.visit("/log")
	v.reads("#live", "Not live: reload the page")
	if eval[bool](v, `document.querySelector("#pause").checkVisibility()`) {
		v.Error("there is a button that does nothing")
	}
	v.visit("/trust")
	v.click("#audit")
	v.until(`document.querySelector("#report-heading")?.innerText === "Audit: valid"`)
}
