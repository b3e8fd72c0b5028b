package s3store_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
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

// Every write asks for encryption with one key. (The server here says what it is asked
// for; it is no S3.)
func ExampleWithEncryption() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut {
			fmt.Fprint(w, "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
			return
		}
		fmt.Println(r.Header.Get("X-Amz-Server-Side-Encryption"), r.Header.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"))
		w.Header().Set("X-Amz-Version-Id", "1")
		w.Header().Set("ETag", `"1"`)
	}))
	defer server.Close()
	ctx := context.Background()
	client := s3.New(s3.Options{
		BaseEndpoint: &server.URL, UsePathStyle: true, Region: "eu-central-1",
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})

	store, err := s3store.New(ctx, client, "calibration", s3store.WithEncryption(types.ServerSideEncryptionAwsKms, "alias/calibration"))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := store.Put(ctx, "greeting", []byte("hello"), backend.IfAbsent()); err != nil {
		log.Fatal(err)
	}
	// Output: aws:kms alias/calibration
}
