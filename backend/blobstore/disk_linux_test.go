package blobstore_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/blobstore"
)

// skip leaves a test out, unless that is forbidden.
func skip(t *testing.T, why string, err error) {
	t.Helper()
	if os.Getenv("IMMUKV_NO_SKIP") == "1" {
		t.Fatalf("%s: %v", why, err)
	}
	t.Skipf("%s: %v", why, err)
}

// mountSmall mounts a file system of a size in a new directory.
func mountSmall(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, options); err != nil {
		skip(t, "a small disk cannot be mounted", err)
	}
	t.Cleanup(func() {
		// A process that another test starts has the files of this one open, until it runs
		// its own program.
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestDiskFull fills a disk by writing versions. The one that does not fit is not
// there, nothing is there in part, and writes succeed when there is room again.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := mountSmall(t, "size=256k")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 16<<10), 0o666); err != nil {
		t.Fatal(err)
	}
	s, err := blobstore.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("b"), 10_000)
	cond := backend.IfAbsent()
	written := 0
	for ; err == nil; written++ {
		var v backend.Version
		if v, err = s.Put(t.Context(), "o", body, cond); err == nil {
			cond = backend.IfMatch(v.ETag)
		}
		if written > 100 {
			t.Fatal("the disk does not fill")
		}
	}
	written--
	full := func(what string, err error) {
		if !errors.Is(err, backend.ErrUnavailable) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s on a full disk: %v", what, err)
		}
	}
	full("the first write", err)
	_, err = s.Put(t.Context(), "o", body, cond)
	full("another write", err)
	// To the last page: now there is no room for a directory either.
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 256<<10), 0o666); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	_, err = s.Put(t.Context(), "new", body, backend.IfAbsent())
	full("the write of a new object", err)

	page, err := s.ListVersions(t.Context(), "o", backend.VersionsRequest{})
	if err != nil || len(page.Versions) != written {
		t.Fatalf("%d versions are there of %d, %v", len(page.Versions), written, err)
	}
	o, err := s.Get(t.Context(), "o")
	if err != nil || !bytes.Equal(o.Body, body) {
		t.Errorf("the newest version has %d bytes, %v", len(o.Body), err)
	}
	names, err := s.ListNames(t.Context(), backend.NamesRequest{})
	if err != nil || len(names.Names) != 1 {
		t.Errorf("names: %q, %v", names.Names, err)
	}
	if left := temporary(t, dir); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}

	for _, file := range []string{ballast, filepath.Join(dir, "filler")} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Put(t.Context(), "o", body, cond); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// TestReadOnlyDisk: reads succeed, writes are denied.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	dir := mountSmall(t, "size=256k")
	// A process that another test starts must not get files that are open for writing here:
	// the disk would be busy.
	syscall.ForkLock.RLock()
	s := mustWrite(t, dir)
	err := syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Put(t.Context(), "o", nil, backend.IfMatch("e1"))
	if !errors.Is(err, backend.ErrAccessDenied) || !errors.Is(err, syscall.EROFS) {
		t.Errorf("put: %v", err)
	}
	mustRead(t, s)
}

func mustWrite(t *testing.T, dir string) *blobstore.Store {
	t.Helper()
	s, err := blobstore.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "o", []byte("1"), backend.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	return s
}

func mustRead(t *testing.T, s *blobstore.Store) {
	t.Helper()
	if o, err := s.Get(t.Context(), "o"); err != nil || string(o.Body) != "1" {
		t.Errorf("get: %+v, %v", o, err)
	}
	if names, err := s.ListNames(t.Context(), backend.NamesRequest{}); err != nil || len(names.Names) != 1 {
		t.Errorf("names: %q, %v", names.Names, err)
	}
}

// asNobody runs a function whose calls of the operating system are those of a
// user without rights. Permissions do not bind the superuser.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		// A thread has its own user for files, and ends with its goroutine
		// if that does not unlock it.
		runtime.LockOSThread()
		const nobody = 65534
		if err := errors.Join(syscall.Setfsgid(nobody), syscall.Setfsuid(nobody)); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

// TestDeniedDir takes away permissions. An object that may not be read is not absent.
func TestDeniedDir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	s := mustWrite(t, dir)
	mustChmod := func(mode os.FileMode, elements ...string) {
		if err := os.Chmod(filepath.Join(append([]string{dir}, elements...)...), mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { mustChmod(0o755); mustChmod(0o755, "o!") })
	denied := func(what string, err error) {
		if !errors.Is(err, backend.ErrAccessDenied) || errors.Is(err, backend.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}

	mustChmod(0o555, "o!")
	mustChmod(0o555)
	asNobody(t, func() {
		mustRead(t, s)
		_, put := s.Put(t.Context(), "o", nil, backend.IfMatch("e1"))
		denied("writing a version", put)
		_, put = s.Put(t.Context(), "new", nil, backend.IfAbsent())
		denied("writing an object", put)
		_, err := blobstore.OpenDir(filepath.Join(dir, "sub"), blobstore.CreateDir())
		denied("creating a store", err)
	})
	mustChmod(0o000, "o!")
	asNobody(t, func() {
		_, get := s.Get(t.Context(), "o")
		denied("get", get)
		_, head := s.Head(t.Context(), "o")
		denied("head", head)
		_, version := s.GetVersion(t.Context(), "o", "v1")
		denied("get version", version)
		_, versions := s.ListVersions(t.Context(), "o", backend.VersionsRequest{})
		denied("list versions", versions)
		_, put := s.Put(t.Context(), "o", nil, backend.IfAbsent())
		denied("put", put)
	})
	mustChmod(0o000)
	asNobody(t, func() {
		_, names := s.ListNames(t.Context(), backend.NamesRequest{})
		denied("list names", names)
		_, get := s.Get(t.Context(), "never-written")
		denied("get of what is not there", get)
	})
}

// TestCreateInProc: /proc reports that a directory which cannot be made does not
// exist.
func TestCreateInProc(t *testing.T) {
	if _, err := blobstore.OpenDir("/proc/store/sub", blobstore.CreateDir()); err == nil {
		t.Error("a store was made in /proc")
	}
}
