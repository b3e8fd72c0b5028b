package immukv_test

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// A release and the settings that it needs are set together, and only if nobody has
// released anything since.
func ExampleClient_SetAll() {
	ctx := context.Background()
	db, err := immukv.Open[string](ctx, memstore.New())
	if err != nil {
		fmt.Println(err)
		return
	}
	release := func(version, schema string, cond immukv.SetOption) {
		entries, err := db.SetAll(ctx,
			immukv.Write[string]{Key: "release", Value: version, If: []immukv.SetOption{cond}},
			immukv.Write[string]{Key: "schema", Value: schema},
		)
		var failed *immukv.ConditionError
		switch {
		case errors.As(err, &failed):
			fmt.Printf("%s: %s stands there\n", version, failed.Found.Value)
		case err != nil:
			fmt.Println(err)
		default:
			fmt.Printf("%s: sequences %d and %d, one version: %v\n", version,
				entries[0].Sequence, entries[1].Sequence, entries[0].VersionID == entries[1].VersionID)
		}
	}
	release("1.0", "7", immukv.IfAbsent())
	release("1.1", "8", immukv.IfSequence(0))
	release("1.1-hotfix", "7", immukv.IfSequence(0))
	// Output:
	// 1.0: sequences 0 and 1, one version: true
	// 1.1: sequences 2 and 3, one version: true
	// 1.1-hotfix: "1.1" stands there
}

// Many sensors report at the same time. Reports that arrive while one log version is being
// written go into the next one, so a thousand reports take few round trips.
func ExampleWithBatching() {
	ctx := context.Background()
	db, err := immukv.Open[float64](ctx, memstore.New(), immukv.WithBatching(immukv.Batching{}))
	if err != nil {
		fmt.Println(err)
		return
	}
	var reports sync.WaitGroup
	for sensor := range 1000 {
		reports.Go(func() {
			if _, err := db.Set(ctx, fmt.Sprintf("sensor-%d", sensor), 21.5); err != nil {
				fmt.Println(err)
			}
		})
	}
	reports.Wait()
	versions := make(map[immukv.LogVersionID]bool)
	entries := 0
	for e, err := range db.Log(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		entries++
		versions[e.VersionID] = true
	}
	fmt.Printf("%d entries, fewer versions: %v\n", entries, len(versions) < entries)
	// Output:
	// 1000 entries, fewer versions: true
}

// If the answer to a SetAll was lost, SettleAll finds the outcome of all its entries.
func ExampleClient_SettleAll() {
	ctx := context.Background()
	db, err := immukv.Open[string](ctx, memstore.New())
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = db.SetAll(ctx, immukv.Write[string]{Key: "a", Value: "1"}, immukv.Write[string]{Key: "b", Value: "2"})
	var unknown *immukv.OutcomeUnknownError
	if errors.As(err, &unknown) {
		entries, err := db.SettleAll(ctx, unknown)
		fmt.Println("settled:", len(entries), err)
		return
	}
	fmt.Println("set:", err == nil)
	// Output:
	// set: true
}
