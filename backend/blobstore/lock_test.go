package blobstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"go.uber.org/goleak"

	"github.com/immukv/immukv-go/backend"
)

func TestLockExcludes(t *testing.T) {
	path := filepath.Join(t.TempDir(), lockName)
	var holders, entered atomic.Int32
	var group sync.WaitGroup
	for range 4 {
		l := newLock(path)
		for range 4 {
			group.Go(func() {
				for range 25 {
					release, err := l.acquire(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					if holders.Add(1) > 1 {
						t.Error("two hold the lock at once")
					}
					entered.Add(1)
					holders.Add(-1)
					release()
				}
			})
		}
	}
	group.Wait()
	if entered.Load() != 400 {
		t.Errorf("the lock was held %d times", entered.Load())
	}
}

// TestLockAbandoned: waiting ends with the context, leaves nothing behind, and
// the lock goes to those who still want it.
func TestLockAbandoned(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	path := filepath.Join(t.TempDir(), lockName)
	holder, waiter := newLock(path), newLock(path)
	release, err := holder.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, err := waiter.acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("waiting ended with %v", err)
		}
		cancel()
	}
	got := make(chan error)
	go func() {
		release, err := waiter.acquire(t.Context())
		if err == nil {
			release()
		}
		got <- err
	}()
	release()
	if err := <-got; err != nil {
		t.Error(err)
	}
	// Nobody holds it now, not even one who gave up.
	release, err = holder.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	release()
}

// TestLockFileRemoved: a lock on a file that is not there any more keeps out
// nobody, and is let go for the one that is.
func TestLockFileRemoved(t *testing.T) {
	l := newLock(filepath.Join(t.TempDir(), lockName))
	for name, remove := range map[string]func() error{
		"removed":  func() error { return os.Remove(l.path) },
		"replaced": func() error { return errors.Join(os.Remove(l.path), os.WriteFile(l.path, nil, 0o666)) },
	} {
		file := flock.New(l.path)
		if err := file.Lock(); err != nil {
			t.Fatal(err)
		}
		if inPlace, err := l.inPlace(file); !inPlace || err != nil {
			t.Fatalf("locked: in place is %v, %v", inPlace, err)
		}
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		if inPlace, err := l.inPlace(file); inPlace || err != nil {
			t.Errorf("%s: in place is %v, %v", name, inPlace, err)
		}
		if file.Locked() {
			t.Errorf("%s: the lock was not let go", name)
		}
	}
}

// TestLockedOut: a writer that does not get the lock has written nothing, and
// says so.
func TestLockedOut(t *testing.T) {
	s, d := openTest(t)
	put(t, s, 1)
	release, err := newLock(filepath.Join(d.root, lockName)).acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = s.Put(ctx, "o", nil, backend.IfMatch("e1"))
	if !errors.Is(err, backend.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("put: %v", err)
	}
	mustHave(t, s, 1) // reading takes no lock
	release()
	put(t, s, 2)
}

// TestLockRemovedUnderWriter: a writer who lost the lock in the middle of a write,
// because somebody removed its file, does not write over what another wrote then.
func TestLockRemovedUnderWriter(t *testing.T) {
	s, d := openTest(t)
	put(t, s, 1)
	other, _ := reopen(t, d)
	var once sync.Once
	d.sync = func(f *os.File) error {
		once.Do(func() {
			if err := os.Remove(filepath.Join(d.root, lockName)); err != nil {
				t.Error(err)
			}
			put(t, other, 2)
		})
		return f.Sync()
	}
	if _, err := s.Put(t.Context(), "o", []byte("late"), backend.IfMatch("e1")); !errors.Is(err, backend.ErrOutcomeUnknown) {
		t.Errorf("put: %v", err)
	}
	d.sync = (*os.File).Sync
	mustHave(t, s, 2)
	put(t, s, 3)
}
