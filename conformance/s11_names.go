package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/immukv/immukv-go/backend"
)

// S11: listings of names.
var nameListChecks = clause("S11",
	check{
		name: "byte-order", cost: cost{fixed: 150},
		title: "names are listed in the order of their bytes, each exactly once, in pages of any size",
		run:   checkByteOrder,
	},
	check{
		name: "prefixes", cost: cost{fixed: 220},
		title: "a listing under a prefix holds exactly the names that begin with it, wherever it ends",
		run:   checkPrefixes,
	},
	check{
		name: "after-anything", cost: cost{fixed: 700},
		title: "a listing begins after any string: a name, none, one before or beyond the prefix",
		run:   checkAfterName,
	},
	check{
		name: "drawn", cost: cost{fixed: 50, perRound: 10},
		title: "listings with a random prefix, starting point and page size hold what they should",
		run:   checkDrawnListings,
	},
	check{
		name: "many", cost: cost{fixed: 480, deep: 2600},
		title: "many names are listed in order over many pages, each once, for any number of versions",
		run:   checkManyNames,
	},
	check{
		name: "while-written", cost: cost{fixed: 350},
		title: "a listing over many pages during which names are added holds every name that was there, once, in order",
		run:   checkNamesWhileWritten,
	},
	check{
		name: "empty", cost: cost{fixed: 10},
		title: "a store without objects lists no names, which is no error",
		run:   checkNoNames,
	},
)

// sortable are names that stores sort in a wrong order: by locale, by letter
// case, by UTF-16 code unit, or by directory.
var sortable = []string{
	"!", "A", "B", "Z", "_log.json", "a", "a ", "a!", "a-", "a-b.json", "a.", "a.b", "a.json", "a/", "a/-", "a/b", "a/b/c",
	"a/b.", "a/b0", "a0", "a00", "aB", "ab", "ab/", "ab/c", "b", "b/a", "keys/a.json", "keys/a-b.json", "keys/a/b.json",
	"z", "~", "é", "e\u0301", "ÿ", "\uffee", "\U0001f600", "\U0001f600/a", "\ue000",
}

// fill makes an object of each name that the store can hold, and returns the
// names in order.
func (e *env) fill(ctx context.Context, s backend.VersionedStore, names []string) ([]string, error) {
	held := e.h.Limits.held(names)
	// Written out of order, for a store that lists in the order of writing.
	order := e.rand.Perm(len(held))
	err := together(min(8, len(held)), func(worker int) error {
		for i := worker; i < len(order); i += min(8, len(held)) {
			if _, err := write(ctx, s, held[order[i]], []byte(held[order[i]]), backend.IfAbsent()); err != nil {
				return err
			}
		}
		return nil
	})
	slices.Sort(held)
	return held, err
}

// filled fills the store, and returns the handle that did.
func (e *env) filled(ctx context.Context, names []string) (backend.VersionedStore, []string, error) {
	held, err := e.fill(ctx, e.stores[0], names)
	return e.stores[0], held, err
}

func checkByteOrder(ctx context.Context, e *env) error {
	s, names, err := e.filled(ctx, sortable)
	if err != nil {
		return err
	}
	for _, limit := range []int{0, 1, 2, 3, 7, len(names) - 1, len(names), len(names) + 1, backend.MaxPageSize + 1} {
		if err := listed(ctx, s, names, backend.NamesRequest{Limit: limit}); err != nil {
			return err
		}
	}
	return nil
}

