package blobstore_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/blobstore"
	"github.com/immukv/immukv-go/conformance"
)

// storeClauses are the checks that test a store, and not the protocol on it.
var storeClauses = func() []string {
	var clauses []string
	for i := range 20 {
		clauses = append(clauses, fmt.Sprint("S", i+1))
	}
	return clauses
}()

func TestConformanceDir(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	conformance.Run(t, conformance.Harness{
		New: func(context.Context) (conformance.Store, error) {
			dir, err := os.MkdirTemp(root, "store")
			open := func(context.Context) (backend.VersionedStore, error) { return blobstore.OpenDir(dir) }
			return conformance.Store{
				Open:    open,
				Restart: func(context.Context) error { return nil }, // nothing is kept in memory
				OpenAbsent: func(ctx context.Context) (backend.VersionedStore, error) {
					gone := filepath.Join(dir, "gone")
					s, err := blobstore.OpenDir(gone, blobstore.CreateDir())
					if err != nil {
						return nil, err
					}
					return s, os.Remove(gone)
				},
				Worker: func(ctx context.Context) (*exec.Cmd, error) {
					cmd := exec.CommandContext(ctx, os.Args[0])
					cmd.Env = append(os.Environ(), roleVar+"=conform", dirVar+"="+dir)
					return cmd, nil
				},
				Close: func(context.Context) error { return os.RemoveAll(dir) },
			}, err
		},
		Lacks: map[conformance.Facility]string{
			conformance.OpenDenied: "permissions do not bind the superuser, who may be running this: TestDeniedDir becomes somebody else",
			conformance.OpenHTTP:   "no HTTP is spoken",
		},
		Only: storeClauses,
		Deep: os.Getenv("IMMUKV_LONG") == "1",
	})
}

func TestConformanceBucket(t *testing.T) {
	t.Parallel()
	conformance.Run(t, conformance.Harness{
		New: func(context.Context) (conformance.Store, error) {
			bucket := memblob.OpenBucket(nil)
			open := func(context.Context) (backend.VersionedStore, error) {
				return blobstore.New(bucket, blobstore.MaxKeyBytes(4*backend.MaxNameBytes))
			}
			return conformance.Store{Open: open, Close: closeBucket(bucket)}, nil
		},
		Lacks: map[conformance.Facility]string{
			conformance.Restart:    "the bucket is in memory",
			conformance.OpenDenied: "memblob denies nothing: TestDriverErrors has a driver that does",
			conformance.OpenAbsent: "there is always a bucket in memory: TestDriverErrors has a driver without",
			conformance.OpenHTTP:   "no HTTP is spoken",
			conformance.Worker:     "the bucket is in memory",
		},
		Only: storeClauses,
		Deep: os.Getenv("IMMUKV_LONG") == "1",
	})
}

func closeBucket(b *blob.Bucket) func(context.Context) error {
	return func(context.Context) error { return b.Close() }
}
