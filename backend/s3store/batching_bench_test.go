package s3store_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/blobstore"
	"github.com/immukv/immukv-go/backend/s3store"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
	"github.com/immukv/immukv-go/immukv"
)

// BenchmarkBatching compares writes of many goroutines through one client that batches,
// each of a key of its own, with bare conditional PUTs of as many goroutines of bodies
// as large, which is what the store can take: on local files, and on each server, next
// to it and through a proxy a round trip of 20 ms away. The two are measured
// alternately. It reports
// both rates, the share of the one in the other, how many entries a log version has, and
// the requests of a set.
func BenchmarkBatching(b *testing.B) {
	b.Run("files", func(b *testing.B) {
		store, err := blobstore.OpenDir(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { store.Close() })
		benchmarkBatching(b, store, 64, nil)
	})
	for _, sw := range s3test.All {
		for _, place := range []struct {
			name    string
			away    time.Duration
			callers int
		}{
			{"64", 0, 64},
			{"20ms/64", 20 * time.Millisecond, 64},
			{"20ms/128", 20 * time.Millisecond, 128},
		} {
			b.Run(sw.Name+"/"+place.name, func(b *testing.B) {
				server, link := servers.Get(b, sw), &meter{}
				endpoint := server.Endpoint()
				if place.away > 0 {
					proxy := s3test.NewProxy(b, endpoint)
					proxy.Follow(func(*http.Request) s3test.Fault { return s3test.Delay(place.away) })
					endpoint = proxy.URL
				}
				store, err := s3store.New(b.Context(), server.Client(b, s3test.At(endpoint), link.measure), server.NewBucket(b))
				if err != nil {
					b.Fatal(err)
				}
				benchmarkBatching(b, store, place.callers, link)
			})
		}
	}
}

// benchmarkBatching makes so many writes for each caller. Of a store without a
// link the requests are not counted.
func benchmarkBatching(b *testing.B, store backend.VersionedStore, callers int, link *meter) {
	const each = 20
	ctx := b.Context()
	db, err := immukv.Open[string](ctx, store, immukv.WithBatching(immukv.Batching{}))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := db.Set(ctx, "key-0", benchValue); err != nil {
		b.Fatal(err)
	}
	object, err := store.Get(ctx, "keys/key-0.json")
	if err != nil {
		b.Fatal(err)
	}
	conditions := slices.Repeat([]backend.Condition{backend.IfAbsent()}, callers)
	put := func(ctx context.Context, i int) error {
		v, err := store.Put(ctx, fmt.Sprintf("bare/key-%d.json", i), object.Body, conditions[i])
		conditions[i] = backend.IfMatch(v.ETag)
		return err
	}
	set := func(ctx context.Context, i int) error {
		_, err := db.Set(ctx, fmt.Sprintf("key-%d", i), benchValue)
		return err
	}
	turn := func(do func(context.Context, int) error) time.Duration {
		start := time.Now()
		var running sync.WaitGroup
		for i := range callers {
			running.Go(func() {
				for range each {
					if err := do(ctx, i); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		running.Wait()
		return time.Since(start)
	}
	// Both know their keys, and have their connections.
	turn(put)
	turn(set)
	last, err := db.Get(ctx, "key-0")
	if err != nil {
		b.Fatal(err)
	}
	writes := float64(callers * each)
	var puts, sets, shares []float64 // rates, and what the one is of the other
	requests := int64(0)
	for b.Loop() {
		put := writes / turn(put).Seconds()
		if link != nil {
			requests -= link.requests.Load()
		}
		set := writes / turn(set).Seconds()
		if link != nil {
			requests += link.requests.Load()
		}
		puts, sets, shares = append(puts, put), append(sets, set), append(shares, set/put)
	}
	median := func(f []float64) float64 { slices.Sort(f); return f[len(f)/2] }
	b.ReportMetric(0, "ns/op") // of both
	b.ReportMetric(median(puts), "puts/s")
	b.ReportMetric(median(sets), "sets/s")
	b.ReportMetric(median(shares), "of-puts")
	b.ReportMetric(writes*float64(len(sets))/float64(versionsAfter(b, db, last.Sequence)), "entries/version")
	if link != nil {
		b.ReportMetric(float64(requests)/writes/float64(len(sets)), "requests/set")
	}
}

// versionsAfter is how many log versions hold the entries after one.
func versionsAfter(b *testing.B, db *immukv.Client[string], sequence int64) int {
	versions := make(map[immukv.LogVersionID]bool)
	for e, err := range db.Log(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
		if e.Sequence == sequence {
			break
		}
		versions[e.VersionID] = true
	}
	return len(versions)
}

// BenchmarkBatchedGrowth makes a log of 100,000 entries in versions of 100. It reports how
// long that takes, the rates of the first and the last tenth, and how many bodies a
// verification of the whole log fetches.
func BenchmarkBatchedGrowth(b *testing.B) {
	const entries, batch, keys = 100_000, 100, 10_000
	for _, sw := range s3test.All {
		b.Run(sw.Name, func(b *testing.B) {
			server, link := servers.Get(b, sw), &meter{}
			store, err := s3store.New(b.Context(), server.Client(b, link.measure), server.NewBucket(b))
			if err != nil {
				b.Fatal(err)
			}
			db, err := immukv.Open[string](b.Context(), store)
			if err != nil {
				b.Fatal(err)
			}
			start := time.Now()
			written := 0
			write := func(until int) (rate float64) {
				began, before := time.Now(), written
				for ; written < until; written += batch {
					writes := make([]immukv.Write[string], batch)
					for i := range writes {
						writes[i] = immukv.Write[string]{Key: fmt.Sprintf("key-%d", (written+i)%keys), Value: benchValue}
					}
					if _, err := db.SetAll(b.Context(), writes...); err != nil {
						b.Fatal(err)
					}
				}
				return float64(written-before) / time.Since(began).Seconds()
			}
			first := write(entries / 10)
			write(entries * 9 / 10)
			last := write(entries)
			took := time.Since(start)

			before := link.requests.Load()
			report, err := db.VerifyLog(b.Context())
			if err != nil || report.Err() != nil || report.Entries != entries {
				b.Fatalf("verify: %v, %+v", err, report)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(took.Minutes(), "minutes")
			b.ReportMetric(first, "first-sets/s")
			b.ReportMetric(last, "last-sets/s")
			b.ReportMetric(float64(link.requests.Load()-before), "verify-requests")
		})
	}
}