func checkPrefixes(ctx context.Context, e *env) error {
	s, names, err := e.filled(ctx, sortable)
	if err != nil {
		return err
	}
	prefixes := []string{"a", "a/", "a/b", "a/b/", "a/b/c", "a/b/c/d", "a-", "a.", "ab", "A", "/", "//", "keys/", "keys/a", "keys", "_",
		"é", "e", "e\u0301", "\U0001f600", "zz", "nothing/here", strings.Repeat("a", e.h.Limits.maxName())}
	for _, prefix := range prefixes {
		for _, limit := range []int{0, 1, 2} {
			if err := listed(ctx, s, names, backend.NamesRequest{Prefix: prefix, Limit: limit}); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkAfterName(ctx context.Context, e *env) error {
	s, names, err := e.filled(ctx, sortable)
	if err != nil {
		return err
	}
	starts := slices.Concat(names, []string{"", " ", "/", "a.a", "a/a", "a/b/", "aa", "b/", "keys", "keys/", "keys/z", "\u00a0", "\U0010ffff",
		strings.Repeat("a", backend.MaxNameBytes)})
	for _, after := range starts {
		for _, prefix := range []string{"", "a", "a/", "keys/", "z"} {
			if err := listed(ctx, s, names, backend.NamesRequest{Prefix: prefix, After: after, Limit: 5}); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkDrawnListings(ctx context.Context, e *env) error {
	drawName := func(length int) string {
		var b strings.Builder
		for range length {
			b.WriteString([]string{"a", "b", "-", ".", "/", "0", "é"}[e.rand.IntN(7)])
		}
		return b.String()
	}
	var drawn []string
	for range 40 {
		drawn = append(drawn, drawName(1+e.rand.IntN(4)))
	}
	slices.Sort(drawn)
	s, names, err := e.filled(ctx, slices.Compact(drawn))
	if err != nil {
		return err
	}
	for range e.rounds() {
		req := backend.NamesRequest{Prefix: drawName(e.rand.IntN(3)), After: drawName(e.rand.IntN(4)), Limit: e.rand.IntN(9)}
		if err := listed(ctx, s, names, req); err != nil {
			return err
		}
	}
	return nil
}

func checkManyNames(ctx context.Context, e *env) error {
	var many []string
	for i := range e.many() {
		many = append(many, fmt.Sprintf("keys/%d.json", i*i))
	}
	s, names, err := e.filled(ctx, many)
	if err != nil {
		return err
	}
	for _, name := range names[:20] {
		v, err := s.Head(ctx, name)
		if err != nil {
			return err
		}
		for i := range 3 {
			o, err := write(ctx, s, name, []byte{byte(i)}, backend.IfMatch(v.ETag))
			if err != nil {
				return err
			}
			v = o.Version
		}
	}
	limits := []int{0, len(names) / 10, len(names) / 2, len(names), backend.MaxPageSize - 1}
	if !e.h.Deep {
		limits = append(limits, 1, 2) // not a request for each of a thousand
	}
	for _, limit := range limits {
		for _, prefix := range []string{"", "keys/", "keys/1"} {
			if err := listed(ctx, s, names, backend.NamesRequest{Prefix: prefix, Limit: limit}); err != nil {
				return err
			}
		}
	}
	return nil
}

// namesAdded is how many names are added during a listing, at most.
const namesAdded = 30

func checkNamesWhileWritten(ctx context.Context, e *env) error {
	stores := e.stores
	var names []string
	for i := range 30 {
		names = append(names, fmt.Sprintf("n%02d", i))
	}
	names, err := e.fill(ctx, stores[0], names)
	if err != nil {
		return err
	}
	for _, limit := range []int{1, 2, 3, 7} {
		req := backend.NamesRequest{Limit: limit}
		var got []string
		for page := range pagesAtMost(len(names) + namesAdded) {
			p, err := stores[1].ListNames(ctx, req)
			if err != nil {
				return err
			}
			got = append(got, p.Names...)
			if p.Next == "" {
				break
			}
			req.Token = p.Next
			// Before, among and after what has been listed so far.
			added := []string{fmt.Sprintf("m%d-%d", limit, page), fmt.Sprintf("n%02d-%d-added", page, limit), fmt.Sprintf("o%d-%d", limit, page)}[page%3]
			if page < namesAdded {
				if _, err := write(ctx, stores[0], added, nil, backend.IfAbsent()); err != nil {
					return err
				}
			}
		}
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			return unlike(fmt.Sprintf("names listed in pages of %d while others were added to be in order, each once", limit), "%q", got)
		}
		for _, name := range names {
			if !slices.Contains(got, name) {
				return unlike(fmt.Sprintf("names listed in pages of %d while others were added to hold %q, which was there", limit, name), "%q", got)
			}
		}
	}
	return nil
}

func checkNoNames(ctx context.Context, e *env) error {
	s := e.stores[0]
	for _, req := range []backend.NamesRequest{{}, {Prefix: "a"}, {Prefix: "a/"}, {After: "a"}, {Prefix: "a", After: "b", Limit: 1}} {
		if err := listed(ctx, s, nil, req); err != nil {
			return err
		}
	}
	return nil
}
