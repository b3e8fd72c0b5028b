package serve_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/immukv/immukv-go/immukv"
)

// hostile are texts that would do harm as markup, or deceive as text.
var hostile = map[string]string{
	"script":    `</pre></script><script>window.hacked = 1</script>`,
	"image":     `<img src=x onerror="window.hacked = 2">`,
	"attribute": `" onmouseover="window.hacked = 3" x="`,
	"link":      `javascript:window.hacked = 4`,
	"template":  `{{.Title}} ${window.hacked = 5} </template></style><svg onload="window.hacked = 6">`,
	"bidi":      "pay \u202e001\u202c now \u2066x\u2069",
	"invisible": "zero\u200bwidth\u00a0space\ufeff and \u00ad",
	"control":   "\u0000\u0001\u001b[31mred\u001b[0m\u007f",
	"lines":     "one\ntwo\r\nthree\ttab",
	"rtl":       "שלום עולם",
	"combining": "Z\u0351\u0352\u0357ͣ\u0310",
	"surrogate": "🏭",
	"comment":   `<!-- <![CDATA[ ]]> -->`,
	"entity":    `&lt;script&gt; &amp;lt; &#x3c;`,
}

// keyOf is a text as a key has it, which may have all characters but one.
func keyOf(text string) string { return strings.ReplaceAll(text, "\x00", "") }

// testHostile sees that no text from a store is anything but text, and that each can be
// seen as what it is: as key, as value, as a member's name, in a difference, and in an
// entry that comes while the page is open.
func (v *visitor) testHostile() {
	store := v.newStore()
	v.fill(store, func(db *immukv.Client[json.RawMessage]) {
		for name, text := range hostile {
			v.set(db, "value/"+name, quote(text))
			v.set(db, "value/"+name, fmt.Sprintf(`{%s:{%s:[%s]}}`, quote(text), quote(text), quote(text)))
			v.set(db, "key/"+keyOf(text), `1`)
		}
	})
	v.serve(store)
	harmless := func(where string) {
		v.Helper()
		if eval[bool](v, `"hacked" in window || document.querySelectorAll("main img, main svg, main script, main [onmouseover]").length > 0`) {
			v.Errorf("%s: the text became more than text", where)
		}
		// What deceives is not in what is read, except in the fields, which hold what
		// was typed.
		if eval[bool](v, `/[\u0000-\u0008\u000b-\u001f\u007f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/.test(document.body.innerText + document.title)`) {
			v.Errorf("%s: there are characters that nobody can see", where)
		}
	}
	for _, path := range []string{"/keys", "/log"} {
		v.visit(path)
		harmless(path)
		v.reads("main", `<script>`, `<img src=x onerror=`)
	}
	for name, text := range hostile {
		for _, key := range []string{"value/" + name, "key/" + keyOf(text)} {
			v.visit("/key?key=" + url.QueryEscape(key))
			harmless(key)
			v.visit("/keys?prefix=" + url.QueryEscape(key))
			harmless(key)
			v.click("#keys a")
			v.until(`document.querySelector("#history")`)
			harmless(key)
		}
	}
	v.visit("/key?key=value/bidi")
	v.click("#history > li:last-child summary")
	v.reads("#history > li:last-child .value", `pay \u202e001\u202c now \u2066x\u2069`)
	v.reads("#history > li:first-child .diff", `\u202e001`)
	v.visit("/key?key=value/script")
	v.reads("#history > li:first-child .value", hostile["script"])

	// What comes by the stream is made to text by the page's script.
	v.visit("/log")
	v.until(`document.querySelector("#live").dataset.state === "live"`)
	newest := eval[int](v, `Number(document.querySelector("#log").dataset.after)`)
	v.fill(store, func(db *immukv.Client[json.RawMessage]) {
		for _, text := range hostile {
			v.set(db, "live/"+keyOf(text), quote(text))
		}
	})
	v.until(fmt.Sprintf(`document.querySelector("#e%d")`, newest+len(hostile)))
	harmless("live")
	v.reads("#entries", `live/<img src=x onerror="window.hacked = 2">`, `\u202e001`)

	// Where it is asked for as it stands, it is text to the browser too.
	v.visit("/key?key=value/script")
	v.click("#history > li:first-child .whole")
	v.until(`document.querySelector("#history") === null`)
	if kind := eval[string](v, "document.contentType"); kind != "text/plain" {
		v.Errorf("a whole value is %s", kind)
	}
	harmless("whole value")
}

// testMegabyte visits an entry that is too large to be shown.
func (v *visitor) testMegabyte() {
	store := v.newStore()
	text := strings.Repeat("0123456789abcdef", 1<<16)
	v.fill(store, func(db *immukv.Client[json.RawMessage]) {
		v.set(db, "k", `{"text":"`+text+`"}`)
		v.set(db, "k", `{"text":"`+text[:len(text)-1]+`!"}`)
		v.set(db, "k", `["`+strings.Repeat(`x","`, 1<<18)+`"]`)
	})
	v.serve(store)
	for _, path := range []string{"/keys", "/log", "/key?key=k"} {
		v.visit(path)
		if n := eval[int](v, `document.documentElement.outerHTML.length`); n > 1<<18 {
			v.Errorf("%s has %d characters", path, n)
		}
		if eval[bool](v, `document.documentElement.scrollWidth > innerWidth`) {
			v.Errorf("%s is wider than the window", path)
		}
	}
	v.reads("#v1 .diff", "cdef", "cde!") // where they differ, and not a megabyte
	v.click("#v1 summary")
	v.reads("#v1", "Only the beginning stands here.", "1\u202f048\u202f587 bytes")
	v.click("#v1 .whole")
	v.until(`document.contentType === "text/plain"`)
	v.until(fmt.Sprintf(`document.readyState === "complete" && document.body.textContent.length === %d`, len(text)+len(`{"text":""}`)))
}
