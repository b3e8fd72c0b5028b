package serve

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestKeys reads all keys page by page, and those of a prefix.
func TestKeys(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.get("/keys").reads("#none", "No key was ever set.")
	var want []string
	for i := range 2*keysPerPage + 7 {
		key := fmt.Sprintf("sensor/%03d", i)
		b.set(key, fmt.Sprintf(`{"n":%d}`, i))
		want = append(want, key)
	}
	b.set("sensor/000", `{"n":"newer"}`)
	var got []string
	a := b.get("/keys")
	for pages := 1; ; pages++ {
		for _, n := range a.find("a.key") {
			got = append(got, textOf(n))
		}
		if len(a.find("#next")) == 0 {
			if pages != 3 {
				t.Errorf("there are %d pages", pages)
			}
			break
		}
		a = a.link("#next")
	}
	if !slices.Equal(got, want) {
		t.Errorf("the pages have %d keys: %q", len(got), got)
	}
	a.link("#first").reads("#keys", `{"n":"newer"}`, "2026-11-24 10:48:00.000", "107")
	a = b.get("/keys?prefix=sensor/00")
	if n := len(a.find("a.key")); n != 10 {
		t.Errorf("%d keys have the prefix", n)
	}
	if value := attr(a.one("input#prefix"), "value"); value != "sensor/00" {
		t.Errorf("the field has %q", value)
	}
	b.get("/keys?prefix=nothing").reads("#none", "No key begins with nothing")
	b.get("/keys?after=zzz").reads("#none", "No more keys.")
}

// TestKeysOfDamagedStore lists keys whose objects cannot be read or trusted.
func TestKeysOfDamagedStore(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	for _, key := range []string{"edited", "good", "other", "rubbish"} {
		b.set(key, `"value of `+key+`"`)
	}
	b.tap.change = func(name string, body []byte) []byte {
		if strings.Contains(name, "keys/rubbish") {
			return []byte("rubbish")
		}
		return []byte(strings.Replace(string(body), "value of edited", "price of edited", 1))
	}
	a := b.get("/keys")
	a.reads("#keys", `"value of good"`, "verification failed", `"price of edited"`)
	if bad := a.find("tr.bad"); len(bad) != 2 {
		t.Errorf("%d rows are marked as bad", len(bad))
	}
	b.get("/key?key=edited").reads("#history", "verification failed", "price of")
	b.get("/key?key=rubbish").reads("#history", "A version that cannot be read")
	// As plain text no warning can stand beside it.
	if a := b.do("GET", "/key/value?key=edited&sequence=0"); a.status == http.StatusOK && strings.Contains(string(a.body), "price") {
		t.Errorf("a value that cannot be trusted is served: %s", a.body)
	}
}

// TestOrphanIsShown marks the entry that its key's object does not reflect.
func TestOrphanIsShown(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.set("k", `"applied"`)
	b.orphan("k", `"orphan"`)
	b.get("/keys").reads("#keys", `"orphan"`, "orphan")
	b.get("/keys").one("span.orphan")
	a := b.get("/key?key=k")
	a.one("span.orphan")
	a.reads("#history", `"applied"`, `"orphan"`)
	b.get("/trust").reads("#orphan", "sequence 1 of key k", "immukv repair")
	// A key that has nothing but an orphan.
	b.set("k", `"the orphan is repaired by this"`)
	b.orphan("new", `1`)
	b.get("/key?key=new").reads("#history", "First value", "orphan")
	b.get("/trust").reads("#orphan", "sequence 3 of key new")
}

// TestOtherNames shows keys under names that this store would not make.
func TestOtherNames(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	for _, key := range []string{"a/../b", "\x00", strings.Repeat("x", 2000), "\xff"} {
		a := b.do("GET", "/key?"+url.Values{"key": {key}}.Encode())
		if a.status != http.StatusBadRequest && a.status != http.StatusNotFound {
			t.Errorf("%q: %d", key, a.status)
		}
		checkPage(a)
	}
}
