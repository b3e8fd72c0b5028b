// Package readahead reads the versions of one object in the order in which the store
// lists them, with a bounded number of bodies fetched ahead of the consumer. What a
// body is parsed into is the caller's business: the package knows neither the
// protocol nor its documents.
//
//	r := readahead.New(ctx, readahead.Config[string]{
//		Store: store, Object: "notes", Window: 32,
//		Fetch: func(ctx context.Context, v backend.Version) (string, error) {
//			obj, err := store.GetVersion(ctx, "notes", v.ID)
//			return string(obj.Body), err
//		},
//	})
//	defer r.Close()
//	for {
//		item, err := r.Next()
//		if err != nil || item == nil {
//			return err
//		}
//		fmt.Println(item.ID, item.Value, item.Err)
//	}
//
// # Who fetches
//
// On a store that takes its time, all that matters is that the whole window is
// requested at once, and a goroutine for each body does that. On a store that answers
// from memory, handing a body to another goroutine takes about as long as fetching
// it. So the consumer fetches the body that it needs next by itself if nobody has
// begun to. Without that, verifying a log in memory takes half as much processor time
// again, and reading a history more: BenchmarkReader compares the two, and
// docs/performance.md has the figures.
package readahead
