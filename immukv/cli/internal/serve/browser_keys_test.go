package serve_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/cli/internal/serve"
	"github.com/immukv/immukv-go/immukv/cli/internal/serve/chromium"
)

// testKeys searches by prefix, and leafs through pages.
func (v *visitor) testKeys() {
	store := v.newStore()
	v.fill(store, func(db *immukv.Client[json.RawMessage]) {
		var writes []immukv.Write[json.RawMessage]
		for i := range 60 {
			writes = append(writes, immukv.Write[json.RawMessage]{Key: fmt.Sprintf("pump-%02d", i), Value: json.RawMessage(`{"bar":1.5}`)})
		}
		_, err := db.SetAll(v.Context(), writes...)
		check(v, err)
		v.set(db, "sensor-1", `{"alpha":0.15}`)
		v.set(db, "sensor-1", `{"alpha":0.17}`)
		v.set(db, "a key/with ?&=#%+ all", `"odd"`)
	})
	v.serve(store)
	v.visit("/")
	if title := eval[string](v, "document.title"); title != "Keys – ImmuKV" {
		v.Errorf("the title of the first page is %q", title)
	}
	if rows := eval[int](v, `document.querySelectorAll("#keys tbody tr").length`); rows != 50 {
		v.Errorf("the first page has %d keys, not 50", rows)
	}
	v.click("#next")
	v.until(`document.querySelectorAll("#keys tbody tr").length === 12`)
	v.reads("#keys tbody tr:last-child", "sensor-1", `{"alpha":0.17}`, "2026-03-02 09:02:00", "61")
	v.click("#first")
	v.until(`document.querySelectorAll("#keys tbody tr").length === 50`)

	v.click("#prefix")
	v.press("sens\r")
	v.until(`document.querySelectorAll("#keys tbody tr").length === 1`)
	if value := eval[string](v, `document.querySelector("#prefix").value`); value != "sens" {
		v.Errorf("after the search its field has %q", value)
	}
	v.click("#keys a")
	v.until(`document.querySelector("#history")`)
	v.reads("h1", "sensor-1")

	v.visit("/keys?prefix=nothing")
	v.reads("main", "No key begins with nothing")

	v.visit("/keys")
	v.reads("#keys tbody tr", "a key/with ?&=#%+ all")
	v.click("#keys a")
	v.until(`document.querySelector("#history")`)
	v.reads("h1", "a key/with ?&=#%+ all")
	v.reads("pre.value", `"odd"`)
}

// testKey reads the history of a key, newest first, and its value at a moment.
func (v *visitor) testKey() {
	store := v.newStore()
	v.fill(store, func(db *immukv.Client[json.RawMessage]) {
		for i := range 30 {
			v.set(db, "k", fmt.Sprint(i))
			v.set(db, "other", fmt.Sprint(-i))
		}
	})
	v.serve(store)
	v.visit("/key?key=k")
	headings := v.texts("#history h3")
	for i := range headings {
		headings[i] = strings.Join(strings.Fields(headings[i]), " ")
	}
	if len(headings) != 20 || !strings.Contains(headings[0], "2026-03-02 09:58:00.000 sequence 58") || !strings.Contains(headings[19], "sequence 20") {
		v.Errorf("the history is %q", headings)
	}
	v.reads("#history > li:first-child", "29")
	v.reads("#history > li:first-child .diff", "28", "29")
	v.click("#next")
	v.until(`document.querySelectorAll("#history > li").length === 10`)
	v.reads("#history > li:last-child", "First value")
	v.click("#first")
	v.until(`document.querySelectorAll("#history > li").length === 20`)

	// The clock of the test is that of the entries: k is 3 from 09:06 to 09:08.
	v.click("#at")
	v.press("2026-03-02 09:07\r")
	v.until(`document.querySelector("#asof-result")`)
	v.reads("#asof-result", "As of 2026-03-02 09:07", "6", "2026-03-02 09:06:00.000")
	v.reads("#asof-result pre", "3")
	v.visit("/key?key=k&at=2026-03-01")
	v.reads("#asof-result", "The key had no value yet")
	v.click(`#history > li:first-child summary`) // closes it
	v.until(`!document.querySelector("#history details").open`)

	v.refused("/key?key=k&at=tomorrow", http.StatusBadRequest)
	v.reads("h1", "That is no time")
	v.refused("/key?key=never", http.StatusNotFound)
	v.refused("/nothing", http.StatusNotFound)
	v.reads("h1", "There is no such page")
}

