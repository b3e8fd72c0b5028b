package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	_ "gocloud.dev/blob/azureblob" // azblob
	_ "gocloud.dev/blob/gcsblob"   // gs

	"github.com/immukv/immukv-go/backend"
	_ "github.com/immukv/immukv-go/backend/blobstore" // file, and gocloud's schemes
	_ "github.com/immukv/immukv-go/backend/memstore"  // mem
	_ "github.com/immukv/immukv-go/backend/s3store"   // s3
	"github.com/immukv/immukv-go/conformance"
	"github.com/immukv/immukv-go/conformance/internal/mutants"
)

// target is the store that the suite runs on, and how to clean up afterwards.
type target struct {
	url     string // as people may see it
	harness conformance.Harness
	where   string // where in the store the suite works
	prefix  string // if there is one
	// remove removes what was written. It is nil if there is nothing to
	// remove.
	remove func(ctx context.Context) error
	// kept tells the user how to remove it by hand.
	kept string
}

// workplace is the name of the directory or prefix of one run.
func workplace() string { return "immukv-conformance-" + strings.ToLower(rand.Text()) }

// newTarget makes the target that a URL names.
func newTarget(ctx context.Context, s settings) (*target, error) {
	if name, ok := strings.CutPrefix(s.store, "specimen:"); ok {
		return specimenTarget(name)
	}
	u, err := url.Parse(s.store)
	if err != nil {
		return nil, errors.New("--store is not a URL")
	}
	t := &target{url: s.store}
	if u.User != nil {
		t.url = u.Redacted()
	}
	switch u.Scheme {
	case "mem":
		t.memory(s.store)
		return t, nil
	case "file":
		err = t.directory(u)
	case "s3":
		err = t.bucket(ctx, u)
	default:
		err = t.other(ctx, u)
	}
	return t, err
}

func specimenTarget(name string) (*target, error) {
	t := &target{url: "specimen:" + name, where: "in memory or in temporary files"}
	if h, ok := mutants.Healthy()[name]; ok {
		t.harness = h
		return t, nil
	}
	for _, m := range mutants.All() {
		if m.Name == name {
			t.harness = m.Harness()
			return t, nil
		}
	}
	return nil, fmt.Errorf("no specimen is called %q; the command specimens lists them", name)
}

// memory is a store that exists only in its handle, so that a check shares one
// handle.
func (t *target) memory(storeURL string) {
	t.where = "in memory"
	t.harness = conformance.Harness{
		New: func(ctx context.Context) (conformance.Store, error) {
			store, err := backend.Open(ctx, storeURL)
			return conformance.Store{
				Open: func(context.Context) (backend.VersionedStore, error) { return store, nil },
			}, err
		},
		Lacks: map[conformance.Facility]string{
			conformance.Restart:    "a store in memory goes with its process",
			conformance.OpenDenied: "a store in memory has no permissions",
			conformance.OpenAbsent: "a store in memory is always there",
			conformance.OpenHTTP:   "a store in memory has no network",
			conformance.Worker:     "a store in memory belongs to one process",
		},
	}
}

// directory is a store in local files. Each check has its own directory below a
// new one.
func (t *target) directory(u *url.URL) error {
	base := *u
	name := workplace()
	base.Path = strings.TrimSuffix(u.Path, "/") + "/" + name
	// Opened once as given, to report an error in the URL now.
	if store, err := backend.Open(context.Background(), u.String()); err != nil {
		return err
	} else if err := store.Close(); err != nil {
		return failedError{err}
	}
	dir := filepath.FromSlash(base.Path)
	if u.Host == "." {
		dir = filepath.FromSlash("." + base.Path)
	}
	t.where = "in " + dir
	t.kept = "remove the directory " + dir
	t.remove = func(context.Context) error { return os.RemoveAll(dir) }

	var n atomic.Int64
	t.harness = conformance.Harness{
		New: func(context.Context) (conformance.Store, error) {
			own := base
			own.Path = fmt.Sprintf("%s/%d", base.Path, n.Add(1))
			q := own.Query()
			q.Set("create_dir", "true")
			own.RawQuery = q.Encode()
			absent := own
			absent.Path += "-absent"
			q.Del("create_dir")
			absent.RawQuery = q.Encode()
			return conformance.Store{
				Open:       opener(own.String(), ""),
				Restart:    func(context.Context) error { return nil }, // it has no process of its own
				OpenAbsent: opener(absent.String(), ""),
				Worker:     workerOf(own.String(), ""),
			}, nil
		},
		Lacks: map[conformance.Facility]string{
			conformance.OpenDenied: "the command has the permissions of its user",
			conformance.OpenHTTP:   "files are not reached over HTTP",
		},
		Limits: conformance.Limits{RefusesName: learned(func(ctx context.Context) (backend.VersionedStore, error) {
			// The paths of names of the same length are as long as in any
			// check's directory.
			own := base
			own.Path += "/names"
			own.RawQuery = "create_dir=true"
			return backend.Open(ctx, own.String())
		})},
	}
	return nil
}

