package blobstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/immukv/immukv-go/backend"
)

// openTest opens a store in a new directory, and returns also what is beneath it.
func openTest(t *testing.T) (*Store, *dir) {
	t.Helper()
	s, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s, s.medium.(*dir)
}

// reopen opens another handle on the same directory.
func reopen(t *testing.T, d *dir) (*Store, *dir) {
	t.Helper()
	s, err := OpenDir(d.root)
	if err != nil {
		t.Fatal(err)
	}
	return s, s.medium.(*dir)
}

// put writes versions of object o, whose bodies are "1", "2" and so on.
func put(t *testing.T, s *Store, numbers ...int64) {
	t.Helper()
	for _, n := range numbers {
		cond := backend.IfAbsent()
		if n > 1 {
			cond = backend.IfMatch(etag(n - 1))
		}
		v, err := s.Put(t.Context(), "o", fmt.Append(nil, n), cond)
		if err != nil || v != version(n) {
			t.Fatalf("put of version %d: %+v, %v", n, v, err)
		}
	}
}

// mustHave checks that object o has versions up to n.
func mustHave(t *testing.T, s *Store, n int64) {
	t.Helper()
	o, err := s.Get(t.Context(), "o")
	if err != nil || o.Version != version(n) || string(o.Body) != fmt.Sprint(n) {
		t.Errorf("get: %+v, %v, want version %d", o, err, n)
	}
	if v, err := s.Head(t.Context(), "o"); err != nil || v != version(n) {
		t.Errorf("head: %+v, %v, want version %d", v, err, n)
	}
	page, err := s.ListVersions(t.Context(), "o", backend.VersionsRequest{})
	if err != nil || int64(len(page.Versions)) != n || page.Versions[0] != version(n) {
		t.Errorf("list versions: %+v, %v, want %d", page, err, n)
	}
}

func bases(t *testing.T, d *dir, object string) []string {
	t.Helper()
	var found []string
	if err := d.eachFile(object, func(base string) { found = append(found, base) }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}

// TestSyncOrder watches every sync (S5, S6). A file is synced when it is
// complete and does not have its name yet, directories when they have the new
// entry, and success is reported after the last of them.
func TestSyncOrder(t *testing.T) {
	for _, size := range []int{0, 1, 511, 512, 513, 1 << 20} { // gocloud sniffs 512 bytes
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			s, d := openTest(t)
			body := slices.Repeat([]byte("b"), size)
			var seen []string
			next := int64(1)
			d.sync = func(f *os.File) error {
				_, unnamed := os.Stat(d.file("o!", baseOf(next)))
				info, err := f.Stat()
				if err != nil {
					return err
				}
				if info.IsDir() {
					entries, err := os.ReadDir(f.Name())
					if err != nil {
						return err
					}
					seen = append(seen, fmt.Sprintf("directory %s of %d, version there: %v", filepath.Base(f.Name()), len(entries), unnamed == nil))
				} else {
					content, err := os.ReadFile(f.Name())
					if err != nil {
						return err
					}
					seen = append(seen, fmt.Sprintf("file complete: %v, version there: %v", string(content) == string(body), unnamed == nil))
				}
				return f.Sync()
			}
			cond := backend.IfAbsent()
			root := filepath.Base(d.root)
			for _, want := range [][]string{
				{
					"directory " + root + " of 2, version there: false", // _lock and o!
					"file complete: true, version there: false",
					"directory o! of 2, version there: true", // the hint and version 1
				},
				{
					"file complete: true, version there: false",
					"directory o! of 3, version there: true",
				},
			} {
				seen = nil
				v, err := s.Put(t.Context(), "o", body, cond)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, seen); diff != "" {
					t.Errorf("version %d was synced in another way:\n%s", next, diff)
				}
				if h, err := d.readHint("o!"); err != nil || h != (hint{newest: next}) {
					t.Errorf("the hint says %+v, %v", h, err)
				}
				next++
				cond = backend.IfMatch(v.ETag)
			}
		})
	}
}

