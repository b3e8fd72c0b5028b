package mutants

import (
	"context"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/immukv/immukv-go/backend"
)

// listing makes mutants that change only ListVersions.
func listing(f func(ctx context.Context, w *world, name string, req backend.VersionsRequest) (backend.VersionsPage, error)) mutation {
	return each(func(w *world, h *handle) {
		h.listVersions = func(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
			return f(ctx, w, name, req)
		}
	})
}

var listMutants = []Mutant{
	{
		Name: "oldest-first", Clause: "S10",
		Habit: "lists the oldest version first, as gofakes3",
		mutate: listing(func(ctx context.Context, w *world, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
			page, err := w.ListVersions(ctx, name, req)
			slices.Reverse(page.Versions)
			return page, err
		}),
	},
	{
		Name: "coarse-order", Clause: "S10",
		Habit: "orders by a coarse clock, so that neighbours sometimes change places",
		mutate: listing(func(ctx context.Context, w *world, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
			page, err := w.ListVersions(ctx, name, req)
			if n := len(page.Versions); n > 8 {
				page.Versions[n-8], page.Versions[n-7] = page.Versions[n-7], page.Versions[n-8]
			}
			return page, err
		}),
	},
	{
		Name: "boundary-twice", Clause: "S10",
		Habit: "repeats the last version of a page at the beginning of the next",
		mutate: listing(func(ctx context.Context, w *world, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
			page, err := w.ListVersions(ctx, name, req)
			if req.Token != "" && err == nil {
				o, _ := w.GetVersion(ctx, name, backend.VersionID(req.Token))
				page.Versions = append([]backend.Version{o.Version}, page.Versions...)
				if req.Limit > 0 && len(page.Versions) > req.Limit {
					page.Versions = page.Versions[:req.Limit]
				}
			}
			return page, err
		}),
	},
	{
		Name: "boundary-lost", Clause: "S10",
		Habit: "omits the first version of every page except the first",
		mutate: listing(func(ctx context.Context, w *world, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
			page, err := w.ListVersions(ctx, name, req)
			if req.Token != "" && len(page.Versions) > 0 {
				page.Versions = page.Versions[1:]
			}
			return page, err
		}),
	},
	{
		Name: "marker-repeats", Clause: "S10",
		Habit: "gives the same marker for every page",
		mutate: listing(func(ctx context.Context, w *world, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
			page, err := w.ListVersions(ctx, name, req)
			if req.Token != "" && page.Next != "" {
				page.Next = req.Token
			}
			return page, err
		}),
	},
	{
		Name: "no-marker", Clause: "S10",
		Habit: "gives no marker for a page that is not the last, as gofakes3",
		mutate: listing(func(ctx context.Context, w *world, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
			page, err := w.ListVersions(ctx, name, req)
			page.Next = ""
			return page, err
		}),
	},
	{
		Name: "limit-ignored", Clause: "S10",
		Habit: "returns pages larger than asked for",
		mutate: listing(func(ctx context.Context, w *world, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
			req.Limit = 0
			return w.ListVersions(ctx, name, req)
		}),
	},
	{
		Name: "after-inclusive", Clause: "S10",
		Habit: "begins with the version after which it was to begin",
		mutate: listing(func(ctx context.Context, w *world, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
			page, err := w.ListVersions(ctx, name, req)
			if req.Token == "" && req.After != "" && err == nil {
				o, _ := w.GetVersion(ctx, name, req.After)
				page.Versions = append([]backend.Version{o.Version}, page.Versions...)
			}
			return page, err
		}),
	},
	{
		Name: "neighbours-listed", Clause: "S10",
		Habit: "lists by prefix, and so the versions of objects whose names begin alike",
		mutate: listing(func(ctx context.Context, w *world, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
			page, err := w.ListVersions(ctx, name, req)
			if page.Next != "" || err != nil {
				return page, err
			}
			names, err := w.ListNames(ctx, backend.NamesRequest{Prefix: name})
			for _, other := range names.Names {
				if other != name {
					page.Versions = append(page.Versions, w.versions(ctx, other)...)
				}
			}
			return page, err
		}),
	},
	{
		Name: "equal-bodies-once", Clause: "S10",
		Habit: "lists versions of equal ETag once",
		mutate: listing(func(ctx context.Context, w *world, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
			page, err := w.ListVersions(ctx, name, req)
			page.Versions = slices.CompactFunc(page.Versions, func(a, b backend.Version) bool { return a.ETag == b.ETag })
			return page, err
		}),
	},
	{
		Name: "empty-list-an-error", Clause: "S10",
		Habit: "reports the versions of an object that was never written as not found",
		mutate: listing(func(ctx context.Context, w *world, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
			page, err := w.ListVersions(ctx, name, req)
			if err == nil && req.Token == "" && req.After == "" && len(page.Versions) == 0 {
				err = &backend.Error{Op: "list versions", Name: name, Kind: backend.ErrNotFound}
			}
			return page, err
		}),
	},
	{
		Name: "offset-marker", Clause: "S10",
		Habit: "counts from the newest version in its marker, so that added versions shift the pages",
		mutate: listing(func(ctx context.Context, w *world, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
			all := w.versions(ctx, name)
			if req.After != "" && req.Token == "" || req.Limit == 0 {
				return w.ListVersions(ctx, name, req)
			}
			offset := min(len(req.Token), len(all))
			page := backend.VersionsPage{Versions: all[offset:min(len(all), offset+req.Limit)]}
			if end := offset + req.Limit; end < len(all) {
				page.Next = backend.PageToken(strings.Repeat("x", end))
			}
			return page, nil
		}),
	},
}

