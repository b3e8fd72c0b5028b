package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"

	"github.com/immukv/immukv-go/backend"
)

// A DirOption changes how [OpenDir] opens a directory.
type DirOption func(*dirOptions)

type dirOptions struct {
	create bool
	mode   fs.FileMode
}

// CreateDir creates the directory and its parents if they do not exist.
func CreateDir() DirOption { return func(o *dirOptions) { o.create = true } }

// DirMode is the mode, before the umask, of directories that are created,
// instead of 0777. Files have the mode 0666 before the umask.
func DirMode(mode fs.FileMode) DirOption { return func(o *dirOptions) { o.mode = mode } }

// OpenDir opens the versioned store in a directory, which must exist unless [CreateDir]
// is given. Any number of processes may have it open at once, if the file system supports
// locks between them. The package documentation says what is promised, and why.
//
// A process that may only read the directory can read the store; it gets
// [backend.ErrAccessDenied] when it writes.
func OpenDir(path string, opts ...DirOption) (*Store, error) {
	o := dirOptions{mode: 0o777}
	for _, opt := range opts {
		opt(&o)
	}
	if path == "" { // Abs would return the current directory
		return nil, errors.New("open store directory: the name is empty")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open store directory: %w", err)
	}
	d := &dir{root: path, mode: o.mode, sync: (*os.File).Sync, listed: listing{size: chunkSize}}
	if o.create {
		if err := d.createRoot(path); err != nil {
			return nil, fmt.Errorf("create store directory: %w", osFault(err))
		}
	}
	// Only writes use the bucket: see write.
	d.bucket, err = fileblob.OpenBucket(path, &fileblob.Options{
		DirFileMode: o.mode,
		NoTempDir:   true, // otherwise files might be renamed between file systems
		Metadata:    fileblob.MetadataDontWrite,
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open store directory: %w (create it with the option CreateDir, or create_dir=true in a URL)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("open store directory: %w", osFault(err))
	}
	d.lock = newLock(filepath.Join(path, lockName))
	return newStore(d, d.bucket.Close), nil
}

// lockName is the base of the lock file's path. No object's path contains it.
const lockName = "_lock"

// dir keeps objects in a directory.
type dir struct {
	root   string
	mode   fs.FileMode
	bucket *blob.Bucket
	lock   *lock
	sync   func(*os.File) error // (*os.File).Sync, except in tests
	listed listing
}

// check returns an error for an object with a version whose path the operating system
// cannot hold. So an object that is reported absent can be written, and one that was
// written can be written again.
func (d *dir) check(object string) error {
	const (
		longestBase = "0000000000000000.v0000000000000000.0000000000000000.tmp" // fileblob's, of any version
		anyPath     = 1000                                                      // bytes, the limit of every system
	)
	if len(d.root)+len(object)+len(longestBase) < anyPath {
		return nil
	}
	if _, err := os.Lstat(d.file(object, longestBase)); errors.Is(err, syscall.ENAMETOOLONG) {
		return osFault(err)
	}
	return nil
}

func (d *dir) latest(ctx context.Context, object string) (int64, error) {
	hint, err := d.readHint(object)
	if err != nil {
		return 0, osFault(err)
	}
	return d.latestFrom(ctx, object, hint)
}

// latestFrom finds the newest version, starting at the hint. A version newer than the
// hint may not be durable yet. It is synced before anyone reads it, because a reader
// might write data that depends on it elsewhere.
func (d *dir) latestFrom(ctx context.Context, object string, hint hint) (n int64, err error) {
	if n = hint.newest; n == 0 {
		if n, err = d.scan(ctx, object); n == 0 || err != nil {
			return 0, err
		}
	}
	for ; ; n++ {
		there, err := d.exists(object, n+1)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return 0, osFault(err)
		}
		if !there {
			break
		}
	}
	if n != hint.newest {
		if err := d.syncDir(d.file(object, "")); err != nil {
			return 0, osFault(err)
		}
	}
	return n, nil
}

func (d *dir) present(_ context.Context, object string, n int64) error {
	there, err := d.exists(object, n)
	if err == nil && !there {
		err = d.missing(object, n)
	}
	return osFault(err)
}

func (d *dir) missing(object string, n int64) error {
	return fmt.Errorf("%w: %s", errMissing, d.file(object, baseOf(n)))
}

// scan finds the newest version by reading the object's directory.
func (d *dir) scan(ctx context.Context, object string) (int64, error) {
	var newest int64
	err := d.eachFile(object, func(base string) {
		if n, ok := numberOfBase(base); ok {
			newest = max(newest, n)
		}
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = d.rootPresent()
	}
	if err == nil {
		err = ctx.Err()
	}
	return newest, osFault(err)
}

// rootPresent returns an error if the store's directory is gone: then a missing file does
// not prove absence.
func (d *dir) rootPresent() error {
	_, err := os.Stat(d.root)
	return err
}

func (d *dir) exists(object string, n int64) (bool, error) {
	_, err := os.Lstat(d.file(object, baseOf(n)))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (d *dir) read(_ context.Context, object string, n int64) ([]byte, error) {
	f, err := os.Open(d.file(object, baseOf(n)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, d.missing(object, n)
	}
	if err != nil {
		return nil, osFault(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, osFault(err)
	}
	if info.Size() > backend.MaxBodyBytes {
		return nil, &fault{backend.ErrTooLarge, fmt.Errorf("%d bytes in %s", info.Size(), f.Name())}
	}
	body := make([]byte, info.Size())
	if _, err := io.ReadFull(f, body); err != nil {
		return nil, osFault(fmt.Errorf("%s: %w", f.Name(), err))
	}
	return body, nil
}

// osFault is an error of the operating system.
func osFault(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS):
		return &fault{backend.ErrAccessDenied, err}
	case errors.Is(err, syscall.ENAMETOOLONG):
		return &fault{backend.ErrInvalidName, err}
	}
	return err
}
