package immukv_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/immukv/immukv-go/immukv"
)

// A program that follows the log keeps the checkpoint of the last entry that it has
// processed, and continues after it when it is started again.
func ExampleAfter() {
	ctx := context.Background()
	_, db := exampleClient()
	var dealtWith immukv.Checkpoint
	for entry, err := range db.Watch(ctx, immukv.UntilIdle()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("first time:", entry.Sequence, entry.Key)
		if dealtWith = entry.Checkpoint(); entry.Sequence == 2 {
			break
		}
	}
	for entry, err := range db.Watch(ctx, immukv.After(dealtWith), immukv.UntilIdle()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("second time:", entry.Sequence, entry.Key)
	}
	// Output:
	// first time: 0 valve
	// first time: 1 pump
	// first time: 2 valve
	// second time: 3 pump/spare
}

// Only the pumps are of interest.
func ExampleWatchKeys() {
	ctx := context.Background()
	_, db := exampleClient()
	for entry, err := range db.Watch(ctx, immukv.WatchKeys("pump"), immukv.UntilIdle()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Sequence, entry.Key)
	}
	// Output:
	// 1 pump
	// 3 pump/spare
}

// New entries are asked for ten times a second, until one comes.
func ExampleWithPollInterval() {
	ctx := context.Background()
	_, db := exampleClient()
	go func() {
		if _, err := db.Set(ctx, "valve", "setting 4"); err != nil {
			log.Fatal(err)
		}
	}()
	for entry, err := range db.Watch(ctx, immukv.From(4), immukv.WithPollInterval(100*time.Millisecond)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Sequence, entry.Key, entry.Value)
		break
	}
	// Output: 4 valve setting 4
}

// What is there is dealt with, and then the program ends.
func ExampleUntilIdle() {
	ctx := context.Background()
	_, db := exampleClient()
	n := 0
	for _, err := range db.Watch(ctx, immukv.UntilIdle()) {
		if err != nil {
			log.Fatal(err)
		}
		n++
	}
	fmt.Println(n, "entries")
	// Output: 4 entries
}
