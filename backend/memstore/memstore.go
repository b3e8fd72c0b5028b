// Package memstore keeps a versioned store in memory. It is the reference implementation
// of [backend.VersionedStore]: it keeps every clause except surviving a power failure
// (S5). It is also the test double for programs that use ImmuKV:
//
//	db, err := immukv.Open[Calibration](ctx, memstore.New())
//
// A store can be loaded from, and dumped to, a plain value with all its versions, IDs and
// ETags: see [Load] and [Store.Dump]. Equal sequences of writes yield equal version IDs,
// so that a simulation can be replayed.
//
// The package registers the URL scheme mem: each opening of mem:// is a new
// empty store. It imports nothing but the standard library and package backend.
package memstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/immukv/immukv-go/backend"
)

// Store is a versioned store in memory. Make one with [New] or [Load]. Its
// methods may be called from any number of goroutines.
type Store struct {
	mu      sync.RWMutex
	objects map[string]*object
	names   []string // of objects, sorted
	writes  uint64   // number of versions made by Put; their IDs derive from it
}

var _ backend.Store = (*Store)(nil)

// object holds the versions of one object. Bodies are strings, so that callers cannot
// change them through a slice.
type object struct {
	versions []Version // oldest first
	position map[backend.VersionID]int
}

// New returns an empty store.
func New() *Store {
	return &Store{objects: make(map[string]*object)}
}

// Close does nothing: the memory is freed with the last reference to the store.
func (s *Store) Close() error { return nil }

