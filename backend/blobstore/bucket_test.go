package blobstore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"
	"gocloud.dev/gcerrors"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/blobstore"
)

func TestRequests(t *testing.T) {
	s, d := newTestStore(t)
	cond := backend.IfAbsent()
	for n := range 50 {
		v, err := s.Put(t.Context(), "o", []byte("body"), cond)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"attributes", "write body", "write"}
		if n == 0 {
			want = want[1:]
		}
		if got := d.requested(); !slices.Equal(got, want) {
			t.Errorf("version %d was written with %q, want %q", n+1, got, want)
		}
		cond = backend.IfMatch(v.ETag)
	}
	if o, err := s.Get(t.Context(), "o"); err != nil || o.ID != "v50" {
		t.Errorf("get: %+v, %v", o, err)
	}
	if got := d.requested(); !slices.Equal(got, []string{"list", "read"}) {
		t.Errorf("the newest version was read with %q", got)
	}
	if v, err := s.Head(t.Context(), "o"); err != nil || v.ID != "v50" {
		t.Errorf("head: %+v, %v", v, err)
	}
	if got := d.requested(); !slices.Equal(got, []string{"list"}) {
		t.Errorf("the newest version was learnt with %q", got)
	}
	page, err := s.ListVersions(t.Context(), "o", backend.VersionsRequest{})
	if err != nil || len(page.Versions) != 50 {
		t.Errorf("list versions: %+v, %v", page, err)
	}
	if got := d.requested(); !slices.Equal(got, []string{"list"}) {
		t.Errorf("versions were listed with %q", got)
	}
}

// TestDriverErrors arranges failures, and checks the errors that they become.
func TestDriverErrors(t *testing.T) {
	type method = func(s *blobstore.Store) error
	methods := map[string]method{
		"get":         func(s *blobstore.Store) error { _, err := s.Get(t.Context(), "o"); return err },
		"get version": func(s *blobstore.Store) error { _, err := s.GetVersion(t.Context(), "o", "v1"); return err },
		"head":        func(s *blobstore.Store) error { _, err := s.Head(t.Context(), "o"); return err },
		"list versions": func(s *blobstore.Store) error {
			_, err := s.ListVersions(t.Context(), "o", backend.VersionsRequest{})
			return err
		},
		"list names": func(s *blobstore.Store) error { _, err := s.ListNames(t.Context(), backend.NamesRequest{}); return err },
		"create": func(s *blobstore.Store) error {
			_, err := s.Put(t.Context(), "new", []byte("body"), backend.IfAbsent())
			return err
		},
		"put": func(s *blobstore.Store) error {
			_, err := s.Put(t.Context(), "o", []byte("body"), backend.IfMatch("e1"))
			return err
		},
	}
	var other = errors.New("of no kind")
	for _, c := range []struct {
		when, requests string // the requests that fail; empty means all
		code           gcerrors.ErrorCode
		methods        []string
		want           error
	}{
		{"access is denied", "", gcerrors.PermissionDenied, []string{"get", "get version", "head", "list versions", "list names", "create", "put"}, backend.ErrAccessDenied},
		{"the service is busy", "", gcerrors.ResourceExhausted, []string{"get", "get version", "head", "list versions", "list names", "create", "put"}, backend.ErrUnavailable},
		{"something is wrong", "", gcerrors.Unknown, []string{"get", "get version", "head", "list versions", "list names"}, other},
		{"something is wrong", "", gcerrors.Unknown, []string{"create"}, backend.ErrOutcomeUnknown},
		{"something is wrong", "attributes", gcerrors.Unknown, []string{"put"}, backend.ErrUnavailable},
		{"something is wrong", "write", gcerrors.Unknown, []string{"create", "put"}, backend.ErrOutcomeUnknown},
		{"something is wrong", "write body", gcerrors.Unknown, []string{"create", "put"}, backend.ErrOutcomeUnknown},
		{"the answer takes too long", "write", gcerrors.DeadlineExceeded, []string{"create", "put"}, backend.ErrOutcomeUnknown},
		{"there is no such bucket", "", gcerrors.NotFound, []string{"get", "get version", "head", "list versions", "list names"}, other},
		{"there is no such bucket", "", gcerrors.NotFound, []string{"create"}, backend.ErrAccessDenied},
		{"there is no such bucket", "", gcerrors.NotFound, []string{"put"}, backend.ErrUnavailable},
		// As gcsblob says it.
		{"reading is denied", "read", gcerrors.NotFound, []string{"get", "get version"}, backend.ErrAccessDenied},
		{"reading is denied", "attributes", gcerrors.NotFound, []string{"put"}, backend.ErrAccessDenied},
		{"writing is denied", "write", gcerrors.NotFound, []string{"create", "put"}, backend.ErrAccessDenied},
	} {
		for _, name := range c.methods {
			s, d := newTestStore(t)
			if _, err := s.Put(t.Context(), "o", nil, backend.IfAbsent()); err != nil {
				t.Fatal(err)
			}
			d.fail = func(request, _ string) (bool, error) {
				if c.requests == "" || c.requests == request {
					return false, testError(c.code)
				}
				return false, nil
			}
			err := methods[name](s)
			if gcerrors.Code(err) != c.code {
				t.Errorf("%s, %s: the cause is not to be seen: %v", name, c.when, err)
			}
			if got := kindOf(err); got != c.want && (got != nil || c.want != other) {
				t.Errorf("%s, %s: %v, want %v", name, c.when, err, c.want)
			}
		}
	}
}

