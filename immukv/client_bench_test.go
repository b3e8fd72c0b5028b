package immukv_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// benchEntries are how many entries a log has when it is measured.
var benchEntries = []int{100, 10_000, 100_000}

// benchValue is a value of 100 bytes of JSON.
var benchValue = strings.Repeat("x", 98)

// benchLog makes a log in memory. Every other entry is one of a single key, the
// others each of a key of their own: there are as many versions of an object, and as
// many objects, as the length allows.
func benchLog(b *testing.B, entries int) *immukv.Client[string] {
	b.Helper()
	db := open[string](b, memstore.New(), immukv.WithRepairCheckInterval(-1))
	for i := range entries {
		key := "hot"
		if i%2 == 1 {
			key = fmt.Sprint("key-", i)
		}
		set(b, db, key, benchValue)
	}
	return db
}

// BenchmarkSet sets the same key again and again, and says what that allocates, the
// store's own copies included.
func BenchmarkSet(b *testing.B) {
	for _, entries := range benchEntries {
		b.Run(fmt.Sprint(entries), func(b *testing.B) {
			db := benchLog(b, entries)
			b.ReportAllocs()
			for b.Loop() {
				set(b, db, "hot", benchValue)
			}
		})
	}
}

// BenchmarkGet gets the same key again and again.
func BenchmarkGet(b *testing.B) {
	for _, entries := range benchEntries {
		b.Run(fmt.Sprint(entries), func(b *testing.B) {
			db := benchLog(b, entries)
			b.ReportAllocs()
			for b.Loop() {
				get(b, db, "hot")
			}
		})
	}
}

// BenchmarkGrowth compares what a client does on logs of different lengths in memory,
// alternately, and reports the ratio of the medians of the longest log to the shortest.
func BenchmarkGrowth(b *testing.B) {
	var clients []*immukv.Client[string]
	for _, entries := range benchEntries {
		db := benchLog(b, entries)
		// History has as many versions to read in each.
		for range 20 {
			set(b, db, "hot", benchValue)
		}
		clients = append(clients, db)
	}
	one := func(int) int { return 1 }
	for _, op := range []struct {
		name  string
		parts func(entries int) int // that the time is divided by
		do    func(ctx context.Context, db *immukv.Client[string], parts int) error
	}{
		{"Set", one, func(ctx context.Context, db *immukv.Client[string], _ int) error {
			_, err := db.Set(ctx, "hot", benchValue)
			return err
		}},
		{"Get", one, func(ctx context.Context, db *immukv.Client[string], _ int) error {
			_, err := db.Get(ctx, "hot")
			return err
		}},
		{"History10", one, func(ctx context.Context, db *immukv.Client[string], _ int) error {
			return first(db.History(ctx, "hot", immukv.Limit(10)), 10)
		}},
		// A page has a thousand keys, or all, and is compared for each of them.
		{"KeysPage", func(entries int) int { return min(entries/2, backend.MaxPageSize) },
			func(ctx context.Context, db *immukv.Client[string], keys int) error { return first(db.Keys(ctx), keys) }},
	} {
		b.Run(op.name, func(b *testing.B) {
			took := make([][]time.Duration, len(clients))
			for b.Loop() {
				for i, db := range clients {
					parts := op.parts(benchEntries[i])
					start := time.Now()
					if err := op.do(b.Context(), db, parts); err != nil {
						b.Fatal(err)
					}
					took[i] = append(took[i], time.Since(start)/time.Duration(parts))
				}
			}
			b.ReportMetric(0, "ns/op") // of all of them
			median := func(i int) float64 { slices.Sort(took[i]); return float64(took[i][len(took[i])/2]) }
			for i, entries := range benchEntries {
				b.ReportMetric(median(i), fmt.Sprintf("ns-%d", entries))
			}
			b.ReportMetric(median(len(took)-1)/median(0), "growth")
		})
	}
}

// first consumes so many of a sequence.
func first[T any](seq iter.Seq2[T, error], n int) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
		if n--; n == 0 {
			return nil
		}
	}
	return fmt.Errorf("it ended %d early", n)
}
