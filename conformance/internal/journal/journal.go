// Package journal keeps a versioned store in one file, to which every version
// is appended. It is the example of docs/backends.md: small, and whole.
package journal

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/immukv/immukv-go/backend"
)

// Store is a versioned store in a file. Its methods may be called from any
// number of goroutines, and the file may be open in any number of processes.
type Store struct {
	mu      sync.Mutex
	file    *os.File
	lock    *flock.Flock
	end     int64                // of what was read of the file so far
	count   int                  // of its records
	objects map[string][]version // oldest first
	names   []string             // sorted
}

var _ backend.Store = (*Store)(nil)

// version is where the file has a version.
type version struct {
	backend.Version
	offset, length int64
}

// record is a version in the file: one line of JSON.
type record struct {
	Name string `json:"name"`
	Body []byte `json:"body"`
}

// Open opens the store in a file, which is created if there is none.
func Open(path string) (*Store, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, kind(err)
	}
	return &Store{file: file, lock: flock.New(path + ".lock"), objects: make(map[string][]version)}, nil
}

// Close closes the file.
func (s *Store) Close() error {
	return errors.Join(s.lock.Close(), s.file.Close())
}

// locked runs f with the file locked and read to its end. The operating system
// releases the lock of a process that was killed.
func (s *Store) locked(ctx context.Context, write bool, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	lock := s.lock.TryRLockContext
	if write {
		lock = s.lock.TryLockContext
	}
	if _, err := lock(ctx, time.Millisecond); err != nil {
		return kind(err)
	}
	err := s.catchUp()
	if err == nil {
		err = f()
	}
	return cmp.Or(err, s.lock.Unlock())
}

// catchUp reads what was appended since. A line without an end was left by a
// process that was killed while it wrote, and was never acknowledged.
func (s *Store) catchUp() error {
	info, err := s.file.Stat()
	if err != nil || info.Size() == s.end {
		return err
	}
	lines := bufio.NewReader(io.NewSectionReader(s.file, s.end, info.Size()-s.end))
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.add(line); err != nil {
			return err
		}
	}
}

// add adds the version of a line.
func (s *Store) add(line []byte) error {
	var r record
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("%w: byte %d of the file: %w", backend.ErrDamaged, s.end, err)
	}
	s.count++
	id := fmt.Sprint(s.count) // a line's number: no two versions share one
	if i, found := slices.BinarySearch(s.names, r.Name); !found {
		s.names = slices.Insert(s.names, i, r.Name)
	}
	s.objects[r.Name] = append(s.objects[r.Name], version{
		Version: backend.Version{ID: backend.VersionID(id), ETag: backend.ETag(id)},
		offset:  s.end, length: int64(len(line)),
	})
	s.end += int64(len(line))
	return nil
}

// Put implements [backend.VersionedStore].
func (s *Store) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if err := backend.CheckPut(name, body, cond); err != nil {
		return backend.Version{}, &backend.Error{Op: "put", Name: name, Err: err}
	}
	var written backend.Version
	err := s.locked(ctx, true, func() error {
		versions := s.objects[name]
		if n := len(versions); cond.Absent() == (n > 0) || n > 0 && versions[n-1].ETag != cond.ETag() {
			return backend.ErrPreconditionFailed
		}
		if err := s.append(record{name, body}); err != nil {
			return err
		}
		written = s.objects[name][len(versions)].Version
		return nil
	})
	if err != nil {
		failed := &backend.Error{Op: "put", Name: name, Err: err}
		if !errors.Is(err, backend.ErrPreconditionFailed) && !errors.Is(err, backend.ErrAccessDenied) {
			// Other processes may find the line.
			failed.Kind = backend.ErrOutcomeUnknown
		}
		return backend.Version{}, failed
	}
	return written, nil
}