// Get implements [backend.VersionedStore].
func (s *Store) Get(ctx context.Context, name string) (backend.Object, error) {
	const op = "get"
	if err := check(ctx, op, name); err != nil {
		return backend.Object{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, ok := s.current(name)
	if !ok {
		return backend.Object{}, &backend.Error{Op: op, Name: name, Kind: backend.ErrNotFound}
	}
	return v.object(), nil
}

// GetVersion implements [backend.VersionedStore].
func (s *Store) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	const op = "get version"
	if err := check(ctx, op, name); err != nil {
		return backend.Object{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if o := s.objects[name]; o != nil {
		if i, ok := o.position[id]; ok && !o.versions[i].DeleteMarker {
			return o.versions[i].object(), nil
		}
	}
	return backend.Object{}, &backend.Error{Op: op, Name: name, Version: id, Kind: backend.ErrNotFound}
}

// Head implements [backend.VersionedStore].
func (s *Store) Head(ctx context.Context, name string) (backend.Version, error) {
	const op = "head"
	if err := check(ctx, op, name); err != nil {
		return backend.Version{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, ok := s.current(name)
	if !ok {
		return backend.Version{}, &backend.Error{Op: op, Name: name, Kind: backend.ErrNotFound}
	}
	return v.version(), nil
}

// Put implements [backend.VersionedStore].
func (s *Store) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	const op = "put"
	if err := ctx.Err(); err != nil {
		// Among the kinds that promise that nothing was written, this is the one for a
		// context that ended.
		return backend.Version{}, &backend.Error{Op: op, Name: name, Kind: backend.ErrUnavailable, Err: err}
	}
	if err := backend.CheckPut(name, body, cond); err != nil {
		return backend.Version{}, &backend.Error{Op: op, Name: name, Err: err}
	}
	v := Version{ETag: etagOf(body), Body: string(body)}

	s.mu.Lock()
	defer s.mu.Unlock()
	current, exists := s.current(name)
	if cond.Absent() == exists || exists && current.ETag != cond.ETag() {
		return backend.Version{}, &backend.Error{Op: op, Name: name, Kind: backend.ErrPreconditionFailed,
			Err: fmt.Errorf("the condition %v does not hold", cond)}
	}
	v.ID = s.newID(name)
	s.append(name, v)
	return v.version(), nil
}

// ListVersions implements [backend.VersionedStore].
func (s *Store) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	const op = "list versions"
	if err := check(ctx, op, name); err != nil {
		return backend.VersionsPage{}, err
	}
	after := req.After
	if req.Token != "" {
		after = backend.VersionID(req.Token)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	o := s.objects[name]
	if o == nil {
		return backend.VersionsPage{}, nil
	}
	end := len(o.versions)
	if after != "" {
		i, ok := o.position[after]
		if !ok {
			return backend.VersionsPage{}, &backend.Error{Op: op, Name: name, Version: after, Kind: backend.ErrNotFound}
		}
		end = i
	}
	start := max(0, end-pageSize(req.Limit))
	var page backend.VersionsPage
	for _, v := range slices.Backward(o.versions[start:end]) {
		page.Versions = append(page.Versions, v.version())
	}
	if start > 0 {
		page.Next = backend.PageToken(o.versions[start].ID)
	}
	return page, nil
}

// ListNames implements [backend.VersionedStore].
func (s *Store) ListNames(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
	if err := ctx.Err(); err != nil {
		return backend.NamesPage{}, &backend.Error{Op: "list names", Name: req.Prefix, Err: err}
	}
	after := req.After
	if req.Token != "" {
		after = string(req.Token)
	}
	limit := pageSize(req.Limit)

	s.mu.RLock()
	defer s.mu.RUnlock()
	first, found := slices.BinarySearch(s.names, max(after, req.Prefix))
	if found && s.names[first] == after {
		first++
	}
	var page backend.NamesPage
	for _, name := range s.names[first:] {
		if !strings.HasPrefix(name, req.Prefix) {
			break
		}
		if _, ok := s.current(name); !ok {
			continue
		}
		if len(page.Names) == limit {
			page.Next = backend.PageToken(page.Names[limit-1])
			break
		}
		page.Names = append(page.Names, name)
	}
	return page, nil
}

// current returns the current version of an object, if it has one.
func (s *Store) current(name string) (Version, bool) {
	o := s.objects[name]
	if o == nil {
		return Version{}, false
	}
	v := o.versions[len(o.versions)-1]
	return v, !v.DeleteMarker
}

// append makes v the newest version of an object.
func (s *Store) append(name string, v Version) {
	o := s.objects[name]
	if o == nil {
		o = &object{position: make(map[backend.VersionID]int)}
		s.objects[name] = o
		i, _ := slices.BinarySearch(s.names, name)
		s.names = slices.Insert(s.names, i, name)
	}
	o.position[v.ID] = len(o.versions)
	o.versions = append(o.versions, v)
}

// newID returns an ID that no version of the object has.
func (s *Store) newID(name string) backend.VersionID {
	// The factor is odd, so that no two counts yield the same ID. It is large, so that
	// the order of IDs differs from the order of versions.
	const factor = 0x9e3779b97f4a7c15
	for {
		s.writes++
		id := backend.VersionID(fmt.Sprintf("%016x", s.writes*factor))
		// A loaded state may have IDs of another store.
		if o := s.objects[name]; o == nil || !o.has(id) {
			return id
		}
	}
}

func (o *object) has(id backend.VersionID) bool {
	_, ok := o.position[id]
	return ok
}

func (v Version) version() backend.Version {
	return backend.Version{ID: v.ID, ETag: v.ETag, DeleteMarker: v.DeleteMarker}
}

func (v Version) object() backend.Object {
	return backend.Object{Version: v.version(), Body: []byte(v.Body)}
}

// etagOf returns an ETag in the form of S3's: equal bodies have equal ETags.
func etagOf(body []byte) backend.ETag {
	sum := sha256.Sum256(body)
	return backend.ETag(`"` + hex.EncodeToString(sum[:16]) + `"`)
}

func pageSize(limit int) int {
	if limit <= 0 || limit > backend.MaxPageSize {
		return backend.MaxPageSize
	}
	return limit
}

func check(ctx context.Context, op, name string) error {
	err := ctx.Err()
	if err == nil {
		err = backend.CheckName(name)
	}
	if err != nil {
		return &backend.Error{Op: op, Name: name, Err: err}
	}
	return nil
}
