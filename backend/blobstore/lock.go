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

// lock excludes all writers of a store but one. Handles of other processes, and
// other handles of this one, are kept out by a lock of the operating system on a
// file: it ends with the process that holds it, however that ends. The
// goroutines of one handle are kept out by a channel, so that one thread at most
// is blocked in the system.
type lock struct {
	path string
	turn chan struct{} // holds one value while somebody has the turn
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

	// The system's call cannot be interrupted. Abandoned, it passes the lock
	// on as soon as it has it, and the turn with it.
	done := make(chan struct{})
	var failed error // may be looked at when done is closed
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
			<-done // locked or not, the turn is passed on
			l.release(file)
		}()
		return nil, l.waited(ctx)
	}
}

func (l *lock) waited(ctx context.Context) error {
	return fmt.Errorf("waiting for the lock %s: %w", l.path, ctx.Err())
}

// release passes the lock on. That it was not held does no harm.
func (l *lock) release(file *flock.Flock) {
	// Should unlocking fail, the lock ends with the process.
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

// inPlace reports whether the file that is locked is the one that others would
// lock now. It is not if somebody removed it meanwhile, and is then let go.
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
