package blobstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/blobstore"
)

func TestOpenFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, url := range []string{
		"file://" + dir,
		"file://localhost" + dir,
		"file://.",
		"file://./.",
		"file://" + dir + "?create_dir=true&no_tmp_dir=1&metadata=skip",
		"file://" + dir + "/sub/sub?create_dir=true&dir_file_mode=0750",
		"file://./sub?create_dir=false",
	} {
		s, err := backend.Open(t.Context(), url)
		if url == "file://." {
			if !errors.Is(err, backend.ErrInvalidURL) {
				t.Errorf("%s: %v", url, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if _, ok := s.(*blobstore.Store); !ok {
			t.Errorf("%s: %T", url, s)
		}
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Errorf("%s: close: %v", url, err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "sub", "sub"))
	if err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("dir_file_mode: %v, %v", info, err)
	}
}

func TestOpenFileRefuses(t *testing.T) {
	dir := t.TempDir()
	for params, want := range map[string]string{
		"?colour=blue":             "create_dir, dir_file_mode, metadata, no_tmp_dir",
		"?base_url=/x":             "create_dir, dir_file_mode, metadata, no_tmp_dir",
		"?prefix=a/":               "create_dir, dir_file_mode, metadata, no_tmp_dir",
		"?create_dir=maybe":        "create_dir must be true or false",
		"?dir_file_mode=rwx":       "dir_file_mode",
		"?dir_file_mode=07777":     "dir_file_mode",
		"?metadata=":               "metadata must be skip",
		"?no_tmp_dir=false":        "no_tmp_dir must be true",
		"?create_dir=1&create_dir": "2 times",
		"#fragment":                "file:///dir",
	} {
		_, err := backend.Open(t.Context(), "file://"+dir+params)
		if !errors.Is(err, backend.ErrInvalidURL) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want something about %q", params, err, want)
		}
	}
	for _, url := range []string{"file://data/store", "file:data", "file://", "file:///dir%zz", "file://user@/dir"} {
		if _, err := backend.Open(t.Context(), url); !errors.Is(err, backend.ErrInvalidURL) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, err := backend.Open(t.Context(), "file://"+dir+"/none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
}

// TestSchemes: drivers are opened for their schemes, but not in the place of
// ImmuKV's own stores.
func TestSchemes(t *testing.T) {
	if schemes := backend.Schemes(); !slices.Contains(schemes, "file") || slices.Contains(schemes, "mem") || slices.Contains(schemes, "s3") {
		t.Errorf("schemes: %q", schemes)
	}
	if _, err := backend.Open(t.Context(), "mem://"); !errors.Is(err, backend.ErrInvalidURL) {
		t.Errorf("memblob in the place of memstore: %v", err)
	}
}

// shelfOpener is a driver that a program registers.
type shelfOpener struct{ bucket *blob.Bucket }

func (o shelfOpener) OpenBucketURL(context.Context, *url.URL) (*blob.Bucket, error) {
	return o.bucket, nil
}

func TestOpenDriver(t *testing.T) {
	bucket := memblob.OpenBucket(nil)
	blob.DefaultURLMux().RegisterBucket("shelf", shelfOpener{bucket})
	s, err := backend.Open(t.Context(), "shelf://any")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "o", nil, backend.IfAbsent()); err != nil {
		t.Error(err)
	}
	if ok, err := bucket.Exists(t.Context(), "o!/9999999999999998.v1"); !ok || err != nil {
		t.Errorf("version 1 is not where the documentation says: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := bucket.Exists(t.Context(), "o"); err == nil {
		t.Error("the bucket that was opened by URL was not closed")
	}
}

// failingOpener repeats the URL that it cannot open, as gocloud's drivers do.
type failingOpener struct{}

func (failingOpener) OpenBucketURL(_ context.Context, u *url.URL) (*blob.Bucket, error) {
	return nil, fmt.Errorf("open bucket %v: invalid query parameter %q: %w", u, "sig", os.ErrInvalid)
}

// TestDriverKeepsSecrets: of a URL's user and parameters nothing is in an error,
// not even in the driver's.
func TestDriverKeepsSecrets(t *testing.T) {
	blob.DefaultURLMux().RegisterBucket("telltale", failingOpener{})
	for _, storeURL := range []string{
		"telltale://user:secret@bucket?sig=secret",
		"telltale://bucket?sig=a%2Fsecret&prefix=p",
		"telltale://bucket?sig=a secret",
		"telltale://bucket#secret",
	} {
		_, err := backend.Open(t.Context(), storeURL)
		const want = `open store "telltale://bucket": open bucket telltale://bucket: invalid query parameter "sig": invalid argument`
		if !errors.Is(err, os.ErrInvalid) || err.Error() != want {
			t.Errorf("%s: %v", storeURL, err)
		}
	}
}

// TestSingleKey: a bucket of one key, whatever it is asked for, holds no store.
func TestSingleKey(t *testing.T) {
	bucket := memblob.OpenBucket(nil)
	t.Cleanup(func() { bucket.Close() })
	blob.DefaultURLMux().RegisterBucket("cupboard", shelfOpener{bucket})
	if _, err := backend.Open(t.Context(), "cupboard://any?key=k"); !errors.Is(err, backend.ErrInvalidURL) {
		t.Error(err)
	}
}

// TestLongPrefix: keys are as long with a prefix as a bucket holds them without.
func TestLongPrefix(t *testing.T) {
	bucket := memblob.OpenBucket(nil)
	t.Cleanup(func() { bucket.Close() })
	blob.DefaultURLMux().RegisterBucket("drawer", shelfOpener{bucket})
	s, err := backend.Open(t.Context(), "drawer://any?prefix="+strings.Repeat("p", 100)+"/")
	if err != nil {
		t.Fatal(err)
	}
	for size, want := range map[int]error{890: nil, 910: backend.ErrInvalidName} {
		if _, err := s.Put(t.Context(), strings.Repeat("n", size), nil, backend.IfAbsent()); !errors.Is(err, want) {
			t.Errorf("S12: %d bytes: %v", size, err)
		}
	}
}