// naming makes mutants that change only ListNames.
func naming(f func(ctx context.Context, w *world, req backend.NamesRequest) (backend.NamesPage, error)) mutation {
	return each(func(w *world, h *handle) {
		h.listNames = func(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
			return f(ctx, w, req)
		}
	})
}

// reordered makes a store that lists names in another order than that of their
// bytes.
func reordered(compare func(a, b string) int) mutation {
	return naming(func(ctx context.Context, w *world, req backend.NamesRequest) (backend.NamesPage, error) {
		page, err := w.ListNames(ctx, req)
		slices.SortStableFunc(page.Names, compare)
		return page, err
	})
}

var nameListMutants = []Mutant{
	{
		Name: "case-order", Clause: "S11",
		Habit:  "orders names without regard to letter case, as a database's collation",
		mutate: reordered(func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }),
	},
	{
		Name: "utf16-order", Clause: "S11",
		Habit: "orders names by UTF-16 code unit, as Java and JavaScript do",
		mutate: reordered(func(a, b string) int {
			return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
		}),
	},
	{
		Name: "directory-order", Clause: "S11",
		Habit: "orders names as a walk through directories does, which puts a/b before a-b",
		mutate: reordered(func(a, b string) int {
			return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
		}),
	},
	{
		Name: "prefix-a-directory", Clause: "S11",
		Habit: "treats a prefix as a directory",
		mutate: naming(func(ctx context.Context, w *world, req backend.NamesRequest) (backend.NamesPage, error) {
			if req.Prefix != "" && !strings.HasSuffix(req.Prefix, "/") {
				req.Prefix += "/"
			}
			return w.ListNames(ctx, req)
		}),
	},
	{
		Name: "after-outside-prefix", Clause: "S11",
		Habit: "lists nothing when it is to begin outside the prefix",
		mutate: naming(func(ctx context.Context, w *world, req backend.NamesRequest) (backend.NamesPage, error) {
			if req.After != "" && !strings.HasPrefix(req.After, req.Prefix) {
				return backend.NamesPage{}, nil
			}
			return w.ListNames(ctx, req)
		}),
	},
	{
		Name: "name-after-inclusive", Clause: "S11",
		Habit: "begins with the name after which it was to begin",
		mutate: naming(func(ctx context.Context, w *world, req backend.NamesRequest) (backend.NamesPage, error) {
			page, err := w.ListNames(ctx, req)
			if _, missing := w.Head(ctx, req.After); missing == nil && req.Token == "" && strings.HasPrefix(req.After, req.Prefix) {
				page.Names = append([]string{req.After}, page.Names...)
				if req.Limit > 0 && len(page.Names) > req.Limit {
					page.Names = page.Names[:req.Limit]
				}
			}
			return page, err
		}),
	},
	{
		Name: "name-boundary-lost", Clause: "S11",
		Habit: "omits the first name of every page except the first",
		mutate: naming(func(ctx context.Context, w *world, req backend.NamesRequest) (backend.NamesPage, error) {
			page, err := w.ListNames(ctx, req)
			if req.Token != "" && len(page.Names) > 0 {
				page.Names = page.Names[1:]
			}
			return page, err
		}),
	},
	{
		Name: "name-for-each-version", Clause: "S11",
		Habit: "lists a name once for each of its versions",
		mutate: naming(func(ctx context.Context, w *world, req backend.NamesRequest) (backend.NamesPage, error) {
			page, err := w.ListNames(ctx, req)
			var names []string
			for _, name := range page.Names {
				for range w.versions(ctx, name) {
					names = append(names, name)
				}
			}
			page.Names = names
			return page, err
		}),
	},
	{
		Name: "prefix-forgotten", Clause: "S11",
		Habit: "forgets the prefix from the second page on",
		mutate: naming(func(ctx context.Context, w *world, req backend.NamesRequest) (backend.NamesPage, error) {
			if req.Token != "" {
				req.Prefix = ""
			}
			return w.ListNames(ctx, req)
		}),
	},
}
