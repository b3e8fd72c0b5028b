package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/immukv/immukv-go/backend"
)

// Steps that many checks take. Each returns the error of the check.

// object is the name that a check uses when the name does not matter.
const object = "plant-7/sensor"

// write writes under a condition that holds and returns the version with its
// body.
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

// refused writes under a condition that does not hold.
func refused(ctx context.Context, s backend.VersionedStore, name string, body []byte, cond backend.Condition) error {
	_, err := s.Put(ctx, name, body, cond)
	if !errors.Is(err, backend.ErrPreconditionFailed) {
		return unlike(fmt.Sprintf("a write of %s %v, which does not hold, to end with %q", show(name), cond, backend.ErrPreconditionFailed),
			"%s", outcome(err))
	}
	return nil
}

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

// history checks that the object has exactly the given versions, oldest first.
func history(ctx context.Context, s backend.VersionedStore, name string, want []backend.Object) error {
	got, err := listVersions(ctx, s, name, backend.VersionsRequest{}, len(want))
	if err != nil {
		return err
	}
	return sameVersions("the versions of "+show(name), newestFirst(want), got)
}

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

// listVersions collects the pages of a listing of which bound versions are
// expected at most, and checks that every page keeps to its limit.
func listVersions(ctx context.Context, s backend.VersionedStore, name string, req backend.VersionsRequest, bound int) ([]backend.Version, error) {
	what := fmt.Sprintf("the versions of %s%s", show(name), versionsAsked(req))
	return collect(what, bound, req.Limit, func(token backend.PageToken) ([]backend.Version, backend.PageToken, error) {
		req.Token = token
		page, err := s.ListVersions(ctx, name, req)
		return page.Versions, page.Next, err
	})
}

// versionsAsked words what a listing of versions asks for.
func versionsAsked(req backend.VersionsRequest) string {
	if req.After == "" {
		return inPages(req.Limit)
	}
	return fmt.Sprintf(" after %q%s", req.After, inPages(req.Limit))
}

// namesAsked does the same for names.
func namesAsked(req backend.NamesRequest) string {
	asked := inPages(req.Limit)
	if req.After != "" {
		asked = " after " + show(req.After) + asked
	}
	if req.Prefix != "" {
		asked = " with prefix " + show(req.Prefix) + asked
	}
	return asked
}

func inPages(limit int) string {
	if limit == 0 {
		return ", in pages of the store's size"
	}
	return fmt.Sprintf(", in pages of %d", limit)
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

// emptyPages is how many pages more than its items need a listing may have:
// pages may be empty, while a store passes by what does not belong in them.
const emptyPages = 100

// collect gives up on a listing that has more pages than that: it has to come to
// an end.
func collect[T any](what string, bound, limit int, page func(backend.PageToken) ([]T, backend.PageToken, error)) ([]T, error) {
	var all []T
	var token backend.PageToken
	for range bound + emptyPages {
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
	return nil, unlike(what+" to come to an end", "%d pages with %d items and no end", bound+emptyPages, len(all))
}

// maxSpins is far more than it takes when there are processors for all.
const maxSpins = 1000

// together runs n functions at once, as nearly as can be, and joins their
// errors.
func together(n int, f func(i int) error) error {
	errs := make([]error, n)
	var ready atomic.Int64
	var running sync.WaitGroup
	all := make(chan struct{})
	for i := range n {
		running.Go(func() {
			if ready.Add(1) == int64(n) {
				close(all)
			}
			// All wait at work: of many that are woken, each comes later. But
			// where processors are scarce, the last may wait for those who do.
			for spins := 0; ready.Load() < int64(n); spins++ {
				if spins == maxSpins {
					<-all
				}
				runtime.Gosched()
			}
			errs[i] = safely(func() error { return f(i) })
		})
	}
	running.Wait()
	for _, err := range errs {
		if err != nil {
			return err // one is enough to tell, and the others say the same
		}
	}
	return nil
}

// safely turns a panic of the store into an error.
func safely(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f()
}

// outcome words the error of a call for a report.
func outcome(err error) string {
	if err == nil {
		return "success"
	}
	return err.Error()
}

// show quotes a name; of a long one, the ends.
func show(name string) string {
	if len(name) > 80 {
		return fmt.Sprintf("%q…%q (%d bytes)", name[:30], name[len(name)-30:], len(name))
	}
	return fmt.Sprintf("%q", name)
}

// showBody describes a body in a line.
func showBody(body []byte) string {
	if len(body) > 60 {
		return fmt.Sprintf("%d bytes beginning with %q", len(body), body[:40])
	}
	return fmt.Sprintf("%q", body)
}

// unlikeTag is a tag of the same form as the given one, which no version has.
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
