package s3store_test

import (
	"context"
	"log"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	_ "gocloud.dev/blob/s3blob"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/s3store"
)

// By URL, as gocloud spells it.
func Example() {
	ctx := context.Background()
	store, err := backend.Open(ctx, "s3://calibration?region=eu-central-1&kmskeyid=alias/calibration")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
}

// A server other than AWS, with static credentials. Those of any other
// aws.CredentialsProvider are asked for again when they expire.
func ExampleOpen() {
	ctx := context.Background()
	store, err := s3store.Open(ctx, s3store.Config{
		Bucket:      "calibration",
		Region:      "us-east-1",
		Endpoint:    "https://minio.plant-7.example",
		PathStyle:   true,
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
}

// With the client of a program that uses S3 for other things too.
func ExampleNew() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	store, err := s3store.New(ctx, s3.NewFromConfig(cfg), "calibration")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
}

// With a bucket of gocloud's s3blob.
func ExampleFromBucket() {
	ctx := context.Background()
	bucket, err := blob.OpenBucket(ctx, "s3://calibration?region=eu-central-1")
	if err != nil {
		log.Fatal(err)
	}
	defer bucket.Close()
	store, err := s3store.FromBucket(ctx, bucket)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
}