// kindOf returns the sentinel in an error's tree, if there is just one.
func kindOf(err error) error {
	var found []error
	for _, kind := range []error{backend.ErrNotFound, backend.ErrPreconditionFailed, backend.ErrOutcomeUnknown, backend.ErrAccessDenied,
		backend.ErrUnavailable, backend.ErrInvalidName, backend.ErrTooLarge, backend.ErrDamaged, backend.ErrUnsupported} {
		if errors.Is(err, kind) {
			found = append(found, kind)
		}
	}
	switch len(found) {
	case 0:
		return nil
	case 1:
		return found[0]
	default:
		return errors.Join(found...)
	}
}

// TestHiddenRetry: the driver's SDK sends a write twice, the first having applied
// with its answer lost, and reports what became of the second (S15).
func TestHiddenRetry(t *testing.T) {
	s, d := newTestStore(t)
	d.fail = func(request, _ string) (bool, error) {
		if request == "write" {
			return true, testError(gcerrors.FailedPrecondition)
		}
		return false, nil
	}
	v, err := s.Put(t.Context(), "o", []byte("1"), backend.IfAbsent())
	if err != nil || v.ID != "v1" {
		t.Errorf("a write that applied: %+v, %v", v, err)
	}
	if _, err := s.Put(t.Context(), "o", []byte("1"), backend.IfAbsent()); kindOf(err) != backend.ErrPreconditionFailed {
		t.Errorf("the same write, another time: %v", err)
	}
	d.fail = func(request, _ string) (bool, error) {
		if request == "write" {
			return true, testError(gcerrors.FailedPrecondition)
		}
		return false, testError(gcerrors.Unknown)
	}
	if _, err := s.Put(t.Context(), "p", []byte("1"), backend.IfAbsent()); kindOf(err) != backend.ErrOutcomeUnknown {
		t.Errorf("a write that cannot be looked for: %v", err)
	}
}

// TestCancelledUnderWay cancels a write before the driver commits it.
func TestCancelledUnderWay(t *testing.T) {
	s, d := newTestStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	d.fail = func(request, _ string) (bool, error) {
		if request == "write body" {
			cancel()
		}
		return false, nil
	}
	_, err := s.Put(ctx, "o", []byte("1"), backend.IfAbsent())
	if kindOf(err) != backend.ErrOutcomeUnknown || !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
	if len(d.keys) > 0 {
		t.Errorf("%q were written", d.keys)
	}
	if _, err := s.Put(ctx, "o", []byte("1"), backend.IfAbsent()); kindOf(err) != backend.ErrUnavailable || !errors.Is(err, context.Canceled) {
		t.Errorf("put by a context that ended before: %v", err)
	}
	// Not every driver passes the error of the context on.
	ctx, cancel = context.WithCancel(t.Context())
	d.fail = func(string, string) (bool, error) {
		cancel()
		return false, testError(gcerrors.Unknown)
	}
	if _, err := s.Get(ctx, "o"); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v", err)
	}
}

