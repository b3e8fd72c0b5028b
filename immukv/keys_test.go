package immukv_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// tricky draws keys of characters that sort before and behind the dot of ".json",
// and of those of "json" itself. The empty key, which other clients write, is one.
func tricky() *rapid.Generator[string] {
	return rapid.StringOfN(rapid.RuneFrom([]rune("a-./b +!json")), 0, 6, -1)
}

// withKeys adds key objects to a store. Listing keys does not read them.
func withKeys(t testing.TB, store *memstore.Store, keys []string) *memstore.Store {
	state := store.Dump()
	for _, key := range keys {
		name := "keys/" + key + ".json"
		if versionsOf(state, name) == nil {
			state.Objects = append(state.Objects, memstore.Object{Name: name, Versions: []memstore.Version{{ID: "v", ETag: "e"}}})
		}
	}
	return load(t, state)
}

// wantKeys are the keys that a listing with these options has to give.
func wantKeys(keys []string, prefix string, after *string, limit int) []string {
	var want []string
	for _, key := range keys {
		if strings.HasPrefix(key, prefix) && (after == nil || key > *after) {
			want = append(want, key)
		}
	}
	slices.Sort(want)
	want = slices.Compact(want)
	if limit > 0 && len(want) > limit {
		want = want[:limit]
	}
	return want
}

func keysOf(t interface{ Fatal(...any) }, db *immukv.Client[any], opts ...immukv.KeysOption) []string {
	keys, err := collect(db.Keys(context.Background(), opts...))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// Keys come in the order of their bytes, each once, whatever the pages.
func TestKeysInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		keys := rapid.SliceOfN(tricky(), 0, 25).Draw(r, "keys")
		var prefix string
		var after *string
		var opts []immukv.KeysOption
		if rapid.Bool().Draw(r, "with prefix") {
			prefix = rapid.StringOfN(rapid.RuneFrom([]rune("a-.j")), 0, 2, -1).Draw(r, "prefix")
		}
		if rapid.Bool().Draw(r, "with after") {
			key := rapid.OneOf(tricky(), rapid.SampledFrom(append(keys, "a"))).Draw(r, "after")
			after, opts = &key, append(opts, immukv.AfterKey(key))
		}
		limit := rapid.IntRange(0, 6).Draw(r, "limit")
		store := &tapped{store: withKeys(t, memstore.New(), keys), page: rapid.IntRange(1, 5).Draw(r, "page")}
		db := open[any](t, store, immukv.WithReadOnly())
		got := keysOf(r, db, append(opts, immukv.KeyPrefix(prefix), immukv.Limit(limit))...)
		if want := wantKeys(keys, prefix, after, limit); !slices.Equal(got, want) {
			r.Fatalf("keys are %q, want %q", got, want)
		}
	})
}

// A key whose only entry is an orphan stands in its place.
func TestKeysWithOrphan(t *testing.T) {
	t.Parallel()
	valid := tricky().Filter(func(key string) bool {
		return key != "" && !slices.ContainsFunc(strings.Split(key, "/"), func(s string) bool { return s == "." || s == ".." })
	})
	rapid.Check(t, func(r *rapid.T) {
		keys := rapid.SliceOfN(tricky(), 0, 15).Draw(r, "keys")
		orphan := valid.Draw(r, "orphan")
		mem := memstore.New()
		set(t, open[any](t, deniedObject(mem, "keys/"+orphan+".json")), orphan, any(1))
		store := &tapped{store: withKeys(t, mem, keys), page: rapid.IntRange(1, 5).Draw(r, "page")}
		limit := rapid.IntRange(0, 6).Draw(r, "limit")
		after := rapid.SampledFrom(append(keys, "a", orphan)).Draw(r, "after")
		got := keysOf(r, open[any](t, store, immukv.WithReadOnly()), immukv.AfterKey(after), immukv.Limit(limit))
		if want := wantKeys(append(keys, orphan), "", &after, limit); !slices.Equal(got, want) {
			r.Fatalf("keys are %q, want %q", got, want)
		}
	})
}

// deniedObject is a store that denies writing one object.
func deniedObject(store backend.VersionedStore, name string) *tapped {
	return always(store, name, notApplied(storeError(backend.ErrAccessDenied)))
}