// append writes a line where the last whole one ends, and syncs it (S5).
func (s *Store) append(r record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if err := s.file.Truncate(s.end); err != nil {
		return kind(err)
	}
	if _, err := s.file.WriteAt(line, s.end); err != nil {
		return kind(err)
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	return s.add(line)
}

// read reads the version that pick picks, with its body if that is wanted.
func (s *Store) read(ctx context.Context, op, name string, id backend.VersionID, body bool, pick func([]version) int) (backend.Object, error) {
	var o backend.Object
	err := backend.CheckName(name)
	if err == nil {
		err = s.locked(ctx, false, func() error {
			versions := s.objects[name]
			i := pick(versions)
			if i < 0 {
				return backend.ErrNotFound
			}
			o.Version = versions[i].Version
			if !body {
				return nil
			}
			line := make([]byte, versions[i].length)
			if _, err := s.file.ReadAt(line, versions[i].offset); err != nil {
				return err
			}
			var r record
			err := json.NewDecoder(bytes.NewReader(line)).Decode(&r)
			o.Body = r.Body
			return err
		})
	}
	if err != nil {
		return backend.Object{}, &backend.Error{Op: op, Name: name, Version: id, Err: err}
	}
	return o, nil
}

func newest(versions []version) int { return len(versions) - 1 }

func withID(id backend.VersionID) func([]version) int {
	return func(versions []version) int {
		return slices.IndexFunc(versions, func(v version) bool { return v.ID == id })
	}
}

// Get implements [backend.VersionedStore].
func (s *Store) Get(ctx context.Context, name string) (backend.Object, error) {
	return s.read(ctx, "get", name, "", true, newest)
}

// GetVersion implements [backend.VersionedStore].
func (s *Store) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	return s.read(ctx, "get version", name, id, true, withID(id))
}

// Head implements [backend.VersionedStore].
func (s *Store) Head(ctx context.Context, name string) (backend.Version, error) {
	o, err := s.read(ctx, "head", name, "", false, newest)
	return o.Version, err
}

// ListVersions implements [backend.VersionedStore].
func (s *Store) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	var page backend.VersionsPage
	err := backend.CheckName(name)
	if err == nil {
		err = s.locked(ctx, false, func() error {
			versions := s.objects[name]
			end := len(versions)
			// A token is the ID of the last version of the page before.
			if after := cmp.Or(backend.VersionID(req.Token), req.After); after != "" {
				if end = withID(after)(versions); end < 0 {
					return backend.ErrNotFound
				}
			}
			start := max(0, end-pageSize(req.Limit))
			for _, v := range slices.Backward(versions[start:end]) {
				page.Versions = append(page.Versions, v.Version)
			}
			if start > 0 {
				page.Next = backend.PageToken(versions[start].ID)
			}
			return nil
		})
	}
	if err != nil {
		return backend.VersionsPage{}, &backend.Error{Op: "list versions", Name: name, Version: req.After, Err: err}
	}
	return page, nil
}

// ListNames implements [backend.VersionedStore].
func (s *Store) ListNames(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
	var page backend.NamesPage
	err := s.locked(ctx, false, func() error {
		// A token is the last name of the page before.
		after := cmp.Or(string(req.Token), req.After)
		i := sort.Search(len(s.names), func(i int) bool { return s.names[i] >= req.Prefix && s.names[i] > after })
		for ; i < len(s.names) && strings.HasPrefix(s.names[i], req.Prefix); i++ {
			if len(page.Names) == pageSize(req.Limit) {
				page.Next = backend.PageToken(page.Names[len(page.Names)-1])
				break
			}
			page.Names = append(page.Names, s.names[i])
		}
		return nil
	})
	if err != nil {
		return backend.NamesPage{}, &backend.Error{Op: "list names", Name: req.Prefix, Err: err}
	}
	return page, nil
}

func pageSize(limit int) int {
	if limit <= 0 || limit > backend.MaxPageSize {
		return backend.MaxPageSize
	}
	return limit
}

// kind makes denied access visible as such (S17).
func kind(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w: %w", backend.ErrAccessDenied, err)
	}
	return err
}
