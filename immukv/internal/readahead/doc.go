// Package readahead reads the versions of one object in the order in which the store
// lists them, and fetches a bounded number of bodies ahead of the consumer. The caller
// parses the bodies: the package knows neither the protocol nor its documents.
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
// On a slow store, only one thing matters: that the whole window is requested at once. A
// goroutine for each body does that. On a store that answers from memory, handing a body
// to another goroutine takes about as long as fetching it. So the consumer itself fetches
// the body that it needs next, unless a fetcher has begun to. Without that, verifying a
// log in memory takes 50 % more processor time, and reading a history even more:
// BenchmarkReader compares the two, and docs/performance.md has the figures.
package readahead