// TestHalfBody: a body that fails on its way is not committed.
func TestHalfBody(t *testing.T) {
	s, d := newTestStore(t)
	d.fail = func(request, _ string) (bool, error) {
		if request == "write body" {
			return false, testError(gcerrors.Unknown)
		}
		return false, nil
	}
	if _, err := s.Put(t.Context(), "o", []byte("1"), backend.IfAbsent()); kindOf(err) != backend.ErrOutcomeUnknown {
		t.Errorf("put: %v", err)
	}
	if len(d.keys) > 0 {
		t.Errorf("%q were written", d.keys)
	}
}

// TestForeignKeys: what was copied from a directory beside the versions is not in
// the way, and what is missing is damage.
func TestForeignKeys(t *testing.T) {
	s, d := newTestStore(t)
	cond := backend.IfAbsent()
	for range 3 {
		v, err := s.Put(t.Context(), "o", nil, cond)
		if err != nil {
			t.Fatal(err)
		}
		cond = backend.IfMatch(v.ETag)
	}
	d.mu.Lock()
	d.keys = append(d.keys, "_lock", "o!/9999999999999995.v4.18a0b1c2d3e4f506.tmp", "o!/latest", "o!/0", "README", "N!/x", "lost+found/x")
	d.keys = slices.DeleteFunc(d.keys, func(key string) bool { return key == "o!/9999999999999997.v2" })
	delete(d.objects, "o!/9999999999999997.v2")
	slices.Sort(d.keys)
	d.mu.Unlock()
	if v, err := s.Head(t.Context(), "o"); err != nil || v.ID != "v3" {
		t.Errorf("head: %+v, %v", v, err)
	}
	names, err := s.ListNames(t.Context(), backend.NamesRequest{})
	if err != nil || !slices.Equal(names.Names, []string{"o"}) {
		t.Errorf("names: %q, %v", names.Names, err)
	}
	if _, err := s.GetVersion(t.Context(), "o", "v2"); kindOf(err) != backend.ErrDamaged {
		t.Errorf("a version that is gone: %v", err)
	}
}

