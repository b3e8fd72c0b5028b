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

// append writes a version under the lock, which makes fileblob's create-if-absent atomic,
// and makes it durable.
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

// prepare removes what a killed writer may have left, and creates the directory for the
// next version.
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

// write creates a version, complete and synced, or nothing. The directory that holds it
// is not synced yet when write returns.
func (d *dir) write(ctx context.Context, object string, n int64, body []byte) error {
	// Fileblob writes to a temporary file, and renames it when the writer is closed. If
	// the context was cancelled, it removes the file instead.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var file *os.File
	w, err := d.bucket.NewWriter(ctx, keyOf(object, n), &blob.WriterOptions{
		IfNotExist:  true,
		ContentType: contentType,
		BeforeWrite: func(as func(any) bool) error {
			if !as(&file) {
				return errors.New("fileblob does not give access to its file, so it cannot be synced")
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

// syncFile makes a file durable. The file must already have the given size: later writes
// would not be synced.
func (d *dir) syncFile(file *os.File, size int) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != int64(size) {
		return fmt.Errorf("%s has %d of %d bytes before the sync", file.Name(), info.Size(), size)
	}
	return d.sync(file)
}

// failed returns the error of a version that write did not create, or nil if the version
// exists nevertheless.
func (d *dir) failed(object string, n int64, err error) error {
	there, look := d.exists(object, n)
	if there || look != nil {
		return &fault{backend.ErrOutcomeUnknown, errors.Join(err, look)}
	}
	return withoutEffect(osFault(err))
}

// makeDirs creates the directory of an object, durably. An existing directory may be that
// of a writer that has not synced it yet.
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

// createRoot creates the directory of the store and its parents, durably.
func (d *dir) createRoot(path string) error {
	parent := filepath.Dir(path)
	err := os.Mkdir(path, d.mode)
	if errors.Is(err, fs.ErrNotExist) && parent != path {
		if err := d.createRoot(parent); err != nil {
			return err
		}
		// Some directories do not allow new ones: /proc reports that it does not exist.
		err = os.Mkdir(path, d.mode)
	}
	if errors.Is(err, fs.ErrExist) {
		// Another process may have created it and not synced it yet. An error is ignored,
		// because this process may only want to read.
		_ = d.syncDir(parent)
		return nil
	}
	if err != nil {
		return err
	}
	return d.syncDir(parent)
}

// syncDir makes the content of a directory durable.
func (d *dir) syncDir(path string) error {
	if runtime.GOOS == "windows" {
		// Windows does not allow to sync a directory; NTFS journals its content.
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return d.sync(f)
}
