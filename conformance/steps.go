package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/immukv/immukv-go/backend"
)

// Steps that checks have in common. Each returns the error of the check.

// object is the name that a check uses when the name does not matter.
const object = "plant-7/sensor"

// write writes under a condition that holds, and returns the new version with
// its body.
func write(ctx context.Context, s backend.VersionedStore, name string, body []byte, cond backend.Condition) (backend.Object, error) {
	v, err := s.Put(ctx, name, body, cond)
	if err != nil {
		return backend.Object{}, unlike(fmt.Sprintf("a write of %s %v, which holds, to apply", show(name), cond), "%v", err)
	}
	if v.ID == "" || v.ID == "null" || v.ETag == "" || v.DeleteMarker {
		return backend.Object{}, unlike("the answer to a write to carry a version ID, other than null, and an ETag", "%+v", v)
	}
	return backend.Object{Version: v, Body: body}, nil
}

// mustFail writes under a condition that does not hold.
func mustFail(ctx context.Context, s backend.VersionedStore, name string, body []byte, cond backend.Condition) error {
	_, err := s.Put(ctx, name, body, cond)
	if !errors.Is(err, backend.ErrPreconditionFailed) {
		return unlike(fmt.Sprintf("a write of %s %v, which does not hold, to end with %q", show(name), cond, backend.ErrPreconditionFailed),
			"%s", outcome(err))
	}
	return nil
}

// second returns the error of a call with two results.
func second[T any](_ T, err error) error { return err }

// chain writes n versions of an object that is absent, oldest first, each under
// the ETag of the one before.
func chain(ctx context.Context, s backend.VersionedStore, name string, n int) ([]backend.Object, error) {
	var written []backend.Object
	cond := backend.IfAbsent()
	for i := range n {
		o, err := write(ctx, s, name, fmt.Appendf(nil, "version %d of %q", i, name), cond)
		if err != nil {
			return nil, err
		}
		written = append(written, o)
		cond = backend.IfMatch(o.ETag)
	}
	return written, nil
}

// current checks that Get and Head agree on what the current version is.
func current(ctx context.Context, s backend.VersionedStore, name string, want backend.Object) error {
	got, err := s.Get(ctx, name)
	if err != nil {
		return unlike(fmt.Sprintf("Get of %s to return version %q", show(name), want.ID), "%v", err)
	}
	if err := same("Get of "+show(name), want, got); err != nil {
		return err
	}
	v, err := s.Head(ctx, name)
	if err != nil {
		return unlike(fmt.Sprintf("Head of %s to return version %q", show(name), want.ID), "%v", err)
	}
	if v != want.Version {
		return unlike(fmt.Sprintf("Head of %s to return %+v", show(name), want.Version), "%+v", v)
	}
	return nil
}

// readable checks that a version can be read back by its ID.
func readable(ctx context.Context, s backend.VersionedStore, name string, want backend.Object) error {
	got, err := s.GetVersion(ctx, name, want.ID)
	if err != nil {
		return unlike(fmt.Sprintf("GetVersion of %s to return version %q", show(name), want.ID), "%v", err)
	}
	return same("GetVersion of "+show(name), want, got)
}

// same compares an object read with the one written.
func same(what string, want, got backend.Object) error {
	if got.Version != want.Version {
		return unlike(fmt.Sprintf("%s to return %+v", what, want.Version), "%+v", got.Version)
	}
	if !bytes.Equal(got.Body, want.Body) {
		return unlike(fmt.Sprintf("%s to return the body of version %q, %s", what, want.ID, showBody(want.Body)), "%s", showBody(got.Body))
	}
	return nil
}

// absent checks that the object is absent for every kind of read.
func absent(ctx context.Context, s backend.VersionedStore, name string) error {
	if _, err := s.Get(ctx, name); !errors.Is(err, backend.ErrNotFound) {
		return unlike(fmt.Sprintf("Get of %s, which was not written, to end with %q", show(name), backend.ErrNotFound), "%s", outcome(err))
	}
	if _, err := s.Head(ctx, name); !errors.Is(err, backend.ErrNotFound) {
		return unlike(fmt.Sprintf("Head of %s, which was not written, to end with %q", show(name), backend.ErrNotFound), "%s", outcome(err))
	}
	versions, err := listVersions(ctx, s, name, backend.VersionsRequest{}, 1)
	if err != nil {
		return err
	}
	if len(versions) > 0 {
		return unlike(fmt.Sprintf("no versions of %s, which was not written", show(name)), "%+v", versions)
	}
	return nil
}

// history checks that the object has exactly the given versions, listed in any
// order. The checks of S10 check the order.
func history(ctx context.Context, s backend.VersionedStore, name string, want []backend.Object) error {
	got, err := listVersions(ctx, s, name, backend.VersionsRequest{}, len(want))
	if err != nil {
		return err
	}
	return sameSet(show(name), newestFirst(want), got)
}

// survived checks that every version that was written of an object can be read
// and is listed.
func survived(ctx context.Context, s backend.VersionedStore, name string, written []backend.Object) error {
	if err := current(ctx, s, name, written[len(written)-1]); err != nil {
		return err
	}
	if err := history(ctx, s, name, written); err != nil {
		return err
	}
	for _, o := range written {
		if err := readable(ctx, s, name, o); err != nil {
			return err
		}
	}
	return nil
}

// unlikeTag returns a tag of the same form as the given one, which no version
// has.
func unlikeTag(tag backend.ETag) backend.ETag {
	b := []byte(tag)
	for i, c := range b {
		switch {
		case c >= '0' && c <= '8', c >= 'a' && c <= 'e':
			b[i] = c + 1
		case c == '9', c == 'f':
			b[i] = '0'
		}
	}
	if backend.ETag(b) == tag {
		return tag + "0"
	}
	return backend.ETag(b)
}
