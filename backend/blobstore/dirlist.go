package blobstore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// listing caches what was last read of a directory of objects. A directory is unordered,
// so each page of a listing would have to read all of it.
type listing struct {
	size int // of chunks; bounds the memory for a large store
	mu   sync.Mutex
	last chunk
}

// chunk holds, in order, the parts in a directory that begin with a prefix and come after
// a given part, or the first of them.
type chunk struct {
	size                int
	path, prefix, after string
	parts               []string
	more                bool
	modified            time.Time // the state of the directory when it was read
}

// chunkSize is the size of chunks, except in tests.
const chunkSize = 32 << 10

// settled is how old a directory's time of modification must be for a later change to
// alter it. The coarsest clocks of file systems tick every two seconds.
const settled = 2 * time.Second

func (d *dir) children(ctx context.Context, parent, prefix, after string, page []byte, limit int) ([]string, []byte, error) {
	after = max(after, string(page))
	c, err := d.listed.from(filepath.Join(d.root, filepath.FromSlash(parent)), prefix, after)
	if parent != "" && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG)) {
		return nil, nil, osFault(d.rootPresent()) // there is no directory
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, nil, osFault(err)
	}
	first, found := slices.BinarySearch(c.parts, after)
	if found {
		first++
	}
	parts := c.parts[first:]
	if len(parts) > limit {
		parts, c.more = parts[:limit], true
	}
	if c.more {
		return parts, []byte(parts[len(parts)-1]), nil
	}
	return parts, nil, nil
}

// from returns a current chunk that begins with the first part after the given one.
func (l *listing) from(path, prefix, after string) (chunk, error) {
	info, err := os.Stat(path)
	if err != nil {
		return chunk{}, err
	}
	l.mu.Lock()
	c := l.last
	l.mu.Unlock()
	if c.path == path && c.prefix == prefix && c.modified.Equal(info.ModTime()) && c.covers(after) {
		return c, nil
	}
	c = chunk{size: l.size, path: path, prefix: prefix, after: after, modified: info.ModTime()}
	keep := time.Since(c.modified) > settled
	if err := c.read(); err != nil || !keep {
		return c, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = c
	return c, nil
}

func (c *chunk) covers(after string) bool {
	return c.after <= after && (!c.more || after < c.parts[len(c.parts)-1])
}

func (c *chunk) read() error {
	err := eachEntry(c.path, func(base string) {
		if base <= c.after || !strings.HasPrefix(base, c.prefix) || !isPart(base) {
			return
		}
		if c.parts = append(c.parts, base); len(c.parts) == 2*c.size {
			c.shorten()
		}
	})
	c.shorten()
	return err
}

// shorten keeps the first parts, in order.
func (c *chunk) shorten() {
	slices.Sort(c.parts)
	if len(c.parts) > c.size {
		c.parts, c.more = c.parts[:c.size], true
	}
}

// holds returns false for the directory of an object whose first write was not completed.
func (d *dir) holds(ctx context.Context, object string) (bool, error) {
	there, err := d.exists(object, 1)
	if there || err != nil {
		return there, osFault(err)
	}
	n, err := d.latest(ctx, object)
	return n > 0, err
}

// eachFile visits the files in an object's directory.
func (d *dir) eachFile(object string, visit func(base string)) error {
	return eachEntry(d.file(object, ""), visit)
}

func eachEntry(path string, visit func(base string)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		bases, err := f.Readdirnames(1024)
		for _, base := range bases {
			visit(base)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
