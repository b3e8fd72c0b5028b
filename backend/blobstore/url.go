package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gocloud.dev/blob"

	"github.com/immukv/immukv-go/backend"
)

func init() {
	backend.Register("file", openFile)
	backend.RegisterFallback(driverSchemes, openDriver)
}

// ownSchemes are those for which ImmuKV has a store of its own. What is at such
// a URL must not depend on whether a program imports that store or a gocloud
// driver.
var ownSchemes = []string{"file", "mem", "s3"}

func driverSchemes() []string {
	return slices.DeleteFunc(blob.DefaultURLMux().BucketSchemes(), func(scheme string) bool {
		return slices.Contains(ownSchemes, scheme)
	})
}

// openDriver opens a bucket by the driver that is registered for its scheme.
func openDriver(ctx context.Context, u *url.URL) (backend.Store, error) {
	if u.Query().Has("key") {
		return nil, fmt.Errorf("%w: by parameter %q gocloud keeps all objects under one key", backend.ErrInvalidURL, "key")
	}
	b, err := blob.DefaultURLMux().OpenBucketURL(ctx, u)
	if err != nil {
		return nil, &driverError{u, err}
	}
	s, err := New(b, MaxKeyBytes(DefaultMaxKeyBytes-len(u.Query().Get("prefix"))))
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return newStore(s.medium, b.Close), nil
}

// driverError is the error of a driver that did not open a URL. Drivers repeat the
// URL in their errors, as it was or with parameters taken out, and there may be
// credentials in it.
type driverError struct {
	url *url.URL
	err error
}

func (e *driverError) Error() string {
	shown := e.url.Scheme + "://" + e.url.Host
	text := strings.ReplaceAll(e.err.Error(), e.url.String(), shown)
	repeated := regexp.MustCompile(regexp.QuoteMeta(e.url.Scheme) + `://[^\s"]*[^\s":]`)
	return repeated.ReplaceAllLiteralString(text, shown)
}

func (e *driverError) Unwrap() error { return e.err }

// openFile opens file:///dir, in the forms of fileblob's URLs.
func openFile(_ context.Context, u *url.URL) (backend.Store, error) {
	err := backend.CheckParams(u, "create_dir", "dir_file_mode", "metadata", "no_tmp_dir")
	if err != nil {
		return nil, err
	}
	opts, err := dirParams(u.Query())
	if err != nil {
		return nil, err
	}
	path, err := dirPath(u)
	if err != nil {
		return nil, err
	}
	return OpenDir(path, opts...)
}

func dirParams(q url.Values) ([]DirOption, error) {
	var opts []DirOption
	if q.Has("create_dir") {
		create, err := strconv.ParseBool(q.Get("create_dir"))
		if err != nil {
			return nil, fmt.Errorf("%w: create_dir is true or false", backend.ErrInvalidURL)
		}
		if create {
			opts = append(opts, CreateDir())
		}
	}
	if q.Has("dir_file_mode") {
		mode, err := strconv.ParseUint(q.Get("dir_file_mode"), 0, 32)
		if err != nil || fs.FileMode(mode)&^fs.ModePerm != 0 {
			return nil, fmt.Errorf("%w: dir_file_mode is a number such as 0750", backend.ErrInvalidURL)
		}
		opts = append(opts, DirMode(fs.FileMode(mode)))
	}
	// The store does these in any case; a URL that says so is a good one.
	if q.Has("no_tmp_dir") {
		if yes, err := strconv.ParseBool(q.Get("no_tmp_dir")); err != nil || !yes {
			return nil, fmt.Errorf("%w: no_tmp_dir is true: a store writes its files where they are to be", backend.ErrInvalidURL)
		}
	}
	if q.Has("metadata") && q.Get("metadata") != "skip" {
		return nil, fmt.Errorf("%w: metadata is skip: a store keeps none", backend.ErrInvalidURL)
	}
	return opts, nil
}

// dirPath is the directory that a URL names. Unlike fileblob it refuses a host:
// file://data/store is a mistake for file:///data/store or file://./data/store,
// and in either case not /store.
func dirPath(u *url.URL) (string, error) {
	path := u.Path
	switch {
	case u.Opaque != "" || u.User != nil || u.Fragment != "":
		return "", fmt.Errorf("%w: write file:///dir, or file://./dir for one below the current directory", backend.ErrInvalidURL)
	case u.Host == ".":
		path = strings.TrimPrefix(path, "/")
	case u.Host != "" && u.Host != "localhost":
		return "", fmt.Errorf("%w: %q stands where the name of a host would: write file:///dir, or file://./dir for one below the current directory",
			backend.ErrInvalidURL, u.Host)
	case os.PathSeparator != '/': // file:///c:/dir
		path = strings.TrimPrefix(path, "/")
	}
	if path == "" {
		return "", fmt.Errorf("%w: it names no directory", backend.ErrInvalidURL)
	}
	return filepath.FromSlash(path), nil
}
