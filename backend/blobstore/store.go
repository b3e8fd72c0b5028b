package blobstore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/immukv/immukv-go/backend"
)

// Store is a versioned store in a bucket or a directory. Make one with [New] or
// [OpenDir]. Its methods may be called from any number of goroutines.
type Store struct {
	medium medium
	close  func() error
}

var _ backend.Store = (*Store)(nil)

// medium is the place where a Store keeps the versions of its objects. Objects are
// identified by their path, joined with slashes. An error is a [*fault] if the contract
// has a name for its kind.
type medium interface {
	// latest returns the number of the newest version of an object, or 0 if it never had
	// one.
	latest(ctx context.Context, object string) (int64, error)

	// present returns errMissing if a version that latest has just returned no longer
	// exists.
	present(ctx context.Context, object string, n int64) error

	// read returns the body of a version, or errMissing.
	read(ctx context.Context, object string, n int64) ([]byte, error)

	// append creates version after+1, durably, if version after is the newest, or if
	// there is none and after is 0. After an error that does not promise that nothing
	// happened, the version may exist, now or later.
	append(ctx context.Context, object string, after int64, body []byte) error

	// check returns an error for an object that the medium cannot hold.
	check(object string) error

	// children lists, in order, the parts that follow parent (which is empty or ends in a
	// slash) in the paths of objects, begin with prefix and are greater than after: one
	// page of them, and the token of the next page. Other parts that it lists are
	// ignored. The first page is nil.
	children(ctx context.Context, parent, prefix, after string, page []byte, limit int) (parts []string, next []byte, err error)

	// holds reports whether the object of a listed path has a version.
	holds(ctx context.Context, object string) (bool, error)
}

// fault is an error of a medium with one of the contract's kinds.
type fault struct{ kind, cause error }

func (f *fault) Error() string   { return fmt.Sprintf("%v: %v", f.kind, f.cause) }
func (f *fault) Unwrap() []error { return []error{f.kind, f.cause} }

// errMissing: the medium does not have that version.
var errMissing = errors.New("version missing")

// damaged turns errMissing, for a version that was written, into [backend.ErrDamaged].
func damaged(err error) error {
	if errors.Is(err, errMissing) {
		return &fault{backend.ErrDamaged, err}
	}
	return err
}

func newStore(m medium, close func() error) *Store {
	return &Store{medium: m, close: sync.OnceValue(close)}
}

// Close releases what opening the store acquired. A bucket that was passed to [New] stays
// open.
func (s *Store) Close() error { return s.close() }

// Get implements [backend.VersionedStore].
func (s *Store) Get(ctx context.Context, name string) (backend.Object, error) {
	const op = "get"
	object, err := s.object(ctx, name)
	if err != nil {
		return backend.Object{}, failure(op, name, "", err)
	}
	n, err := s.current(ctx, object)
	if err != nil {
		return backend.Object{}, failure(op, name, "", err)
	}
	body, err := s.medium.read(ctx, object, n)
	if err != nil {
		return backend.Object{}, failure(op, name, versionID(n), damaged(err))
	}
	return backend.Object{Version: version(n), Body: body}, nil
}

// GetVersion implements [backend.VersionedStore].
func (s *Store) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	const op = "get version"
	object, err := s.object(ctx, name)
	if err != nil {
		return backend.Object{}, failure(op, name, id, err)
	}
	n, ok := numberOf(string(id), "v")
	if !ok {
		return backend.Object{}, failure(op, name, id, &fault{backend.ErrNotFound, errors.New("not a version ID of this store")})
	}
	body, err := s.medium.read(ctx, object, n)
	if errors.Is(err, errMissing) {
		err = s.absence(ctx, object, n, err)
	}
	if err != nil {
		return backend.Object{}, failure(op, name, id, err)
	}
	return backend.Object{Version: version(n), Body: body}, nil
}

// absence returns the error for a missing version: it never existed, or somebody removed
// it.
func (s *Store) absence(ctx context.Context, object string, n int64, missing error) error {
	newest, err := s.medium.latest(ctx, object)
	switch {
	case err != nil:
		return err
	case n <= newest:
		return damaged(missing)
	default:
		return backend.ErrNotFound
	}
}

