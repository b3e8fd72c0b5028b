package memstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
)

func Example() {
	ctx := context.Background()
	store := memstore.New()

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
	fmt.Printf("%s\n", current.Body)
	// Output: hello again
}

func ExampleLoad() {
	const saved = `{"objects": [{"name": "greeting", "versions": [
		{"version_id": "f81c", "etag": "\"5d41\"", "body": "hello"}
	]}]}`
	var state memstore.State
	if err := json.Unmarshal([]byte(saved), &state); err != nil {
		log.Fatal(err)
	}
	store, err := memstore.Load(state)
	if err != nil {
		log.Fatal(err)
	}
	for _, object := range store.Dump().Objects {
		fmt.Println(object.Name, object.Versions[0].ID, object.Versions[0].Body)
	}
	// Output: greeting f81c hello
}
