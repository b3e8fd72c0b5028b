package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/immukv/immukv-go/backend"
)

// callLimit is how long one call may take. A body of the largest size takes a
// good part of it on a slow line.
const callLimit = 2 * time.Minute

// watch is kept over what a check does to its store.
type watch struct {
	requests atomic.Int64
	// giveUp ends the check for a reason other than its own.
	giveUp context.CancelCauseFunc

	mu        sync.Mutex
	malformed error // the first error that was not in the form of the contract
}

// overdue is the cause of the end of a check that took too long, or of which a
// call did.
type overdue string

func (o overdue) Error() string { return string(o) }

// during calls f, and gives the check up if that does not return in time. What
// words the call.
func (w *watch) during(what func() string, f func()) {
	timer := time.AfterFunc(callLimit, func() {
		w.giveUp(overdue(fmt.Sprintf("%s did not return within %v", what(), callLimit)))
	})
	defer timer.Stop()
	f()
}

// doing is during for what is no call of a store and may fail.
func (w *watch) doing(what string, f func() error) (err error) {
	w.during(func() string { return what }, func() { err = f() })
	return err
}

// formed looks at the form of an error of a store, which callers rely on to
// tell their users what was attempted on what.
func (w *watch) formed(op, name string, err error) {
	if err == nil || wellFormed(name, err) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.malformed == nil {
		w.malformed = unlike("every error of a store to be wrapped in a *backend.Error that names the operation and the object",
			"a %T of %s %s: %v", err, op, show(name), err)
	}
}

func wellFormed(name string, err error) bool {
	e, ok := errors.AsType[*backend.Error](err)
	return ok && e.Op != "" && (e.Name != "" || name == "")
}

// malformedError is about the first error that was not in the form of the
// contract, or nil.
func (w *watch) malformedError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.malformed
}

// watchedStore is a handle as checks have it. It names every method, so that
// one added to the contract cannot go unwatched unseen.
type watchedStore struct {
	store backend.VersionedStore
	watch *watch
}

var _ backend.VersionedStore = (*watchedStore)(nil)

// closes reports whether a handle that open returned can be closed.
func closes(s backend.VersionedStore) bool {
	_, ok := s.(*watchedStore).store.(io.Closer)
	return ok
}

// close closes the handle, if it is an io.Closer.
func (s *watchedStore) close() error {
	c, ok := s.store.(io.Closer)
	if !ok {
		return nil
	}
	if err := s.watch.doing("close a handle", c.Close); err != nil {
		return fmt.Errorf("close a handle: %w", err)
	}
	return nil
}

// watched makes a call of a store.
func watched[T any](s *watchedStore, op, name string, call func() (T, error)) (answer T, err error) {
	s.watch.requests.Add(1)
	s.watch.during(func() string { return op + " " + show(name) }, func() { answer, err = call() })
	s.watch.formed(op, name, err)
	return answer, err
}

func (s *watchedStore) Get(ctx context.Context, name string) (backend.Object, error) {
	return watched(s, "get", name, func() (backend.Object, error) { return s.store.Get(ctx, name) })
}

func (s *watchedStore) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	return watched(s, "get version", name, func() (backend.Object, error) { return s.store.GetVersion(ctx, name, id) })
}

func (s *watchedStore) Head(ctx context.Context, name string) (backend.Version, error) {
	return watched(s, "head", name, func() (backend.Version, error) { return s.store.Head(ctx, name) })
}

func (s *watchedStore) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	return watched(s, "put", name, func() (backend.Version, error) { return s.store.Put(ctx, name, body, cond) })
}

func (s *watchedStore) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	return watched(s, "list versions", name, func() (backend.VersionsPage, error) { return s.store.ListVersions(ctx, name, req) })
}

func (s *watchedStore) ListNames(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
	return watched(s, "list names", req.Prefix, func() (backend.NamesPage, error) { return s.store.ListNames(ctx, req) })
}