// other is a bucket of a gocloud driver, or of any other registered scheme.
func (t *target) other(ctx context.Context, u *url.URL) error {
	store, err := backend.Open(ctx, u.String())
	if err != nil {
		return err
	}
	if err := store.Close(); err != nil {
		return failedError{err}
	}
	t.inPrefix(u.String(), func(prefix string) conformance.Store {
		return conformance.Store{Open: opener(u.String(), prefix), Worker: workerOf(u.String(), prefix)}
	})
	t.harness.Lacks = map[conformance.Facility]string{
		conformance.Restart:    "the command cannot restart the store",
		conformance.OpenDenied: "the command has only one set of permissions",
		conformance.OpenAbsent: "no URL of an absent store is known for " + u.Scheme,
		conformance.OpenHTTP:   "the command cannot put a proxy before the driver's server",
	}
	// Package blobstore writes letters, digits and hyphens as they are.
	t.remove = func(ctx context.Context) error { return removeKeys(ctx, u, strings.TrimSuffix(t.prefix, "/")) }
	return nil
}

// inPrefix gives each check its own prefix below a new one. Part makes the
// store of a prefix.
func (t *target) inPrefix(storeURL string, part func(prefix string) conformance.Store) {
	prefix := workplace() + "/"
	t.prefix = prefix
	t.where = "under the prefix " + prefix
	t.kept = "remove what is under the prefix " + prefix + ", old versions included"
	var n atomic.Int64
	const longest = len("000/")
	t.harness = conformance.Harness{
		New: func(context.Context) (conformance.Store, error) {
			return part(fmt.Sprintf("%s%03d/", prefix, n.Add(1))), nil
		},
		Limits: conformance.Limits{
			MaxName: backend.MaxNameBytes - len(prefix) - longest,
			RefusesName: learned(func(ctx context.Context) (backend.VersionedStore, error) {
				return opener(storeURL, prefix+"000/")(ctx)
			}),
		},
	}
}

// opener opens handles on a part of a store.
func opener(storeURL, prefix string) func(context.Context) (backend.VersionedStore, error) {
	return func(ctx context.Context) (backend.VersionedStore, error) {
		s, err := backend.Open(ctx, storeURL)
		if err != nil {
			return nil, err
		}
		return withPrefix(s, prefix), nil
	}
}

// workerOf returns a command that runs this program as a worker on a part of a
// store.
func workerOf(storeURL, prefix string) func(context.Context) (*exec.Cmd, error) {
	return func(ctx context.Context) (*exec.Cmd, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		return exec.CommandContext(ctx, self, "work", "--store", storeURL, "--prefix", prefix), nil
	}
}

// learned asks the store which names it rejects. The suite checks that it
// always rejects them, without any effect.
func learned(open func(context.Context) (backend.VersionedStore, error)) func(string) bool {
	store := sync.OnceValues(func() (backend.VersionedStore, error) { return open(context.Background()) })
	var known sync.Map
	return func(name string) bool {
		if refuses, ok := known.Load(name); ok {
			return refuses.(bool)
		}
		s, err := store()
		if err != nil {
			return false // the checks will say what is the matter
		}
		_, err = s.Head(context.Background(), name)
		refuses := errors.Is(err, backend.ErrInvalidName)
		known.Store(name, refuses)
		return refuses
	}
}

// finish removes what was written, or prints what is left.
func (t *target) finish(ctx context.Context, keep bool, out io.Writer) error {
	switch {
	case t.kept == "":
	case keep || t.remove == nil:
		fmt.Fprintf(out, "The written data was not removed; to remove it, %s.\n", t.kept) //nolint:errcheck // of standard error
	default:
		if err := t.remove(ctx); err != nil {
			return fmt.Errorf("some of the written data could not be removed; to remove the rest, %s: %w", t.kept, err)
		}
	}
	return nil
}
