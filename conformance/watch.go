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

// callLimit is how long one call may take. A body of the largest size takes
// much of it on a slow network.
const callLimit = 2 * time.Minute

// watch observes the calls that a check makes of its store.
type watch struct {
	requests atomic.Int64
	// unavailable counts the requests that were repeated because the store was
	// unavailable. gone is set when it stayed unavailable.
	unavailable atomic.Int64
	gone        atomic.Bool
	// giveUp ends the check from outside. The cause is an overdue or a
	// *mismatch.
	giveUp context.CancelCauseFunc
	claims claims

	mu        sync.Mutex
	malformed error // the first error that was not in the form of the contract
}

// overdue is the cause when a check, or one of its calls, took too long.
type overdue string

func (o overdue) Error() string { return string(o) }

// during calls f, and ends the check if f does not return in time. what
// describes the call.
func (w *watch) during(what func() string, f func()) {
	timer := time.AfterFunc(callLimit, func() {
		w.giveUp(overdue(fmt.Sprintf("%s did not return within %v", what(), callLimit)))
	})
	defer timer.Stop()
	f()
}

// doing does the same for an f that can fail.
func (w *watch) doing(what string, f func() error) (err error) {
	w.during(func() string { return what }, func() { err = f() })
	return err
}

// formed checks that an error of a store names the operation and the object.
// Callers rely on that to tell their users what failed.
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

// malformedError reports the first error that was not in the form of the
// contract, or returns nil.
func (w *watch) malformedError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.malformed
}

// watchedStore is the handle that checks use. It embeds nothing, so that a
// method added to the contract cannot go unwatched.
type watchedStore struct {
	store backend.VersionedStore
	watch *watch
	raw   func() bool // as available takes it
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

// watched makes and observes a call of a store.
func watched[T any](ctx context.Context, s *watchedStore, op, name string, call func() (T, error)) (answer T, err error) {
	s.watch.requests.Add(1)
	err = s.watch.available(ctx, s.raw, func() (err error) {
		s.watch.during(func() string { return op + " " + show(name) }, func() { answer, err = call() })
		return err
	})
	s.watch.formed(op, name, err)
	return answer, err
}

// heard ends the check if the version that a call returned contradicts what
// other calls returned.
func (w *watch) heard(op, name string, v backend.Version, err error) {
	if err != nil {
		return
	}
	if contradiction := w.claims.add(op, name, v); contradiction != nil {
		w.giveUp(contradiction)
	}
}

const opPut = "put"

func (s *watchedStore) Get(ctx context.Context, name string) (backend.Object, error) {
	const op = "get"
	o, err := watched(ctx, s, op, name, func() (backend.Object, error) { return s.store.Get(ctx, name) })
	s.watch.heard(op, name, o.Version, err)
	return o, err
}

func (s *watchedStore) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	const op = "get version"
	o, err := watched(ctx, s, op, name, func() (backend.Object, error) { return s.store.GetVersion(ctx, name, id) })
	s.watch.heard(op, name, o.Version, err)
	return o, err
}

func (s *watchedStore) Head(ctx context.Context, name string) (backend.Version, error) {
	const op = "head"
	v, err := watched(ctx, s, op, name, func() (backend.Version, error) { return s.store.Head(ctx, name) })
	s.watch.heard(op, name, v, err)
	return v, err
}

func (s *watchedStore) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	v, err := watched(ctx, s, opPut, name, func() (backend.Version, error) { return s.store.Put(ctx, name, body, cond) })
	s.watch.heard(opPut, name, v, err)
	return v, err
}

// ListVersions records no claims. A listing made during a write may be
// inaccurate about the version being written, which the checks of S10 and S19
// judge.
func (s *watchedStore) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	return watched(ctx, s, "list versions", name, func() (backend.VersionsPage, error) { return s.store.ListVersions(ctx, name, req) })
}

func (s *watchedStore) ListNames(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
	return watched(ctx, s, "list names", req.Prefix, func() (backend.NamesPage, error) { return s.store.ListNames(ctx, req) })
}
