package mutants

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/blobstore"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/backend/s3store"
	"github.com/immukv/immukv-go/conformance"
	"github.com/immukv/immukv-go/sim"
)

// Stores of other projects that do not keep the contract, without any mutation.
var foreignMutants = []Mutant{
	{
		Name: "fileblob", Clause: "S3",
		Habit:   "is gocloud's fileblob without the lock that package blobstore adds: it checks whether a file exists and then renames another over it",
		harness: fileblobHarness,
	},
	{
		Name: "gofakes3", Clause: "S10",
		Habit:   "is gofakes3: versions oldest first, and no marker for what follows a page",
		harness: gofakes3Harness,
	},
}

// lacksAll declares every facility to be lacking, for the same reason.
func lacksAll(reason string, except ...conformance.Facility) map[conformance.Facility]string {
	lacks := make(map[conformance.Facility]string)
	for _, f := range []conformance.Facility{conformance.Restart, conformance.OpenDenied, conformance.OpenAbsent, conformance.OpenHTTP, conformance.Worker} {
		lacks[f] = reason
	}
	for _, f := range except {
		delete(lacks, f)
	}
	return lacks
}

// bucketHarness makes stores in gocloud buckets.
func bucketHarness(maxKey int, open func() (*blob.Bucket, func() error, error), reason string) conformance.Harness {
	return conformance.Harness{
		New: func(context.Context) (conformance.Store, error) {
			bucket, remove, err := open()
			if err != nil {
				return conformance.Store{}, err
			}
			return conformance.Store{
				Open: func(context.Context) (backend.VersionedStore, error) {
					return blobstore.New(bucket, blobstore.MaxKeyBytes(maxKey))
				},
				Close: func(context.Context) error {
					if err := bucket.Close(); err != nil {
						return err
					}
					return remove()
				},
			}, nil
		},
		Limits: conformance.Limits{RefusesName: func(name string) bool {
			// The names that package blobstore rejects depend on the length of
			// its keys.
			s, err := blobstore.New(memblob.OpenBucket(nil), blobstore.MaxKeyBytes(maxKey))
			if err != nil {
				return false
			}
			_, err = s.Head(context.Background(), name)
			return errors.Is(err, backend.ErrInvalidName)
		}},
		Lacks: lacksAll(reason),
	}
}

func fileblobHarness() conformance.Harness {
	// A key is a path of two parts, of which the first holds 255 bytes.
	return bucketHarness(255, func() (*blob.Bucket, func() error, error) {
		dir, err := os.MkdirTemp("", "immukv-fileblob")
		if err != nil {
			return nil, nil, err
		}
		bucket, err := fileblob.OpenBucket(dir, &fileblob.Options{NoTempDir: true})
		if err != nil {
			return nil, nil, err
		}
		return blob.NewBucket(unguarded{bucket}), func() error { return os.RemoveAll(dir) }, nil
	}, "a store that must fail has none")
}

func memblobHarness() conformance.Harness {
	return bucketHarness(4*backend.MaxNameBytes, func() (*blob.Bucket, func() error, error) {
		return memblob.OpenBucket(nil), func() error { return nil }, nil
	}, "the bucket is in memory")
}

// simHarness is a store in memory behind the simulator's handle, without
// faults.
func simHarness() conformance.Harness {
	return conformance.Harness{
		New: func(context.Context) (conformance.Store, error) {
			store := memstore.New()
			return conformance.Store{Open: func(ctx context.Context) (backend.VersionedStore, error) {
				var handle backend.VersionedStore
				err := new(sim.Injection).Run(ctx, store, func(_ context.Context, s backend.VersionedStore) error {
					handle = s
					return nil
				})
				return handle, err
			}}, nil
		},
		Lacks: lacksAll("the store is in memory"),
	}
}

func gofakes3Harness() conformance.Harness {
	return conformance.Harness{
		New: func(ctx context.Context) (conformance.Store, error) {
			server := httptest.NewUnstartedServer(gofakes3.New(s3mem.New()).Server())
			server.Config.ErrorLog = log.New(io.Discard, "", 0) // it panics at listings after a version that is not there
			server.Start()
			client := s3.New(s3.Options{
				Region: "us-east-1", BaseEndpoint: &server.URL, UsePathStyle: true,
				Credentials:                credentials.NewStaticCredentialsProvider("key", "secret", ""),
				RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
				RetryMaxAttempts:           1,
			})
			bucket := aws.String("bucket")
			if _, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}); err != nil {
				return conformance.Store{}, err
			}
			_, err := client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
				Bucket:                  bucket,
				VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
			})
			return conformance.Store{
				Open: func(ctx context.Context) (backend.VersionedStore, error) { return s3store.New(ctx, client, *bucket) },
				Close: func(context.Context) error {
					server.Close()
					return nil
				},
			}, err
		},
		Lacks: lacksAll("a store that must fail has none"),
	}
}