// Head implements [backend.VersionedStore].
func (s *Store) Head(ctx context.Context, name string) (backend.Version, error) {
	const op = "head"
	object, err := s.object(ctx, name)
	if err != nil {
		return backend.Version{}, failure(op, name, "", err)
	}
	n, err := s.current(ctx, object)
	if err != nil {
		return backend.Version{}, failure(op, name, "", err)
	}
	if err := s.medium.present(ctx, object, n); err != nil {
		return backend.Version{}, failure(op, name, versionID(n), damaged(err))
	}
	return version(n), nil
}

// Put implements [backend.VersionedStore].
func (s *Store) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	const op = "put"
	if err := backend.CheckPut(name, body, cond); err != nil {
		return backend.Version{}, failure(op, name, "", err)
	}
	object, err := s.object(ctx, name)
	if err != nil {
		return backend.Version{}, failure(op, name, "", withoutEffect(err))
	}
	after, known := numberOf(string(cond.ETag()), "e")
	if !known && !cond.Absent() {
		err := &fault{backend.ErrPreconditionFailed, fmt.Errorf("no version can have the ETag %s", cond.ETag())}
		return backend.Version{}, failure(op, name, "", err)
	}
	if err := s.medium.append(ctx, object, after, body); err != nil {
		return backend.Version{}, failure(op, name, "", err)
	}
	return version(after + 1), nil
}

// ListVersions implements [backend.VersionedStore].
func (s *Store) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	const op = "list versions"
	object, err := s.object(ctx, name)
	if err != nil {
		return backend.VersionsPage{}, failure(op, name, "", err)
	}
	n, err := s.listFrom(ctx, object, req)
	if err != nil {
		return backend.VersionsPage{}, failure(op, name, req.After, err)
	}
	// Numbers have no gaps, so the versions are known without a request. A version that
	// somebody removed is listed, too, and reading it fails.
	var page backend.VersionsPage
	for oldest := max(1, n-int64(pageSize(req.Limit))+1); n >= oldest; n-- {
		page.Versions = append(page.Versions, version(n))
	}
	if n > 0 {
		page.Next = backend.PageToken(versionID(n))
	}
	return page, nil
}

// listFrom returns the number of the version with which a listing begins, or 0 if there
// is none.
func (s *Store) listFrom(ctx context.Context, object string, req backend.VersionsRequest) (int64, error) {
	if req.Token != "" {
		n, ok := numberOf(string(req.Token), "v")
		if !ok {
			return 0, errBadToken
		}
		return n, nil
	}
	newest, err := s.medium.latest(ctx, object)
	if err != nil || req.After == "" || newest == 0 {
		return newest, err
	}
	after, ok := numberOf(string(req.After), "v")
	if !ok || after > newest {
		return 0, backend.ErrNotFound
	}
	return after - 1, nil
}

// errBadToken: the page token was not returned by a listing of this store.
var errBadToken = errors.New("the page token is not one of this listing")

// object returns the path below which the versions of an object are stored.
func (s *Store) object(ctx context.Context, name string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := backend.CheckName(name); err != nil {
		return "", err
	}
	object := joinPath(pathOf(name))
	return object, s.medium.check(object)
}

// current returns the number of the newest version of an object that has one.
func (s *Store) current(ctx context.Context, object string) (int64, error) {
	n, err := s.medium.latest(ctx, object)
	if err == nil && n == 0 {
		err = backend.ErrNotFound
	}
	return n, err
}

// failure adds the operation and the object to an error.
func failure(op, name string, id backend.VersionID, err error) error {
	e := &backend.Error{Op: op, Name: name, Version: id, Err: err}
	var f *fault
	if errors.As(err, &f) {
		e.Kind, e.Err = f.kind, f.cause
	}
	return e
}

// withoutEffect is for an error of a write that certainly had and will have no effect.
// The contract has a single kind for such errors that it does not name otherwise.
func withoutEffect(err error) error {
	for _, kind := range []error{backend.ErrAccessDenied, backend.ErrUnavailable, backend.ErrInvalidName, backend.ErrDamaged} {
		if errors.Is(err, kind) {
			return err
		}
	}
	return &fault{backend.ErrUnavailable, err}
}

func pageSize(limit int) int {
	if limit <= 0 || limit > backend.MaxPageSize {
		return backend.MaxPageSize
	}
	return limit
}
