package blobstore_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"gocloud.dev/blob/memblob"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/blobstore"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "calibration")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	store, err := backend.Open(ctx, "file://"+dir)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	first, err := store.Put(ctx, "greeting", []byte("hello"), backend.IfAbsent())
	if err != nil {
		log.Fatal(err)
	}
	if _, err := store.Put(ctx, "greeting", []byte("hello again"), backend.IfMatch(first.ETag)); err != nil {
		log.Fatal(err)
	}
	current, err := store.Get(ctx, "greeting")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s %s\n", current.ID, current.Body)
	// Output: v2 hello again
}

func ExampleOpenDir() {
	dir, err := os.MkdirTemp("", "calibration")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	store, err := blobstore.OpenDir(dir+"/plant-7", blobstore.CreateDir(), blobstore.DirMode(0o750))
	if err != nil {
		log.Fatal(err)
	}
	_, err = store.Get(context.Background(), "sensor-012352")
	fmt.Println(err)
	// Output: get "sensor-012352": not found
}

func ExampleNew() {
	ctx := context.Background()
	bucket := memblob.OpenBucket(nil) // or gcsblob's, azureblob's, s3blob's
	defer bucket.Close()

	store, err := blobstore.New(bucket)
	if err != nil {
		log.Fatal(err)
	}
	version, err := store.Put(ctx, "greeting", []byte("hello"), backend.IfAbsent())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(version.ID)
	// Output: v1
}
