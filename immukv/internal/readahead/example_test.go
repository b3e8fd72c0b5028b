package readahead_test

import (
	"context"
	"fmt"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv/internal/readahead"
)

// What each version of an object holds, newest first, three bodies at a time.
func Example() {
	ctx := context.Background()
	store := memstore.New()
	cond := backend.IfAbsent()
	for _, note := range []string{"bring milk", "bring bread", "done"} {
		v, err := store.Put(ctx, "notes", []byte(note), cond)
		if err != nil {
			panic(err)
		}
		cond = backend.IfMatch(v.ETag)
	}
	r := readahead.New(ctx, readahead.Config[string]{
		Store: store, Object: "notes", Window: 3,
		Fetch: func(ctx context.Context, v backend.Version) (string, error) {
			obj, err := store.GetVersion(ctx, "notes", v.ID)
			return string(obj.Body), err
		},
	})
	defer r.Close()
	for {
		item, err := r.Next()
		if err != nil {
			panic(err)
		}
		if item == nil {
			return
		}
		fmt.Println(item.Value, item.Err)
	}
	// Output:
	// done <nil>
	// bring bread <nil>
	// bring milk <nil>
}
