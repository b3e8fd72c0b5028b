package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/immukv/immukv-go/backend"
)

// S10: listings of versions.
var versionListChecks = clause("S10",
	check{
		name: "newest-first", cost: cost{fixed: 80, deep: 2600},
		title: "versions are listed newest first, each exactly once, in pages as large as the store makes them",
		run:   checkNewestFirst,
	},
	check{
		name: "page-sizes", cost: cost{fixed: 220},
		title: "pages of any size list the same versions, and a page is the last if and only if it says so",
		run:   checkVersionPages,
	},
	check{
		name: "after-any-version", cost: cost{fixed: 200},
		title: "a listing can begin after any version, in pages of any size",
		run:   checkAfterVersion,
	},
	check{
		name: "after-no-version", cost: cost{fixed: 30},
		title: "a listing that is to begin after a version that the object does not have is an error or empty",
		run:   checkAfterNoVersion,
	},
	check{
		name: "never-written", cost: cost{fixed: 20},
		title: "an object that was never written has no versions, which is no error",
		run:   checkNeverWritten,
	},
	check{
		name: "neighbours-apart", cost: cost{fixed: 160},
		title: "a listing holds only the versions of its object, not those of objects whose names begin alike",
		run:   checkNeighbours,
	},
	check{
		name: "equal-bodies", cost: cost{fixed: 120},
		title: "each of several versions with equal bodies is listed, in order",
		run:   checkEqualBodies,
	},
	check{
		name: "while-written", cost: cost{fixed: 170},
		title: "a listing over many pages during which versions are added holds every version older than its first, once, in order",
		run:   checkVersionsWhileWritten,
	},
)

// newerFirst checks a listing against all versions of the object, newest first.
func newerFirst(ctx context.Context, s backend.VersionedStore, name string, all []backend.Version, req backend.VersionsRequest) error {
	got, err := listVersions(ctx, s, name, req, len(all))
	if err != nil {
		return err
	}
	older := all[1+slices.IndexFunc(all, func(v backend.Version) bool { return v.ID == req.After }):]
	return sameVersions(fmt.Sprintf("the versions of %s%s", show(name), versionsAsked(req)), older, got)
}

func checkNewestFirst(ctx context.Context, e *env) error {
	s, written, err := e.written(ctx, e.many())
	if err != nil {
		return err
	}
	want := newestFirst(written)
	for _, limit := range []int{0, 100, backend.MaxPageSize - 1, backend.MaxPageSize, backend.MaxPageSize + 1} {
		if err := newerFirst(ctx, s, object, want, backend.VersionsRequest{Limit: limit}); err != nil {
			return err
		}
	}
	return nil
}

func checkVersionPages(ctx context.Context, e *env) error {
	const n = 50
	s, written, err := e.written(ctx, n)
	if err != nil {
		return err
	}
	want := newestFirst(written)
	for _, limit := range []int{1, 2, 3, 7, 10, n / 2, n - 1, n, n + 1, backend.MaxPageSize, backend.MaxPageSize + 1, 1 << 30, 0} {
		if err := newerFirst(ctx, s, object, want, backend.VersionsRequest{Limit: limit}); err != nil {
			return err
		}
	}
	return nil
}

