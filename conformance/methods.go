package conformance

import (
	"context"
	"slices"

	"github.com/immukv/immukv-go/backend"
)

// The methods of the contract, for checks that try all of them.
var (
	objectMethods = []string{"Get", "GetVersion", "Head", "Put if absent", "Put if matching", "ListVersions"}
	readMethods   = []string{"Get", "GetVersion", "Head", "ListVersions", "ListNames"}
	writeMethods  = []string{"Put if absent", "Put if matching"}
	allMethods    = slices.Concat(readMethods, writeMethods)
)

// call makes one call and returns its error.
type call func(ctx context.Context, s backend.VersionedStore) error

// callsOn returns a call of each method on the object, with a version ID and an
// ETag that it does not have.
func callsOn(name string) map[string]call {
	return callsOnVersion(name, backend.Version{ID: "made-up", ETag: `"made-up"`})
}

// callsOnVersion returns a call of each method on the object and the given
// version.
func callsOnVersion(name string, v backend.Version) map[string]call {
	body := []byte("written by a call that was to fail")
	return map[string]call{
		"Get": func(ctx context.Context, s backend.VersionedStore) error {
			_, err := s.Get(ctx, name)
			return err
		},
		"GetVersion": func(ctx context.Context, s backend.VersionedStore) error {
			_, err := s.GetVersion(ctx, name, v.ID)
			return err
		},
		"Head": func(ctx context.Context, s backend.VersionedStore) error {
			_, err := s.Head(ctx, name)
			return err
		},
		"Put if absent": func(ctx context.Context, s backend.VersionedStore) error {
			_, err := s.Put(ctx, name, body, backend.IfAbsent())
			return err
		},
		"Put if matching": func(ctx context.Context, s backend.VersionedStore) error {
			_, err := s.Put(ctx, name, body, backend.IfMatch(v.ETag))
			return err
		},
		"ListVersions": func(ctx context.Context, s backend.VersionedStore) error {
			_, err := s.ListVersions(ctx, name, backend.VersionsRequest{})
			return err
		},
		"ListNames": func(ctx context.Context, s backend.VersionedStore) error {
			_, err := s.ListNames(ctx, backend.NamesRequest{})
			return err
		},
	}
}
