package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/immukv/immukv-go/backend"
)

func newestFirst(written []backend.Object) []backend.Version {
	versions := make([]backend.Version, 0, len(written))
	for _, o := range slices.Backward(written) {
		versions = append(versions, o.Version)
	}
	return versions
}

func sameVersions(what string, want, got []backend.Version) error {
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			return unlike(fmt.Sprintf("%s to have %+v at place %d of %d", what, want[i], i, len(want)), "%+v there, of %d", got[i], len(got))
		}
	}
	if len(want) != len(got) {
		return unlike(fmt.Sprintf("%s to be %d", what, len(want)), "%d", len(got))
	}
	return nil
}

// sameSet compares the versions listed of an object with those written, in any
// order.
func sameSet(name string, want, got []backend.Version) error {
	for _, v := range want {
		if !slices.Contains(got, v) {
			return unlike(fmt.Sprintf("version %+v to be listed among the %d of %s", v, len(want), name), "%+v", got)
		}
	}
	// All of them are there. What is left over is another version, or one of
	// them twice.
	if len(got) > len(want) {
		return unlike(fmt.Sprintf("%d versions of %s", len(want), name), "%d: %+v", len(got), got)
	}
	return nil
}

// listVersions collects the pages of a listing of at most bound versions, and
// checks that no page exceeds its limit.
func listVersions(ctx context.Context, s backend.VersionedStore, name string, req backend.VersionsRequest, bound int) ([]backend.Version, error) {
	what := fmt.Sprintf("the versions of %s%s", show(name), versionsAsked(req))
	return collect(what, bound, req.Limit, func(token backend.PageToken) ([]backend.Version, backend.PageToken, error) {
		req.Token = token
		page, err := s.ListVersions(ctx, name, req)
		return page.Versions, page.Next, err
	})
}

// listNames does the same for names.
func listNames(ctx context.Context, s backend.VersionedStore, req backend.NamesRequest, bound int) ([]string, error) {
	what := "the names" + namesAsked(req)
	return collect(what, bound, req.Limit, func(token backend.PageToken) ([]string, backend.PageToken, error) {
		req.Token = token
		page, err := s.ListNames(ctx, req)
		return page.Names, page.Next, err
	})
}

// expected returns the names that the contract puts in the listing.
func expected(names []string, req backend.NamesRequest) []string {
	var want []string
	for _, name := range names {
		if strings.HasPrefix(name, req.Prefix) && name > req.After {
			want = append(want, name)
		}
	}
	return want
}

// listed checks that a listing holds the names that it should.
func listed(ctx context.Context, s backend.VersionedStore, names []string, req backend.NamesRequest) error {
	want := expected(names, req)
	got, err := listNames(ctx, s, req, len(want))
	if err != nil {
		return err
	}
	if !slices.Equal(got, want) {
		return unlike(fmt.Sprintf("the names%s to be %s", namesAsked(req), showNames(want, got)), "%s", showNames(got, want))
	}
	return nil
}

// pagesAtMost is how many pages a listing of that many items may have. A store
// may end a page anywhere, and a page may be empty because the store skips what
// does not belong to the listing. But every listing must end.
func pagesAtMost(items int) int { return 2*items + 100 }

// collect returns the items of all pages of a listing.
func collect[T any](what string, bound, limit int, page func(backend.PageToken) ([]T, backend.PageToken, error)) ([]T, error) {
	var all []T
	var token backend.PageToken
	for range pagesAtMost(bound) {
		items, next, err := page(token)
		if err != nil {
			return nil, unlike(what+" to be listed", "%v", err)
		}
		if limit > 0 && len(items) > limit {
			return nil, unlike(what+" at most", "a page of %d", len(items))
		}
		all = append(all, items...)
		if next == "" || len(all) > bound {
			return all, nil
		}
		token = next
	}
	return nil, unlike(what+" to come to an end", "%d pages with %d items and no end", pagesAtMost(bound), len(all))
}

// begins returns the first page of a listing that holds versions. It returns
// none if no page does.
func begins(ctx context.Context, s backend.VersionedStore, name string, req backend.VersionsRequest) ([]backend.Version, error) {
	for range pagesAtMost(0) {
		page, err := s.ListVersions(ctx, name, req)
		if err != nil || len(page.Versions) > 0 || page.Next == "" {
			return page.Versions, err
		}
		req.Token = page.Next
	}
	return nil, unlike(fmt.Sprintf("the versions of %s%s to come to an end", show(name), versionsAsked(req)), "%d empty pages", pagesAtMost(0))
}
