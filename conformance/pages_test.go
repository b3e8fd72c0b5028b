package conformance_test

import (
	"context"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/conformance"
)

// raggedStore cuts listings into pages as awkward as the contract allows: every
// other page is empty, the first and the last among them, and no page is as long
// as was asked for unless that is one item.
type raggedStore struct{ backend.VersionedStore }

// A token says what comes next: a page of the store under it, with the token for
// that, or an empty page before one.
const (
	nextIsPage  = "page:"
	nextIsEmpty = "empty:"
	nextIsEnd   = "end:"
)

// ragged asks for one page of a listing. Page makes it from the store under it,
// given a token and a limit.
func ragged(token backend.PageToken, limit int, page func(backend.PageToken, int) (backend.PageToken, error)) (backend.PageToken, error) {
	inner, ok := strings.CutPrefix(string(token), nextIsPage)
	switch {
	case token == "":
		_, err := page("", 1) // which must fail if the listing does
		return nextIsPage, err
	case token == nextIsEnd:
		return "", nil
	case !ok:
		return nextIsPage + token[len(nextIsEmpty):], nil
	}
	if limit <= 0 || limit > backend.MaxPageSize {
		limit = 20
	}
	next, err := page(backend.PageToken(inner), (limit+1)/2)
	if err != nil {
		return "", err
	}
	if next == "" {
		return nextIsEnd, nil
	}
	return nextIsEmpty + next, nil
}

func (s raggedStore) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (answer backend.VersionsPage, err error) {
	asked := req.Token
	answer.Next, err = ragged(asked, req.Limit, func(token backend.PageToken, limit int) (backend.PageToken, error) {
		req.Token, req.Limit = token, limit
		page, err := s.VersionedStore.ListVersions(ctx, name, req)
		if asked != "" {
			answer.Versions = page.Versions
		}
		return page.Next, err
	})
	return answer, err
}

func (s raggedStore) ListNames(ctx context.Context, req backend.NamesRequest) (answer backend.NamesPage, err error) {
	asked := req.Token
	answer.Next, err = ragged(asked, req.Limit, func(token backend.PageToken, limit int) (backend.PageToken, error) {
		req.Token, req.Limit = token, limit
		page, err := s.VersionedStore.ListNames(ctx, req)
		if asked != "" {
			answer.Names = page.Names
		}
		return page.Next, err
	})
	return answer, err
}

// around is the harness of memory with a wrapper around each handle.
func around(wrap func(backend.VersionedStore) backend.VersionedStore) conformance.Harness {
	h := memory
	h.New = func(ctx context.Context) (conformance.Store, error) {
		store, err := memory.New(ctx)
		open := store.Open
		store.Open = func(ctx context.Context) (backend.VersionedStore, error) {
			s, err := open(ctx)
			return wrap(s), err
		}
		return store, err
	}
	return h
}

// A store may cut its listings into pages anywhere, and pages may be empty.
func TestRaggedPages(t *testing.T) {
	t.Parallel()
	h := around(func(s backend.VersionedStore) backend.VersionedStore { return raggedStore{s} })
	h.Rounds = 4
	conformance.Run(t, h)
}
