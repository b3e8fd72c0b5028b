package immukv_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// What a key had at noon, by the clocks of those who wrote it.
func ExampleAsOf() {
	ctx := context.Background()
	now := time.Date(2026, 7, 1, 11, 59, 0, 0, time.UTC)
	db, err := immukv.Open[string](ctx, memstore.New(), immukv.WithClock(func() time.Time { return now }))
	if err != nil {
		log.Fatal(err)
	}
	for _, value := range []string{"open", "closed"} {
		if _, err := db.Set(ctx, "valve", value); err != nil {
			log.Fatal(err)
		}
		now = now.Add(2 * time.Minute)
	}
	noon, err := db.Get(ctx, "valve", immukv.AsOf(time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)))
	fmt.Println(noon.Value, err)
	_, err = db.Get(ctx, "valve", immukv.AsOf(time.Date(2026, 7, 1, 11, 0, 0, 0, time.UTC)))
	fmt.Println(errors.Is(err, immukv.ErrNotFound))
	// Output:
	// open <nil>
	// true
}

// The two newest settings of a key, and a verification of the two newest entries, which
// says that it is not complete.
func ExampleLimit() {
	ctx := context.Background()
	_, db := exampleClient()
	for entry, err := range db.History(ctx, "valve", immukv.Limit(2)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Sequence, entry.Value)
	}
	report, err := db.VerifyLog(ctx, immukv.Limit(2))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.FirstSequence, report.LastSequence, report.Complete)
	// Output:
	// 2 setting 2
	// 0 setting 0
	// 2 3 false
}

// The log page by page, each from where the last one ended.
func ExampleBefore() {
	ctx := context.Background()
	_, db := exampleClient()
	options := []immukv.LogOption{immukv.Limit(3)}
	for page := 1; ; page++ {
		var oldest immukv.LogVersionID
		for entry, err := range db.Log(ctx, options...) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println("page", page, "sequence", entry.Sequence)
			oldest = entry.VersionID
		}
		if oldest == "" {
			return
		}
		options = []immukv.LogOption{immukv.Limit(3), immukv.Before(oldest)}
	}
	// Output:
	// page 1 sequence 3
	// page 1 sequence 2
	// page 1 sequence 1
	// page 2 sequence 0
}

// What a key had before the setting that Get returned.
func ExampleBeforeKeyVersion() {
	ctx := context.Background()
	_, db := exampleClient()
	current, err := db.Get(ctx, "valve")
	if err != nil {
		log.Fatal(err)
	}
	for entry, err := range db.History(ctx, "valve", immukv.BeforeKeyVersion(current.KeyVersionID), immukv.Limit(1)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(current.Value, "was", entry.Value)
	}
	// Output: setting 2 was setting 0
}

// What was appended since the sequence that a program has come to.
func ExampleFrom() {
	ctx := context.Background()
	_, db := exampleClient()
	next := int64(2)
	for entry, err := range db.Log(ctx, immukv.From(next), immukv.OldestFirst()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Sequence, entry.Key)
		next = entry.Sequence + 1
	}
	fmt.Println("next time from", next)
	// Output:
	// 2 valve
	// 3 pump/spare
	// next time from 4
}

// Keys page by page, each from where the last one ended.
func ExampleAfterKey() {
	ctx := context.Background()
	_, db := exampleClient()
	options := []immukv.KeysOption{immukv.Limit(2)}
	for page := 1; ; page++ {
		n := 0
		for key, err := range db.Keys(ctx, options...) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println("page", page, key)
			options = []immukv.KeysOption{immukv.Limit(2), immukv.AfterKey(key)}
			n++
		}
		if n < 2 {
			return
		}
	}
	// Output:
	// page 1 pump
	// page 1 pump/spare
	// page 2 valve
}

// Keys that are named like paths are listed like folders.
func ExampleKeyPrefix() {
	ctx := context.Background()
	_, db := exampleClient()
	for key, err := range db.Keys(ctx, immukv.KeyPrefix("pump/")) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(key)
	}
	// Output: pump/spare
}

// The head of the last verification, kept where no writer can reach it, proves that
// nothing was cut off or rewritten since.
func ExampleTrustedHead() {
	ctx := context.Background()
	_, db := exampleClient()
	report, err := db.VerifyLog(ctx)
	if err != nil {
		log.Fatal(err)
	}
	trusted := report.Head()

	if _, err := db.Set(ctx, "valve", "closed"); err != nil {
		log.Fatal(err)
	}
	report, err = db.VerifyLog(ctx, immukv.TrustedHead(trusted))
	fmt.Println("extended:", report.Valid(), err)

	// Somebody replaces the store by another one, of as many entries.
	forger, err := immukv.Open[string](ctx, memstore.New())
	if err != nil {
		log.Fatal(err)
	}
	for range 5 {
		if _, err := forger.Set(ctx, "valve", "always closed"); err != nil {
			log.Fatal(err)
		}
	}
	report, err = forger.VerifyLog(ctx)
	fmt.Println("by itself:", report.Valid(), err)
	report, err = forger.VerifyLog(ctx, immukv.TrustedHead(trusted))
	fmt.Println("against the trusted head:", report.Valid(), err)
	// Output:
	// extended: true <nil>
	// by itself: true <nil>
	// against the trusted head: false <nil>
}

// A verification every night reads what was appended since the last one, and no more.
func ExampleTrustedStart() {
	ctx := context.Background()
	_, db := exampleClient()
	last, err := db.VerifyLog(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if err := last.Err(); err != nil {
		log.Fatal(err)
	}
	for _, value := range []string{"open", "closed"} {
		if _, err := db.Set(ctx, "valve", value); err != nil {
			log.Fatal(err)
		}
	}
	next, err := db.VerifyLog(ctx, immukv.TrustedStart(last.Head()))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(next.Valid(), next.Complete, next.Entries, "entries, from", next.FirstSequence)
	// Output: true true 2 entries, from 4
}

// A verification that takes long says how far it is.
func ExampleProgress() {
	ctx := context.Background()
	_, db := exampleClient()
	for i := range 200 {
		if _, err := db.Set(ctx, "counter", fmt.Sprint(i)); err != nil {
			log.Fatal(err)
		}
	}
	_, err := db.VerifyLog(ctx, immukv.Progress(func(done, total int64) { fmt.Println(done, "of", total) }))
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// 64 of 204
	// 128 of 204
	// 192 of 204
	// 204 of 204
}

// One pass verifies the log and counts the entries of each key.
func ExampleEachEntry() {
	ctx := context.Background()
	_, db := exampleClient()
	of := make(map[string]int)
	report, err := db.VerifyLog(ctx, immukv.EachEntry(func(entry immukv.Entry[json.RawMessage]) {
		of[entry.Key]++
	}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Valid(), of)
	// Output: true map[pump:1 pump/spare:1 valve:2]
}