// Keys that come while they are listed may be listed or not; the order stands, and
// no other key is lost.
func TestKeysComeMeanwhile(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		keys := rapid.SliceOfN(tricky(), 1, 15).Draw(r, "keys")
		more := rapid.SliceOfN(tricky(), 1, 10).Draw(r, "more")
		mem := withKeys(t, memstore.New(), keys)
		coming := slices.Clone(more)
		store := &tapped{store: mem, page: rapid.IntRange(1, 4).Draw(r, "page")}
		store.before = func(ctx context.Context, req request) error {
			if (req.op == "names" || req.op == "head") && len(coming) > 0 {
				_, err := mem.Put(ctx, "keys/"+coming[0]+".json", nil, backend.IfAbsent())
				coming = coming[1:]
				if !errors.Is(err, backend.ErrPreconditionFailed) {
					return err
				}
			}
			return nil
		}
		got := keysOf(r, open[any](t, store, immukv.WithReadOnly()))
		for i, key := range got {
			if i > 0 && key <= got[i-1] {
				r.Fatalf("%q is listed after %q", key, got[i-1])
			}
			if !slices.Contains(keys, key) && !slices.Contains(more, key) {
				r.Fatalf("%q is no key", key)
			}
		}
		for _, key := range keys {
			if !slices.Contains(got, key) {
				r.Fatalf("%q is missing from %q", key, got)
			}
		}
	})
}

// A key that waits for its apply, and gets it during the listing, comes once.
func TestKeysWhileRepaired(t *testing.T) {
	t.Parallel()
	for page := range 4 {
		mem := withKeys(t, memstore.New(), []string{"a-", "a-b", "a.b", "b"})
		set(t, open[any](t, deniedObject(mem, "keys/a.json")), "a", any(1))
		store := &tapped{store: mem, page: page + 1}
		db := open[any](t, store, immukv.WithReadOnly())
		var got []string
		for key, err := range db.Keys(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, key); len(got) == 2 {
				if _, err := open[any](t, mem).Repair(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if want := []string{"a", "a-", "a-b", "a.b", "b"}; !slices.Equal(got, want) {
			t.Errorf("keys are %q, want %q", got, want)
		}
	}
}

// What is no key object of this prefix is no key.
func TestKeysAmongOthers(t *testing.T) {
	t.Parallel()
	mem := memstore.New()
	for _, name := range []string{"p/keys/json", "p/keys/x", "p/keys/x.jso", "p/other", "keys/y.json", "p/keysz.json"} {
		if _, err := mem.Put(t.Context(), name, nil, backend.IfAbsent()); err != nil {
			t.Fatal(err)
		}
	}
	db := open[any](t, mem, immukv.WithPrefix("p/"))
	set(t, db, "k", any(1))
	if got := keysOf(t, db); !slices.Equal(got, []string{"k"}) {
		t.Errorf("keys are %q", got)
	}
}

// A page costs a handful of requests more than its listing at most, those for keys
// that may stand behind it.
func TestKeysRequests(t *testing.T) {
	t.Parallel()
	var keys []string
	for i := range 2500 {
		keys = append(keys, fmt.Sprintf("sensor-%04d", i), fmt.Sprintf("2024-05-%02d-%d", i%30, i))
	}
	store := counted(withKeys(t, memstore.New(), keys))
	db := open[any](t, store, immukv.WithRepairCheckInterval(-1))
	if n := len(keysOf(t, db)); n != len(keys) {
		t.Errorf("%d keys of %d", n, len(keys))
	}
	var names, heads int
	for _, r := range store.take() {
		switch r.op {
		case "names":
			names++
		case "head":
			heads++
		}
	}
	if names != 5 || heads > 5*names {
		t.Errorf("%d pages and %d looks at single keys", names, heads)
	}
}

// An error of the store is an error of the call, wherever it comes.
func TestKeysErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := withKeys(t, memstore.New(), []string{"a", "a-", "a-b", "a.b", "b"})
		for failing := range 12 {
			n := 0
			store := &tapped{store: mem, page: 2, before: func(context.Context, request) error {
				if n++; n == failing+1 {
					return storeError(backend.ErrAccessDenied)
				}
				return nil
			}}
			keys, err := collect(open[any](t, store).Keys(t.Context()))
			if sent := n; failing < sent && !errors.Is(err, backend.ErrAccessDenied) {
				t.Errorf("request %d of %d denied: %q, %v", failing+1, sent, keys, err)
			}
		}
	})
}
