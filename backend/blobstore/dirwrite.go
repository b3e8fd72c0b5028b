package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"gocloud.dev/blob"

	"github.com/immukv/immukv-go/backend"
)

// append writes a version under the lock, without which fileblob's
// create-if-absent is none, and makes it durable.
func (d *dir) append(ctx context.Context, object string, after int64, body []byte) error {
	release, err := d.lock.acquire(ctx)
	if err != nil {
		return withoutEffect(osFault(err))
	}
	defer release()
	was, err := d.readHint(object)
	if err != nil {
		return withoutEffect(osFault(err))
	}
	newest, err := d.latestFrom(ctx, object, was)
	if err != nil {
		return withoutEffect(err)
	}
	if newest != after {
		return &fault{backend.ErrPreconditionFailed, fmt.Errorf("the newest version is %s", orNone(newest))}
	}
	if newest > 0 {
		if err := d.present(ctx, object, newest); err != nil {
			return withoutEffect(damaged(err))
		}
	}
	if err := d.prepare(object, newest, was.marked || was.newest == 0); err != nil {
		return withoutEffect(osFault(err))
	}
	if err := d.write(ctx, object, newest+1, body); err != nil {
		d.writeHint(object, hint{newest: newest})
		return d.failed(object, newest+1, err)
	}
	if err := d.syncDir(d.file(object, "")); err != nil {
		return &fault{backend.ErrOutcomeUnknown, err}
	}
	d.writeHint(object, hint{newest: newest + 1})
	return nil
}

func orNone(n int64) string {
	if n == 0 {
		return "none"
	}
	return string(versionID(n))
}

// prepare makes the place for a version after the newest, where a writer may have
// been killed.
func (d *dir) prepare(object string, newest int64, abandoned bool) error {
	if newest == 0 {
		if err := d.makeDirs(object); err != nil {
			return err
		}
	}
	if abandoned {
		if err := d.sweep(object); err != nil {
			return err
		}
	}
	d.writeHint(object, hint{newest: newest, marked: true})
	return nil
}

// write creates a version whole and synced, or not at all. It is in the
// directory when write returns, but the directory is not synced.
func (d *dir) write(ctx context.Context, object string, n int64, body []byte) error {
	// Fileblob writes to a temporary file, and renames it when the writer is
	// closed; if the context was cancelled, it removes it instead.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var file *os.File
	w, err := d.bucket.NewWriter(ctx, keyOf(object, n), &blob.WriterOptions{
		IfNotExist:  true,
		ContentType: contentType,
		BeforeWrite: func(as func(any) bool) error {
			if !as(&file) {
				return errors.New("fileblob does not show the file it writes to, and so it cannot be synced")
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	_, err = w.Write(body)
	if err == nil {
		err = d.syncFile(file, len(body))
	}
	if err != nil {
		cancel()
		_ = w.Close()
		return err
	}
	return w.Close()
}

// syncFile makes a file durable that is to have that size. It must have it
// already: what somebody still held back would come after the sync.
func (d *dir) syncFile(file *os.File, size int) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != int64(size) {
		return fmt.Errorf("%s has %d bytes of %d before it is synced", file.Name(), info.Size(), size)
	}
	return d.sync(file)
}

// failed is the error of a version that write did not create: unless it is there
// all the same.
func (d *dir) failed(object string, n int64, err error) error {
	there, look := d.exists(object, n)
	if there || look != nil {
		return &fault{backend.ErrOutcomeUnknown, errors.Join(err, look)}
	}
	return withoutEffect(osFault(err))
}

// makeDirs makes the directory of an object, durably. What is there already may
// be from a writer who did not get to syncing it.
func (d *dir) makeDirs(object string) error {
	path := d.root
	for part := range strings.SplitSeq(object, "/") {
		parent := path
		path = filepath.Join(path, part)
		if err := os.Mkdir(path, d.mode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := d.syncDir(parent); err != nil {
			return err
		}
	}
	return nil
}

// createRoot makes the directory of the store and those above it, durably.
func (d *dir) createRoot(path string) error {
	parent := filepath.Dir(path)
	err := os.Mkdir(path, d.mode)
	if errors.Is(err, fs.ErrNotExist) && parent != path {
		if err := d.createRoot(parent); err != nil {
			return err
		}
		// Not every directory lets one be made in it: /proc says that there
		// is none.
		err = os.Mkdir(path, d.mode)
	}
	if errors.Is(err, fs.ErrExist) {
		// It may be from another who has not got to syncing it. A failure is
		// not held against one who perhaps only wants to read.
		_ = d.syncDir(parent)
		return nil
	}
	if err != nil {
		return err
	}
	return d.syncDir(parent)
}

// syncDir makes the entries of a directory durable.
func (d *dir) syncDir(path string) error {
	if runtime.GOOS == "windows" {
		// It lets nobody sync a directory; NTFS journals what is in one.
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return d.sync(f)
}