// TestLongNameSynced: each of the directories that a long name makes is synced
// into the one above it.
func TestLongNameSynced(t *testing.T) {
	s, d := openTest(t)
	var synced []string
	d.sync = func(f *os.File) error {
		if info, err := f.Stat(); err != nil || info.IsDir() {
			relative, _ := filepath.Rel(d.root, f.Name())
			synced = append(synced, relative)
			return err
		}
		return f.Sync()
	}
	if _, err := s.Put(t.Context(), strings.Repeat("n", 2*partBytes+1), nil, backend.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	part := strings.Repeat("n", partBytes) + "+"
	if diff := cmp.Diff([]string{".", part, part + "/" + part, part + "/" + part + "/n!"}, synced); diff != "" {
		t.Error(diff)
	}
}

// TestSyncFails has each sync of a write fail, one after another.
func TestSyncFails(t *testing.T) {
	for failing, want := range map[int]error{
		1: backend.ErrUnavailable,    // the store's directory, before there is a version
		2: backend.ErrUnavailable,    // the file, before it has its name
		3: backend.ErrOutcomeUnknown, // the object's directory, with the version in it
	} {
		s, d := openTest(t)
		count := 0
		d.sync = func(f *os.File) error {
			if count++; count == failing {
				return syscall.EIO
			}
			return f.Sync()
		}
		_, err := s.Put(t.Context(), "o", []byte("1"), backend.IfAbsent())
		if !errors.Is(err, want) || !errors.Is(err, syscall.EIO) {
			t.Errorf("sync %d failed: %v, want %v", failing, err, want)
		}
		d.sync = (*os.File).Sync
		if failing < 3 {
			if _, err := s.Get(t.Context(), "o"); !errors.Is(err, backend.ErrNotFound) {
				t.Errorf("sync %d failed, and then: %v", failing, err)
			}
			page, err := s.ListNames(t.Context(), backend.NamesRequest{})
			if err != nil || len(page.Names) > 0 {
				t.Errorf("sync %d failed, and names are %q, %v", failing, page.Names, err)
			}
			put(t, s, 1)
		}
		mustHave(t, s, 1)
		for _, base := range bases(t, d, "o!") {
			if strings.HasSuffix(base, ".tmp") {
				t.Errorf("sync %d failed: %s was left", failing, base)
			}
		}
	}
}

// TestSeenIsDurable: a version whose writer has not got to syncing the directory
// is synced by whoever sees it first.
func TestSeenIsDurable(t *testing.T) {
	s, d := openTest(t)
	put(t, s, 1)
	renamed, goOn := make(chan struct{}), make(chan struct{})
	d.sync = func(f *os.File) error {
		if info, err := f.Stat(); err != nil || !info.IsDir() {
			return err
		}
		close(renamed)
		<-goOn
		return nil
	}
	var writer sync.WaitGroup
	written := make(chan struct{})
	writer.Go(func() {
		defer close(written)
		put(t, s, 2)
	})
	select {
	case <-renamed:
	case <-written:
		t.Fatal("the directory was not synced")
	}

	reader, rd := reopen(t, d)
	synced := 0
	rd.sync = func(f *os.File) error {
		if f.Name() != filepath.Join(d.root, "o!") {
			t.Errorf("synced %s", f.Name())
		}
		synced++
		return f.Sync()
	}
	o, err := reader.Get(t.Context(), "o")
	if err != nil || o.ID != "v2" || synced != 1 {
		t.Errorf("got %+v, %v after %d syncs", o, err, synced)
	}
	rd.sync = func(*os.File) error { return syscall.EIO }
	if o, err := reader.Get(t.Context(), "o"); !errors.Is(err, syscall.EIO) {
		t.Errorf("a version that may be lost was seen: %+v, %v", o, err)
	}
	close(goOn)
	writer.Wait()

	synced = 0
	rd.sync = func(*os.File) error { synced++; return nil }
	mustHave(t, reader, 2)
	if synced > 0 {
		t.Errorf("%d syncs to read a version whose writer has finished", synced)
	}
}

// TestRemoved takes version files away. What is gone is neither absent nor
// written again.
func TestRemoved(t *testing.T) {
	s, d := openTest(t)
	put(t, s, 1, 2, 3)
	if err := os.Remove(d.file("o!", baseOf(2))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GetVersion(t.Context(), "o", "v2"); !errors.Is(err, backend.ErrDamaged) || errors.Is(err, backend.ErrNotFound) {
		t.Errorf("an older version that is gone: %v", err)
	}
	if o, err := s.Get(t.Context(), "o"); err != nil || o.ID != "v3" {
		t.Errorf("the newest: %+v, %v", o, err)
	}
	if _, err := s.GetVersion(t.Context(), "o", "v4"); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("a version that never was: %v", err)
	}

	file := d.file("o!", baseOf(3))
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	_, get := s.Get(t.Context(), "o")
	_, head := s.Head(t.Context(), "o")
	_, version := s.GetVersion(t.Context(), "o", "v3")
	_, again := s.Put(t.Context(), "o", []byte("other"), backend.IfMatch("e3"))
	for i, err := range []error{get, head, version, again} {
		if !errors.Is(err, backend.ErrDamaged) || errors.Is(err, backend.ErrNotFound) || !strings.Contains(err.Error(), file) {
			t.Errorf("call %d, the newest version being gone: %v", i, err)
		}
	}
	_, older := s.Put(t.Context(), "o", []byte("other"), backend.IfMatch("e1"))
	_, anew := s.Put(t.Context(), "o", []byte("other"), backend.IfAbsent())
	for i, err := range []error{older, anew} {
		if !errors.Is(err, backend.ErrPreconditionFailed) {
			t.Errorf("write %d under a condition that does not hold: %v", i, err)
		}
	}
	page, err := s.ListVersions(t.Context(), "o", backend.VersionsRequest{})
	if err != nil || len(page.Versions) != 3 {
		t.Errorf("listed %+v, %v: what is gone is to be found by reading it", page, err)
	}
}

// TestStoreGone: if the directory of the store is not there, no object is absent.
func TestStoreGone(t *testing.T) {
	s, d := openTest(t)
	put(t, s, 1)
	if err := os.Rename(d.root, d.root+".away"); err != nil {
		t.Fatal(err)
	}
	_, get := s.Get(t.Context(), "o")
	_, head := s.Head(t.Context(), "o")
	_, version := s.GetVersion(t.Context(), "o", "v1")
	_, versions := s.ListVersions(t.Context(), "o", backend.VersionsRequest{})
	_, names := s.ListNames(t.Context(), backend.NamesRequest{})
	_, below := s.ListNames(t.Context(), backend.NamesRequest{Prefix: strings.Repeat("n", partBytes+1)})
	for i, err := range []error{get, head, version, versions, names, below} {
		if err == nil || errors.Is(err, backend.ErrNotFound) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if _, err := s.Put(t.Context(), "o", nil, backend.IfAbsent()); !errors.Is(err, backend.ErrUnavailable) {
		t.Errorf("put: %v", err)
	}
}

// TestCancelledWrite cancels a write when its file is complete.
func TestCancelledWrite(t *testing.T) {
	s, d := openTest(t)
	put(t, s, 1)
	ctx, cancel := context.WithCancel(t.Context())
	d.sync = func(f *os.File) error {
		cancel()
		return f.Sync()
	}
	_, err := s.Put(ctx, "o", []byte("2"), backend.IfMatch("e1"))
	if !errors.Is(err, context.Canceled) || !errors.Is(err, backend.ErrUnavailable) {
		t.Errorf("S18: %v", err)
	}
	d.sync = (*os.File).Sync
	mustHave(t, s, 1)
	if diff := cmp.Diff([]string{baseOf(1), hintName}, bases(t, d, "o!")); diff != "" {
		t.Error(diff)
	}
	if h, err := d.readHint("o!"); err != nil || h != (hint{newest: 1}) {
		t.Errorf("the hint says %+v, %v", h, err)
	}
}

// TestListDir lists a directory that is read in chunks, among things that are no
// objects.
func TestListDir(t *testing.T) {
	s, d := openTest(t)
	d.listed.size = 16
	var want []string
	for i := range 200 {
		name := fmt.Sprintf("n%d", i)
		path := filepath.Join(d.root, joinPath(pathOf(name)))
		if err := os.Mkdir(path, 0o777); err != nil {
			t.Fatal(err)
		}
		if i%50 == 0 { // as a writer leaves it that is killed before its first version
			continue
		}
		want = append(want, name)
		if err := os.WriteFile(filepath.Join(path, baseOf(1)), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, foreign := range []string{"lost+found", "README", "n1", "N!", "=61!", "!"} {
		if err := os.Mkdir(filepath.Join(d.root, foreign), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(want)
	// What is modified in an hour is not settled, however long this takes.
	for _, age := range []time.Duration{-time.Hour, time.Hour} {
		modified := time.Now().Add(-age)
		if err := os.Chtimes(d.root, modified, modified); err != nil {
			t.Fatal(err)
		}
		for _, limit := range []int{0, 1, 5, 16, 17, 199} {
			if got := listNames(t, s, limit); !slices.Equal(got, want) {
				t.Errorf("limit %d: %q, want %q", limit, got, want)
			}
		}
		if kept := len(d.listed.last.parts) > 0; kept != (age > 0) {
			t.Errorf("modified %v ago, the directory is kept in memory: %v", age, kept)
		}
	}

	// What is kept is not what is there any more (S7).
	page, err := s.ListNames(t.Context(), backend.NamesRequest{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "n10-new", nil, backend.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	page, err = s.ListNames(t.Context(), backend.NamesRequest{Token: page.Next, Limit: 2})
	if err != nil || !slices.Equal(page.Names, []string{"n10", "n10-new"}) {
		t.Errorf("after a write: %q, %v", page.Names, err)
	}
}

func listNames(t *testing.T, s *Store, limit int) []string {
	t.Helper()
	var names []string
	req := backend.NamesRequest{Limit: limit}
	for {
		page, err := s.ListNames(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, page.Names...)
		if page.Next == "" {
			return names
		}
		if page.Next == req.Token {
			t.Fatal("the listing stands still")
		}
		req.Token = page.Next
	}
}

// TestBadTokens: nothing in a token leads out of the store.
func TestBadTokens(t *testing.T) {
	s, _ := openTest(t)
	put(t, s, 1)
	for _, token := range []backend.PageToken{"x", "v0", "{}", `[{"l":"../../etc"}]`, `[{"l":""}]`, `[{"l":".."},{"l":"a!"}]`} {
		if page, err := s.ListNames(t.Context(), backend.NamesRequest{Token: token}); err == nil {
			t.Errorf("names by token %q: %+v", token, page)
		}
		if page, err := s.ListVersions(t.Context(), "o", backend.VersionsRequest{Token: token}); err == nil {
			t.Errorf("versions by token %q: %+v", token, page)
		}
	}
}

func TestCreateDir(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "c")
	if _, err := OpenDir(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
	s, err := OpenDir(path, CreateDir(), DirMode(0o750))
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, 1)
	for _, made := range []string{"", "..", "../..", "o!"} {
		info, err := os.Stat(filepath.Join(path, made))
		if err != nil || info.Mode().Perm() != 0o750 {
			t.Errorf("%s: %v, %v", made, info.Mode(), err)
		}
	}
	t.Chdir(t.TempDir())
	if _, err := OpenDir("", CreateDir()); err == nil {
		t.Error("a store was opened in no directory")
	}
	file := filepath.Join(path, "o!", baseOf(1))
	if _, err := OpenDir(file); err == nil {
		t.Error("a file was opened as a store")
	}
	if _, err := OpenDir(filepath.Join(file, "x"), CreateDir()); err == nil {
		t.Error("a store was made below a file")
	}
}

// TestExistingRootSynced: a directory that is there may be from another who has
// not synced it into the one above.
func TestExistingRootSynced(t *testing.T) {
	_, d := openTest(t)
	var synced []string
	d.sync = func(f *os.File) error { synced = append(synced, f.Name()); return nil }
	if err := d.createRoot(d.root); err != nil {
		t.Fatal(err)
	}
	if len(synced) != 1 || synced[0] != filepath.Dir(d.root) {
		t.Errorf("synced %q", synced)
	}
}

// TestPathTooLong: a name that the operating system cannot hold is an error that names
// it.
func TestPathTooLong(t *testing.T) {
	path := t.TempDir()
	for len(path) < 2000 {
		path = filepath.Join(path, strings.Repeat("d", 200))
	}
	s, err := OpenDir(path, CreateDir())
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("\x00", backend.MaxNameBytes)
	_, putErr := s.Put(t.Context(), long, nil, backend.IfAbsent())
	_, getErr := s.Get(t.Context(), long)
	_, listErr := s.ListVersions(t.Context(), long, backend.VersionsRequest{})
	for i, err := range []error{putErr, getErr, listErr} {
		if !errors.Is(err, backend.ErrInvalidName) {
			t.Errorf("S12: call %d: %v", i, err)
		}
	}
	put(t, s, 1)
	page, err := s.ListNames(t.Context(), backend.NamesRequest{After: long})
	if err != nil || !slices.Equal(page.Names, []string{"o"}) {
		t.Errorf("names after one too long: %q, %v", page.Names, err)
	}
}

// TestPathLimit: of names as long as the operating system just holds, those that
// are said to be absent can be written, and written again, to any number of
// versions.
func TestPathLimit(t *testing.T) {
	t.Parallel()
	const limit = 4096 // on Linux; elsewhere it is less, and every name is an error
	path := t.TempDir()
	for len(path) < limit-200 {
		path = filepath.Join(path, strings.Repeat("d", min(200, limit-151-len(path))))
	}
	s, err := OpenDir(path, CreateDir())
	if err != nil {
		t.Fatal(err)
	}
	d := s.medium.(*dir)
	d.sync = func(*os.File) error { return nil }
	refused := 0
	for n := 70; n <= 120; n++ {
		name := strings.Repeat("n", n)
		_, err := s.Head(t.Context(), name)
		if errors.Is(err, backend.ErrInvalidName) {
			refused++
			continue
		}
		if !errors.Is(err, backend.ErrNotFound) {
			t.Fatal(err)
		}
		cond := backend.IfAbsent()
		for i := range 10 {
			v, err := s.Put(t.Context(), name, nil, cond)
			if err != nil {
				t.Fatalf("version %d of a name of %d bytes, which was said to be absent: %v", i+1, n, err)
			}
			cond = backend.IfMatch(v.ETag)
		}
	}
	if refused == 0 || refused > 40 {
		t.Errorf("%d names were refused", refused)
	}
}

// TestTooLarge: S13, for what was put there by other means.
func TestTooLarge(t *testing.T) {
	s, d := openTest(t)
	put(t, s, 1)
	if err := os.Truncate(d.file("o!", baseOf(1)), backend.MaxBodyBytes+1); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "o"); !errors.Is(err, backend.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

// TestUseAfterClose: nobody is told of success, nor of anything else that is not so.
func TestUseAfterClose(t *testing.T) {
	s, d := openTest(t)
	put(t, s, 1)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Put(t.Context(), "o", nil, backend.IfMatch("e1")); !errors.Is(err, backend.ErrUnavailable) {
		t.Error(err)
	}
	again, _ := reopen(t, d)
	mustHave(t, again, 1)
	put(t, again, 2)
}