// TestListNamesBucket lists names, some of them long and in pages of the driver's
// own, from every starting point.
func TestListNamesBucket(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("l", 128)
	var names []string
	for _, name := range []string{"a", "a-", "a/", "a/b", "ab", "b", "L", "z", long} {
		names = append(names, name, long+name, long+long+name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	startAt := blobstore.StartListing(func(key string, as func(any) bool) {
		var from *listFrom
		if as(&from) {
			from.key = key
		}
	})
	for _, opts := range [][]blobstore.BucketOption{nil, {startAt}} {
		s, d := newTestStore(t, opts...)
		for _, name := range names {
			if _, err := s.Put(t.Context(), name, nil, backend.IfAbsent()); err != nil {
				t.Fatal(err)
			}
		}
		for _, d.pageSize = range []int{1, 3, 1000} {
			for _, limit := range []int{2, 0} {
				for _, prefix := range []string{"", "a", long[:100], long + "a", long + long} {
					for _, after := range append(names, "", "zz", long[:127], strings.Repeat("\xff", 2000)) {
						checkListing(t, s, names, backend.NamesRequest{Prefix: prefix, After: after, Limit: limit})
					}
				}
			}
		}
	}
}

func checkListing(t *testing.T, s *blobstore.Store, names []string, req backend.NamesRequest) {
	t.Helper()
	var want, got []string
	for _, name := range names {
		if strings.HasPrefix(name, req.Prefix) && name > req.After {
			want = append(want, name)
		}
	}
	for first := req; ; {
		page, err := s.ListNames(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, page.Names...)
		if page.Next == "" {
			break
		}
		if len(got) > len(want) || page.Next == first.Token {
			t.Fatalf("%.30q after %.30q by %d: the listing does not end", req.Prefix, req.After, req.Limit)
		}
		first.Token = page.Next
	}
	if !slices.Equal(got, want) {
		t.Errorf("%.30q after %.30q by %d: %d names, want %d", req.Prefix, req.After, req.Limit, len(got), len(want))
	}
}

// TestStartListing: with a way to start a listing, names before are not listed.
func TestStartListing(t *testing.T) {
	s, d := newTestStore(t, blobstore.StartListing(func(key string, as func(any) bool) {
		var from *listFrom
		if as(&from) {
			from.key = key
		}
	}))
	for i := range 100 {
		if _, err := s.Put(t.Context(), fmt.Sprintf("n%02d", i), nil, backend.IfAbsent()); err != nil {
			t.Fatal(err)
		}
	}
	d.requested()
	page, err := s.ListNames(t.Context(), backend.NamesRequest{After: "n90", Limit: 5})
	if err != nil || !slices.Equal(page.Names, []string{"n91", "n92", "n93", "n94", "n95"}) {
		t.Errorf("%q, %v", page.Names, err)
	}
	if got := d.requested(); len(got) > 2 {
		t.Errorf("%d requests", len(got))
	}
}

func TestMaxKeyBytes(t *testing.T) {
	s, _ := newTestStore(t)
	fits, over := strings.Repeat("n", 980), strings.Repeat("n", 995)
	if _, err := s.Put(t.Context(), fits, nil, backend.IfAbsent()); err != nil {
		t.Error(err)
	}
	_, put := s.Put(t.Context(), over, nil, backend.IfAbsent())
	_, get := s.Get(t.Context(), over)
	for _, err := range []error{put, get} {
		if kindOf(err) != backend.ErrInvalidName {
			t.Errorf("S12: %v", err)
		}
	}
}

// TestRefusesFileblob is S20.
func TestRefusesFileblob(t *testing.T) {
	open := func() *blob.Bucket {
		b, err := fileblob.OpenBucket(t.TempDir(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, b := range map[string]*blob.Bucket{
		"plain":                open(),
		"prefixed":             blob.PrefixedBucket(open(), "p/"),
		"prefixed twice":       blob.PrefixedBucket(blob.PrefixedBucket(open(), "p/"), "q/"),
		"for a single key":     blob.SingleKeyBucket(open(), "k"),
		"without a temp. file": mustOpenURL(t, "file://"+t.TempDir()+"?no_tmp_dir=true&metadata=skip&prefix=p/"),
	} {
		_, err := blobstore.New(b)
		var refused *backend.UnsupportedError
		if !errors.As(err, &refused) || refused.Clause != "S3" || !strings.Contains(refused.Remedy, "OpenDir") {
			t.Errorf("%s: %v", name, err)
		}
		b.Close()
	}
}

func mustOpenURL(t *testing.T, url string) *blob.Bucket {
	t.Helper()
	b, err := blob.OpenBucket(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDirIntoBucket: a directory copied into a bucket is the same store.
func TestDirIntoBucket(t *testing.T) {
	dir := t.TempDir()
	s, err := blobstore.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{strings.Repeat("/", 200), "a", "a/b"}
	for _, name := range names {
		first, err := s.Put(t.Context(), name, []byte("1 of "+name), backend.IfAbsent())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put(t.Context(), name, []byte("2 of "+name), backend.IfMatch(first.ETag)); err != nil {
			t.Fatal(err)
		}
	}
	b := memblob.OpenBucket(nil)
	defer b.Close()
	root := os.DirFS(dir)
	err = copyInto(t.Context(), b, root)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := blobstore.New(b)
	if err != nil {
		t.Fatal(err)
	}
	checkListing(t, copied, names, backend.NamesRequest{})
	for _, name := range names {
		o, err := copied.Get(t.Context(), name)
		if err != nil || o.ID != "v2" || string(o.Body) != "2 of "+name {
			t.Errorf("%.10q: %+v, %v", name, o, err)
		}
		if _, err := copied.Put(t.Context(), name, nil, backend.IfMatch(o.ETag)); err != nil {
			t.Errorf("%.10q: %v", name, err)
		}
	}
}

func copyInto(ctx context.Context, b *blob.Bucket, from fs.FS) error {
	return fs.WalkDir(from, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(from, path)
		if err != nil {
			return err
		}
		return b.WriteAll(ctx, path, content, nil)
	})
}
