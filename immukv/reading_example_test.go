package immukv_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"time"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// What a key had is asked for by the sequence of the log, or by time.
func ExampleAtSequence() {
	ctx := context.Background()
	_, db := exampleClient()
	before, _ := db.Set(ctx, "valve", "open")
	_, _ = db.Set(ctx, "valve", "closed")

	was, err := db.Get(ctx, "valve", immukv.AtSequence(before.Sequence))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(was.Value)
	is, err := db.Get(ctx, "valve", immukv.AsOf(time.Now().Add(time.Hour)))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(is.Value)
	// Output:
	// open
	// closed
}

// All keys are read as they were at one moment, whoever writes meanwhile.
func ExampleClient_GetAll() {
	ctx := context.Background()
	_, db := exampleClient()
	_, _ = db.Set(ctx, "valve", "open")
	_, _ = db.Set(ctx, "pump", "on")

	snapshot, err := db.GetAll(ctx, []string{"valve", "pump", "fan"}, immukv.Consistent())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("as of", snapshot.Sequence)
	for _, key := range []string{"valve", "pump", "fan"} {
		if entry, ok := snapshot.Entries[key]; ok {
			fmt.Println(key, entry.Value)
		}
	}
	// Output:
	// as of 5
	// valve open
	// pump on
}

func ExampleClient_EntryAt() {
	ctx := context.Background()
	_, db := exampleClient()
	entry, err := db.EntryAt(ctx, 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(entry.Key, entry.Value)
	// Output: valve setting 0
}

// The log can be read in the order in which it was written.
func ExampleOldestFirst() {
	_, db := exampleClient()
	for entry, err := range db.Log(context.Background(), immukv.OldestFirst(), immukv.From(1)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Sequence, entry.Key, entry.Value)
	}
	// Output:
	// 1 pump setting 1
	// 2 valve setting 2
	// 3 pump/spare setting 3
}

// A watch begins where the last one ended.
func ExampleClient_Watch() {
	_, db := exampleClient()
	var last immukv.Checkpoint
	for entry, err := range db.Watch(context.Background(), immukv.From(2), immukv.UntilIdle()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Sequence, entry.Key)
		last = entry.Checkpoint()
	}
	_, _ = db.Set(context.Background(), "fan", "on")
	for entry, err := range db.Watch(context.Background(), immukv.After(last)) { // waits for more
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Sequence, entry.Key)
		break
	}
	// Output:
	// 2 valve
	// 3 pump/spare
	// 4 fan
}

// A log is copied to another store, and both have the same head.
func ExampleCopy() {
	ctx := context.Background()
	_, db := exampleClient()
	backup, err := immukv.Open[string](ctx, memstore.New())
	if err != nil {
		log.Fatal(err)
	}
	report, err := immukv.Copy(ctx, backup, db)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Copied, "entries")
	entry, err := backup.Get(ctx, "valve")
	fmt.Println(entry.Sequence, entry.Value, err)
	// Output:
	// 4 entries
	// 2 setting 2 <nil>
}

// An export is verified and imported without the store that it was made of.
func ExampleClient_Export() {
	ctx := context.Background()
	_, db := exampleClient()
	var file bytes.Buffer
	exported, err := db.Export(ctx, &file)
	if err != nil {
		log.Fatal(err)
	}
	report, err := immukv.VerifyExport(ctx, bytes.NewReader(file.Bytes()), immukv.TrustedHead(exported.Head))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Valid(), report.Entries)
	other, err := immukv.Open[string](ctx, memstore.New())
	if err != nil {
		log.Fatal(err)
	}
	imported, err := immukv.Import(ctx, other, bytes.NewReader(file.Bytes()))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(imported.Head == exported.Head)
	// Output:
	// true 4
	// true
}
