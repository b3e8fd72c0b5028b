package s3store

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"gocloud.dev/blob"
)

// FromBucket opens the store in a bucket that was opened with gocloud.dev/blob/s3blob,
// through the same client and, unless an option says otherwise, with the same encryption.
// It makes one request. The bucket need not stay open; Close does not close it. A bucket
// restricted by [blob.PrefixedBucket] is an error: give the prefix to the client of the
// store.
//
// Only the client and these settings come from s3blob. Names are not escaped as s3blob
// escapes them, so that other ImmuKV clients find the objects.
func FromBucket(ctx context.Context, bucket *blob.Bucket, opts ...Option) (*Store, error) {
	var client *s3.Client
	if !bucket.As(&client) {
		return nil, errors.New("open bucket: the bucket is not one of gocloud's s3blob")
	}
	upload, err := describeUpload(ctx, bucket)
	if err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	encryption := WithEncryption(types.ServerSideEncryption(upload.ServerSideEncryption), aws.ToString(upload.SSEKMSKeyID))
	return New(ctx, client, aws.ToString(upload.Bucket), append([]Option{encryption}, opts...)...)
}

// describeUpload returns what s3blob would send to write an object, without sending it.
// The method As gives only the client. A write that is cancelled before it begins also
// gives the bucket's name and the settings.
func describeUpload(ctx context.Context, bucket *blob.Bucket) (*transfermanager.UploadObjectInput, error) {
	const name = "name"
	var upload *transfermanager.UploadObjectInput
	brokenOff := errors.New("cancelled")
	_, err := bucket.NewWriter(ctx, name, &blob.WriterOptions{
		ContentType: contentType, // without one, the writer would wait for content
		BeforeWrite: func(as func(any) bool) error {
			as(&upload)
			return brokenOff
		},
	})
	switch {
	case upload == nil:
		return nil, fmt.Errorf("its driver does not give its upload settings: %w", err)
	case aws.ToString(upload.Key) != name:
		return nil, errors.New("the bucket is restricted to a prefix; give the prefix to the client of the store")
	}
	return upload, nil
}
