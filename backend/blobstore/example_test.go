package blobstore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strings"

	"gocloud.dev/blob"
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

// A bucket on a file system whose paths have at most 255 bytes, of which a prefix takes
// its part.
func ExampleMaxKeyBytes() {
	ctx := context.Background()
	const prefix = "plant-7/"
	bucket := blob.PrefixedBucket(memblob.OpenBucket(nil), prefix)
	defer bucket.Close()

	store, err := blobstore.New(bucket, blobstore.MaxKeyBytes(255-len(prefix)))
	if err != nil {
		log.Fatal(err)
	}
	_, err = store.Put(ctx, strings.Repeat("long ", 60), []byte("hello"), backend.IfAbsent())
	fmt.Println(errors.Is(err, backend.ErrInvalidName))
	// Output: true
}

// gcsQuery stands for the storage.Query of Google Cloud Storage's client.
type gcsQuery struct{ StartOffset string }

// With gcsblob, a listing of names that continues after a name begins there, and not with
// the first name of all. (Memblob has no such query, and lists all of them.)
func ExampleStartListing() {
	ctx := context.Background()
	bucket := memblob.OpenBucket(nil) // or gcsblob's
	defer bucket.Close()

	store, err := blobstore.New(bucket, blobstore.StartListing(func(key string, as func(any) bool) {
		var q *gcsQuery // *storage.Query
		if as(&q) {
			q.StartOffset = key
		}
	}))
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"pump", "valve"} {
		if _, err := store.Put(ctx, name, []byte("on"), backend.IfAbsent()); err != nil {
			log.Fatal(err)
		}
	}
	page, err := store.ListNames(ctx, backend.NamesRequest{After: "pump"})
	fmt.Println(page.Names, err)
	// Output: [valve] <nil>
}

// A store for one group of users, made when a program first needs it.
func ExampleCreateDir() {
	temp, err := os.MkdirTemp("", "calibration")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(temp)
	dir := filepath.Join(temp, "plant-7", "calibration")

	_, err = blobstore.OpenDir(dir)
	fmt.Println("there is none:", errors.Is(err, fs.ErrNotExist))
	store, err := blobstore.OpenDir(dir, blobstore.CreateDir())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	_, err = store.Put(context.Background(), "greeting", []byte("hello"), backend.IfAbsent())
	fmt.Println("created:", err)
	// Output:
	// there is none: true
	// created: <nil>
}

// Directories that nobody but their owner may read.
func ExampleDirMode() {
	temp, err := os.MkdirTemp("", "calibration")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(temp)
	dir := filepath.Join(temp, "plant-7")

	store, err := blobstore.OpenDir(dir, blobstore.CreateDir(), blobstore.DirMode(0o700))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	info, err := os.Stat(dir)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Mode().Perm())
	// Output: -rwx------
}
