package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/gofrs/flock"
)

// lock allows one writer of a store at a time. A lock of the operating system on a file
// excludes other processes and other handles of this one; it ends with the process that
// holds it. A channel excludes the goroutines of one handle, so that at most one thread
// is blocked in the system.
type lock struct {
	path string
	turn chan struct{} // holds one value while a goroutine holds or waits for the file lock
}

func newLock(path string) *lock { return &lock{path: path, turn: make(chan struct{}, 1)} }

// acquire waits for the lock until the context ends.
func (l *lock) acquire(ctx context.Context) (release func(), err error) {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, l.waited(ctx)
	}
	file := flock.New(l.path, flock.SetPermissions(0o666))
	locked, err := l.try(file)
	if err == nil && locked {
		return func() { l.release(file) }, nil
	}
	if err != nil {
		<-l.turn
		return nil, err
	}

	// The system call cannot be interrupted. If the caller gives up, the goroutine
	// releases both locks as soon as it has acquired them.
	done := make(chan struct{})
	var failed error // set when done is closed
	go func() {
		defer close(done)
		failed = l.wait(file)
	}()
	select {
	case <-done:
		if failed != nil {
			<-l.turn
			return nil, failed
		}
		return func() { l.release(file) }, nil
	case <-ctx.Done():
		go func() {
			<-done // locked or not, the channel is released
			l.release(file)
		}()
		return nil, l.waited(ctx)
	}
}

func (l *lock) waited(ctx context.Context) error {
	return fmt.Errorf("wait for the lock %s: %w", l.path, ctx.Err())
}

// release releases the lock. Releasing a lock that is not held does nothing.
func (l *lock) release(file *flock.Flock) {
	// If unlocking fails, the lock ends with the process.
	_ = file.Unlock()
	<-l.turn
}

func (l *lock) try(file *flock.Flock) (bool, error) {
	for {
		locked, err := file.TryLock()
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || !locked {
			return false, err
		}
		if inPlace, err := l.inPlace(file); inPlace || err != nil {
			return inPlace, err
		}
	}
}

func (l *lock) wait(file *flock.Flock) error {
	for {
		err := file.Lock()
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if inPlace, err := l.inPlace(file); inPlace || err != nil {
			return err
		}
	}
}

// inPlace reports whether the locked file is the one that others would lock now. If
// somebody removed it, it is not, and the lock is released.
func (l *lock) inPlace(file *flock.Flock) (bool, error) {
	locked, err := file.Stat()
	var there os.FileInfo
	if err == nil {
		there, err = os.Stat(l.path)
	}
	if err == nil && os.SameFile(locked, there) {
		return true, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return false, errors.Join(err, file.Unlock())
}
