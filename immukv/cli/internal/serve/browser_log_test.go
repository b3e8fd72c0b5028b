package serve_test

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/immukv/immukv-go/immukv"
)

// testLog leafs through the log, and searches it by sequence and by date.
func (v *visitor) testLog() {
	store := v.newStore()
	v.fill(store, func(db *immukv.Client[json.RawMessage]) {
		for i := range 70 {
			v.set(db, fmt.Sprint("k", i%3), fmt.Sprint(i))
		}
	})
	v.serve(store)
	v.visit("/log")
	v.reads("#entries tr:first-child", "69", "2026-03-02 10:09:00.000", "k0")
	v.click("#next")
	v.until(`document.querySelectorAll("#entries tr").length === 20`)
	v.reads("#entries tr:first-child", "19")
	v.reads("#entries tr:last-child", "2026-03-02 09:00:00.000")
	v.click("#sequence")
	v.press("41\r")
	v.until(`document.querySelector("#e41") && !document.querySelector("#e42")`)
	v.click("#date")
	v.press("2026-03-02 09:30:30\r")
	v.until(`document.querySelector("#e30") && !document.querySelector("#e31")`)
	v.click("#first")
	v.until(`document.querySelector("#e69")`)
}

// rows is how many entries the log page has.
const rows = `document.querySelectorAll("#entries tr").length`

// testLive sees the log grow while other processes write.
func (v *visitor) testLive() {
	store := v.newStore()
	v.fill(store, func(db *immukv.Client[json.RawMessage]) { v.set(db, "k", "0") })
	v.serve(store)
	v.visit("/log")
	v.until(`document.querySelector("#live").dataset.state === "live"`)
	loaded := eval[float64](v, "performance.timeOrigin")

	v.run("--store", store, "set", "k", `{"from":"another process"}`)
	v.until(rows + " === 2")
	v.reads("#entries tr:first-child", "1", "k", `{"from":"another process"}`)
	v.until(`document.querySelector("#live").innerText.includes("1 new")`)

	// A batch comes as a whole, in its order.
	v.fill(store, func(db *immukv.Client[json.RawMessage]) {
		var writes []immukv.Write[json.RawMessage]
		for i := range 20 {
			writes = append(writes, immukv.Write[json.RawMessage]{Key: fmt.Sprintf("batch-%02d", i), Value: json.RawMessage("1")})
		}
		_, err := db.SetAll(v.Context(), writes...)
		check(v, err)
	})
	v.until(rows + " === 22")
	v.reads("#entries tr:first-child", "batch-19")

	// Paused, the page stays as it is. Then it catches up.
	v.click("#pause")
	v.until(`document.querySelector("#live").dataset.state === "paused"`)
	v.run("--store", store, "set", "k", "2")
	if n := eval[int](v, rows); n != 22 {
		v.Errorf("paused, it has %d entries", n)
	}
	v.click("#pause")
	v.until(rows + " === 23")
	if got := v.texts("#entries td:first-child"); strings.Join(got, " ") != "22 21 20 19 18 17 16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0" {
		v.Errorf("the sequences are %v", got)
	}

	// A link that came with the entry leads to its key.
	v.click("#entries tr:first-child a")
	v.until(`document.querySelector("#history")`)
	v.reads("h1", "k")
	check(v, v.tab.Back())
	v.until(rows + " === 23")
	if again := eval[float64](v, "performance.timeOrigin"); again < loaded {
		v.Errorf("the page was loaded at %v, before %v", again, loaded)
	}
}

// testCutOff takes the server away from a live page, and gives it back.
func (v *visitor) testCutOff() {
	store := v.newStore()
	v.fill(store, func(db *immukv.Client[json.RawMessage]) { v.set(db, "k", "0") })
	server := v.serve(store)
	v.visit("/log")
	v.until(`document.querySelector("#live").dataset.state === "live"`)
	server.interrupt()
	v.until(`document.querySelector("#live").dataset.state === "trouble"`)
	v.run("--store", store, "set", "k", "1")
	v.start(store, server.addr)
	v.until(rows + " === 2")
	v.until(`document.querySelector("#live").dataset.state === "live"`)
	_, _ = v.tab.Problems() // that the server was away
}

// openLogTwice opens the live log of a new store of one entry, here and for another
// visitor.
func (v *visitor) openLogTwice() (store string, other *visitor) {
	store = v.newStore()
	v.fill(store, func(db *immukv.Client[json.RawMessage]) { v.set(db, "k", "0") })
	v.serve(store)
	other = v.open(v.T)
	other.home = v.home
	for _, page := range []*visitor{v, other} {
		page.visit("/log")
		page.until(`document.querySelector("#live").dataset.state === "live"`)
	}
	return store, other
}

// testGaps pauses a page while more entries come than it can get then, twice. The page
// says how many it lacks in all.
func (v *visitor) testGaps() {
	store, seen := v.openLogTwice()
	newest := 0
	pause := func(entries int) {
		v.Helper()
		v.click("#pause")
		v.until(`document.querySelector("#live").dataset.state === "paused"`)
		v.fill(store, func(db *immukv.Client[json.RawMessage]) {
			for range entries {
				v.set(db, "k", "1")
				newest++
			}
		})
		there := fmt.Sprintf(`document.querySelector("#e%d")`, newest)
		seen.until(there) // so the server has all of them
		v.click("#pause")
		v.until(there)
	}
	pause(51)
	v.until(`document.querySelector("#missed").innerText === "1 entry is not listed here. Search by sequence to see it."`)
	pause(52)
	v.until(`document.querySelector("#missed").innerText === "3 entries are not listed here. Search by sequence to see them."`)
	if n := eval[int](v, rows); n != 101 {
		v.Errorf("the page has %d entries", n)
	}
}

// testEnded has the server take no more live pages: the page says how it goes on.
func (v *visitor) testEnded() {
	store := v.newStore()
	v.fill(store, func(db *immukv.Client[json.RawMessage]) { v.set(db, "k", "0") })
	v.serve(store)
	check(v, v.tab.Rewrite(func(page string) string { return strings.Replace(page, `data-after="0"`, `data-after="none"`, 1) }))
	v.visit("/log") // of which the server does not open the stream
	v.until(`document.querySelector("#live").dataset.state === "off"`)
	v.reads("#live", "Not live: the server ended the stream. Reload the page")
	_, _ = v.tab.Problems() // that the stream was not opened
}

// testHidden sees that a page that nobody sees holds no stream, and catches up when it is
// seen again. A browser opens few connections to one server.
func (v *visitor) testHidden() {
	store, seen := v.openLogTwice()
	hide := func(hidden bool) {
		v.Helper()
		eval[bool](v, fmt.Sprintf(`Object.defineProperty(document, "hidden", {value: %v, configurable: true}),
			document.dispatchEvent(new Event("visibilitychange"))`, hidden))
	}
	hide(true)
	v.run("--store", store, "set", "k", "1")
	seen.until(rows + " === 2")
	if n := eval[int](v, rows); n != 1 {
		v.Errorf("the page that nobody sees has %d entries", n)
	}
	hide(false)
	v.until(rows + " === 2")
}
