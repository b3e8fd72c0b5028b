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

// ownSchemes are the schemes for which ImmuKV has its own store. The meaning of such a
// URL must not depend on whether a program imports that store or a gocloud driver.
var ownSchemes = []string{"file", "mem", "s3"}

func driverSchemes() []string {
	return slices.DeleteFunc(blob.DefaultURLMux().BucketSchemes(), func(scheme string) bool {
		return slices.Contains(ownSchemes, scheme)
	})
}

// openDriver opens a bucket with the driver registered for its scheme.
func openDriver(ctx context.Context, u *url.URL) (backend.Store, error) {
	if u.Query().Has("key") {
		return nil, fmt.Errorf("%w: with the parameter %q, gocloud stores all objects under one key", backend.ErrInvalidURL, "key")
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

// driverError is the error of a driver that could not open a URL. Drivers repeat the URL
// in their errors, with or without its parameters, and it may contain credentials.
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
			return nil, fmt.Errorf("%w: create_dir must be true or false", backend.ErrInvalidURL)
		}
		if create {
			opts = append(opts, CreateDir())
		}
	}
	if q.Has("dir_file_mode") {
		mode, err := strconv.ParseUint(q.Get("dir_file_mode"), 0, 32)
		if err != nil || fs.FileMode(mode)&^fs.ModePerm != 0 {
			return nil, fmt.Errorf("%w: dir_file_mode must be a number such as 0750", backend.ErrInvalidURL)
		}
		opts = append(opts, DirMode(fs.FileMode(mode)))
	}
	// The store always does this, so a URL that says so is valid.
	if q.Has("no_tmp_dir") {
		if yes, err := strconv.ParseBool(q.Get("no_tmp_dir")); err != nil || !yes {
			return nil, fmt.Errorf("%w: no_tmp_dir must be true: a store writes temporary files in its own directory", backend.ErrInvalidURL)
		}
	}
	if q.Has("metadata") && q.Get("metadata") != "skip" {
		return nil, fmt.Errorf("%w: metadata must be skip: a store in a directory has none", backend.ErrInvalidURL)
	}
	return opts, nil
}

// dirPath returns the directory that a URL names. Unlike fileblob, it rejects a host:
// file://data/store is a mistake for file:///data/store or file://./data/store, and never
// means /store.
func dirPath(u *url.URL) (string, error) {
	path := u.Path
	switch {
	case u.Opaque != "" || u.User != nil || u.Fragment != "":
		return "", fmt.Errorf("%w: write file:///dir, or file://./dir for one below the current directory", backend.ErrInvalidURL)
	case u.Host == ".":
		path = strings.TrimPrefix(path, "/")
	case u.Host != "" && u.Host != "localhost":
		return "", fmt.Errorf("%w: %q is in the place of a host: write file:///dir, or file://./dir for one below the current directory",
			backend.ErrInvalidURL, u.Host)
	case os.PathSeparator != '/': // file:///c:/dir
		path = strings.TrimPrefix(path, "/")
	}
	if path == "" {
		return "", fmt.Errorf("%w: it does not name a directory", backend.ErrInvalidURL)
	}
	return filepath.FromSlash(path), nil
}
