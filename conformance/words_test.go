package conformance_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/conformance"
)

// forgetful is a store whose listings leave out the last name of all.
type forgetful struct{ backend.VersionedStore }

func (f forgetful) ListNames(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
	page, err := f.VersionedStore.ListNames(ctx, req)
	page.Names = slices.DeleteFunc(page.Names, func(name string) bool { return strings.HasPrefix(name, "\U0001f600") })
	return page, err
}

// opaque is a store whose errors keep nothing but their kind, or nothing of
// what they were about.
type opaque struct {
	backend.VersionedStore
	err error
}

func (o opaque) Get(ctx context.Context, name string) (backend.Object, error) {
	obj, err := o.VersionedStore.Get(ctx, name)
	if err != nil {
		err = o.err
	}
	return obj, err
}

// The result of a failed check can be understood without the code of the check.
func TestWords(t *testing.T) {
	t.Parallel()
	cases := []struct {
		check          string
		wrap           func(backend.VersionedStore) backend.VersionedStore
		expected, seen string
	}{
		{
			"S11/byte-order", func(s backend.VersionedStore) backend.VersionedStore { return forgetful{s} },
			`the names, in pages of the store's size to be 39 names, from place 37 on "😀" "😀/a"`, "37 names, and no more",
		},
		{
			"S1/create", func(s backend.VersionedStore) backend.VersionedStore { return opaque{s, backend.ErrNotFound} },
			"every error of a store to be wrapped in a *backend.Error that names the operation and the object",
			`a *errors.errorString of get "plant-7/sensor": not found`,
		},
		{
			"S1/create", func(s backend.VersionedStore) backend.VersionedStore {
				return opaque{s, &backend.Error{Op: "get", Kind: backend.ErrNotFound}}
			},
			"every error of a store to be wrapped in a *backend.Error that names the operation and the object",
			`a *backend.Error of get "plant-7/sensor": get "": not found`,
		},
	}
	for _, c := range cases {
		h := conformance.Harness{New: func(context.Context) (conformance.Store, error) {
			store := c.wrap(memstore.New())
			return conformance.Store{Open: func(context.Context) (backend.VersionedStore, error) { return store, nil }}, nil
		}}
		r := examine(t, h, c.check)[c.check]
		if r.Outcome != conformance.Fail || r.Expected != c.expected || r.Seen != c.seen {
			t.Errorf("%s:\nexpected: %s\nseen:     %s", c.check, r.Expected, r.Seen)
		}
	}
}