func checkAfterVersion(ctx context.Context, e *env) error {
	stores := e.stores
	written, err := chain(ctx, stores[0], object, 12)
	if err != nil {
		return err
	}
	want := newestFirst(written)
	for i, after := range want {
		for _, limit := range []int{0, 1, 2, 3} {
			if err := newerFirst(ctx, stores[i%2], object, want, backend.VersionsRequest{After: after.ID, Limit: limit}); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkAfterNoVersion(ctx context.Context, e *env) error {
	s, _, err := e.written(ctx, 3)
	if err != nil {
		return err
	}
	// IDs are per object. Only the fourth ID of four cannot be one of three.
	foreign, err := chain(ctx, s, object+"-2", 4)
	if err != nil {
		return err
	}
	for _, name := range []string{object, "never-written"} {
		for _, after := range []backend.VersionID{foreign[3].ID, "made-up", "null", "../" + foreign[3].ID} {
			versions, err := begins(ctx, s, name, backend.VersionsRequest{After: after})
			if err == nil && len(versions) > 0 {
				return unlike(fmt.Sprintf("an error or an empty listing after %q, which is no version of %q", after, name), "%d versions", len(versions))
			}
		}
	}
	return nil
}

func checkNeverWritten(ctx context.Context, e *env) error {
	s := e.stores[0]
	// Once with an empty store, and once with similar names.
	for range 2 {
		for _, name := range []string{object, "a", "a/b"} {
			for _, limit := range []int{0, 1} {
				versions, err := begins(ctx, s, name, backend.VersionsRequest{Limit: limit})
				if err != nil || len(versions) > 0 {
					return unlike(fmt.Sprintf("no versions of %q, which was never written, and no error", name), "%+v and %s", versions, outcome(err))
				}
			}
		}
		for _, name := range []string{object + "/below", "a/b/c"} {
			if _, err := s.Put(ctx, name, nil, backend.IfAbsent()); err != nil && !errors.Is(err, backend.ErrPreconditionFailed) {
				return err
			}
		}
	}
	return nil
}

func checkNeighbours(ctx context.Context, e *env) error {
	s := e.stores[0]
	names := []string{"a", "a ", "a!", "a-", "a.", "a.json", "a/", "a/b", "a0", "aa", "A", "b"}
	names = e.h.Limits.held(names)
	written := make(map[string][]backend.Object)
	for i, name := range names {
		versions, err := chain(ctx, s, name, 2+i%3)
		if err != nil {
			return err
		}
		written[name] = versions
	}
	for _, name := range names {
		want := newestFirst(written[name])
		for _, req := range []backend.VersionsRequest{{}, {Limit: 1}, {Limit: 2}, {After: want[0].ID}, {After: want[len(want)-1].ID, Limit: 1}} {
			if err := newerFirst(ctx, s, name, want, req); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkEqualBodies(ctx context.Context, e *env) error {
	s := e.stores[0]
	var written []backend.Object
	cond := backend.IfAbsent()
	for i := range 15 {
		o, err := write(ctx, s, object, []byte{byte(i / 5)}, cond)
		if err != nil {
			return err
		}
		written = append(written, o)
		cond = backend.IfMatch(o.ETag)
	}
	want := newestFirst(written)
	for _, limit := range []int{1, 2, 0} {
		if err := newerFirst(ctx, s, object, want, backend.VersionsRequest{Limit: limit}); err != nil {
			return err
		}
	}
	for _, after := range want {
		if err := newerFirst(ctx, s, object, want, backend.VersionsRequest{After: after.ID, Limit: 4}); err != nil {
			return err
		}
	}
	return nil
}

func checkVersionsWhileWritten(ctx context.Context, e *env) error {
	stores := e.stores
	written, err := chain(ctx, stores[0], object, 20)
	if err != nil {
		return err
	}
	for _, limit := range []int{1, 2, 3, 5} {
		want := newestFirst(written)
		req := backend.VersionsRequest{Limit: limit}
		var got []backend.Version
		for range pagesAtMost(len(want)) {
			page, err := stores[1].ListVersions(ctx, object, req)
			if err != nil {
				return err
			}
			got = append(got, page.Versions...)
			if page.Next == "" {
				break
			}
			req.Token = page.Next
			if len(written) < 60 {
				last := written[len(written)-1]
				o, err := write(ctx, stores[0], object, fmt.Appendf(nil, "added %d", len(written)), backend.IfMatch(last.ETag))
				if err != nil {
					return err
				}
				written = append(written, o)
			}
		}
		// The listing may begin with a version that was added before its first
		// page with versions was made.
		if all := newestFirst(written); len(got) > len(want) {
			want = all[max(0, slices.Index(all, got[0])):]
		}
		if err := sameVersions("the versions, while others were added"+inPages(limit), want, got); err != nil {
			return err
		}
	}
	return nil
}