// testDifferences reads what changed between nested values.
func (v *visitor) testDifferences() {
	store := v.newStore()
	v.fill(store, func(db *immukv.Client[json.RawMessage]) {
		v.set(db, "k", `{"name":"pump","limits":{"low":1,"high":[10,20,30]},"gone":true,"same":{"deep":[1,2,3]},"big":12345678901234567890}`)
		v.set(db, "k", `{"name":"pump","limits":{"low":1.5,"high":[10,30,40]},"new":{"x":null},"same":{"deep":[1,2,3]},"big":12345678901234567891}`)
		v.set(db, "k", `{"name":"pump","limits":{"low":1.5,"high":[10,30,40]},"new":{"x":null},"same":{"deep":[1,2,3]},"big":12345678901234567891}`)
		v.set(db, "k", `"now a string"`)
	})
	v.serve(store)
	v.visit("/key?key=k")
	rows := func(n int) []string {
		return v.texts(fmt.Sprintf("#history > li:nth-child(%d) .diff tbody tr", n))
	}
	// What a person reads, without the spaces of the layout.
	var got []string
	for _, row := range rows(3) {
		got = append(got, strings.Join(strings.Fields(row), " "))
	}
	want := []string{
		"big changed 12345678901234567890 12345678901234567891",
		"gone removed true",
		"limits.high[1] removed 20",
		"limits.high[2] added 40",
		"limits.low changed 1 1.5",
		`new added {"x": null}`,
	}
	if !slices.Equal(got, want) {
		v.Errorf("the differences read\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	v.reads("#history > li:nth-child(2)", "The same value again")
	if got := rows(1); len(got) != 1 || !strings.Contains(got[0], "now a string") {
		v.Errorf("from an object to a text: %q", got)
	}
}

// testEmpty visits a store in which nothing was written.
func (v *visitor) testEmpty() {
	v.serve(v.newStore())
	for path, text := range map[string]string{"/keys": "No key was ever set.", "/log": "The log is empty.", "/trust": "The log is empty."} {
		v.visit(path)
		v.reads("main", text)
	}
	v.visit("/trust")
	v.click("#verify")
	v.until(`document.querySelector("#report")`)
	v.reads("#report", "valid")
}

// testFailing visits stores that fail, and stores that do not answer.
func (v *visitor) testFailing() {
	for name, c := range map[string]struct {
		err   error // nil: it does not answer
		reads string
	}{
		"down":    {backend.ErrUnavailable, "The store is not available"},
		"closed":  {backend.ErrAccessDenied, "The store denies access"},
		"hanging": {nil, "The store does not answer"},
	} {
		store := &failingStore{VersionedStore: memstore.New(), err: c.err}
		v := v.open(v.T)
		v.serveHere(store, serve.Config{ReadTimeout: 200 * time.Millisecond})
		for _, path := range []string{"/keys", "/key?key=k", "/log"} {
			if status := v.status(path); status < 500 {
				v.Errorf("%s, %s: status %d", name, path, status)
			}
			v.expect(chromium.Network)
			v.reads("h1", c.reads)
			v.reads("#error", "Try again")
		}
		v.visit("/trust") // whose parts can be read, or not, each by itself
		v.reads("#newest", c.reads)
		v.reads("#checkpoint", c.reads)
		v.click("#verify")
		v.until(`document.querySelector("#verification").innerText.includes("running") || document.querySelector("#report")`)
		// The store recovers, and the page with it.
		store.well.Store(true)
		v.visit("/keys")
		v.reads("main", "No key was ever set.")
	}
}

// failingStore is a store that fails until it is well again.
type failingStore struct {
	backend.VersionedStore
	err  error
	well atomic.Bool
}

func (s *failingStore) fail(ctx context.Context) error {
	if s.well.Load() {
		return nil
	}
	if s.err == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.err
}

func (s *failingStore) Get(ctx context.Context, name string) (backend.Object, error) {
	if err := s.fail(ctx); err != nil {
		return backend.Object{}, err
	}
	return s.VersionedStore.Get(ctx, name)
}

func (s *failingStore) Head(ctx context.Context, name string) (backend.Version, error) {
	if err := s.fail(ctx); err != nil {
		return backend.Version{}, err
	}
	return s.VersionedStore.Head(ctx, name)
}

func (s *failingStore) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	if err := s.fail(ctx); err != nil {
		return backend.VersionsPage{}, err
	}
	return s.VersionedStore.ListVersions(ctx, name, req)
}

func (s *failingStore) ListNames(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
	if err := s.fail(ctx); err != nil {
		return backend.NamesPage{}, err
	}
	return s.VersionedStore.ListNames(ctx, req)
}
