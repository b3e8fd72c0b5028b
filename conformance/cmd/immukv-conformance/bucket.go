package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"gocloud.dev/blob"
	_ "gocloud.dev/blob/s3blob" // to reach the client of an S3 bucket by its URL
	"golang.org/x/sync/errgroup"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/conformance"
)

// bucket is a bucket of S3 or of a compatible server.
func (t *target) bucket(ctx context.Context, u *url.URL) error {
	store, err := backend.Open(ctx, u.String())
	if err != nil {
		return err
	}
	if err := store.Close(); err != nil {
		return failedError{err}
	}
	absent := *u
	absent.Host += "-absent"
	endpoint := u.Query().Get("endpoint")
	t.inPrefix(u.String(), func(prefix string) conformance.Store {
		s := conformance.Store{
			Open:       opener(u.String(), prefix),
			OpenAbsent: opener(absent.String(), prefix),
			Worker:     workerOf(u.String(), prefix),
		}
		if endpoint != "" {
			s.OpenHTTP = throughProxy(u, prefix)
		}
		return s
	})
	t.harness.Lacks = map[conformance.Facility]string{
		conformance.Restart:    "the command cannot restart the server",
		conformance.OpenDenied: "the command has only one set of credentials",
	}
	if endpoint == "" {
		t.harness.Lacks[conformance.OpenHTTP] = "the URL has no endpoint, so the command cannot put a proxy before the server"
	}
	// A server that keeps names as paths cannot hold both "a" and "a/b".
	refuses := t.harness.Limits.RefusesName
	t.harness.Limits.Clash = func(dir, name string) bool {
		return strings.HasPrefix(name, dir+"/") && refuses("a//b")
	}
	t.remove = func(ctx context.Context) error { return removeVersions(ctx, u, t.prefix) }
	return nil
}

// removeVersions removes all versions of the objects under a prefix. It repeats
// the listing until that is empty: MinIO does not list an object while another
// one seems to be its directory.
func removeVersions(ctx context.Context, u *url.URL, prefix string) error {
	bucket, err := blob.OpenBucket(ctx, u.String())
	if err != nil {
		return err
	}
	defer bucket.Close() //nolint:errcheck // nothing was written through it
	var client *s3.Client
	if !bucket.As(&client) {
		return errors.New("the bucket is not an S3 bucket")
	}
	for {
		found, err := removeListed(ctx, client, u.Host, prefix)
		if err != nil || found == 0 {
			return err
		}
	}
}

// removeListed removes the versions that are listed, and returns how many.
func removeListed(ctx context.Context, client *s3.Client, bucket, prefix string) (found int, err error) {
	var removing errgroup.Group
	removing.SetLimit(4)
	pages := s3.NewListObjectVersionsPaginator(client, &s3.ListObjectVersionsInput{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return 0, errors.Join(fmt.Errorf("list versions: %w", err), removing.Wait())
		}
		var objects []types.ObjectIdentifier
		for _, v := range page.Versions {
			objects = append(objects, types.ObjectIdentifier{Key: v.Key, VersionId: v.VersionId})
		}
		for _, m := range page.DeleteMarkers {
			objects = append(objects, types.ObjectIdentifier{Key: m.Key, VersionId: m.VersionId})
		}
		if len(objects) == 0 {
			continue
		}
		found += len(objects)
		removing.Go(func() error {
			out, err := client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &types.Delete{Objects: objects}})
			if err == nil && len(out.Errors) > 0 {
				err = fmt.Errorf("%d of %d versions, the first because %s", len(out.Errors), len(objects), *out.Errors[0].Message)
			}
			return err
		})
	}
	return found, removing.Wait()
}

// removeKeys removes the keys of a gocloud bucket that begin with a prefix.
func removeKeys(ctx context.Context, u *url.URL, prefix string) error {
	bucket, err := blob.OpenBucket(ctx, u.String())
	if err != nil {
		return err
	}
	defer bucket.Close() //nolint:errcheck // nothing is read from it any more
	for {
		keys, _, err := bucket.ListPage(ctx, blob.FirstPageToken, 1000, &blob.ListOptions{Prefix: prefix})
		if err != nil || len(keys) == 0 {
			return err
		}
		var removing errgroup.Group
		removing.SetLimit(16)
		for _, key := range keys {
			removing.Go(func() error { return bucket.Delete(ctx, key.Key) })
		}
		if err := removing.Wait(); err != nil {
			return err
		}
	}
}
