package immukv_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// logOnly is a store of which this process may write the log and nothing else, so that
// each entry it appends is an orphan.
type logOnly struct{ backend.VersionedStore }

func (s logOnly) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if !strings.HasSuffix(name, "_log.json") {
		return backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrAccessDenied}
	}
	return s.VersionedStore.Put(ctx, name, body, cond)
}

// setOrphan appends an entry and does not apply it, as a process does that dies in
// between.
func setOrphan(store backend.VersionedStore, key, value string) {
	ctx := context.Background()
	db, err := immukv.Open[string](ctx, logOnly{store})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := db.Set(ctx, key, value); err != nil {
		log.Fatal(err)
	}
}

// A client that has to see at once what a process wrote before it died checks for an
// orphan at every read: one request more for each.
func ExampleWithRepairCheckInterval() {
	ctx := context.Background()
	store, _ := exampleClient()
	db, err := immukv.Open[string](ctx, store, immukv.WithRepairCheckInterval(0))
	if err != nil {
		log.Fatal(err)
	}
	for _, value := range []string{"open", "closed"} {
		setOrphan(store, "valve", value)
		entry, err := db.Get(ctx, "valve")
		fmt.Println(entry.Value, err)
	}
	// Output:
	// open <nil>
	// closed <nil>
}

// A codec decides how values are stored. The log stays readable to every client.
func ExampleWithValueCodec() {
	ctx := context.Background()
	store := memstore.New()
	db, err := immukv.Open[float64](ctx, store, immukv.WithValueCodec[float64](centigrade{}))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := db.Set(ctx, "boiler", 71.5); err != nil {
		log.Fatal(err)
	}
	entry, err := db.Get(ctx, "boiler")
	fmt.Println(entry.Value, string(entry.JSON), err)
	// Output:
	// 71.5 "71.5 degC" <nil>
}

// Beside programs that use the TypeScript client, write as it does: it can read, but
// not verify, what was written otherwise.
func ExampleWithDialect() {
	ctx := context.Background()
	store := memstore.New()
	for _, dialect := range []immukv.Dialect{immukv.Python, immukv.TypeScript} {
		db, err := immukv.Open[json.RawMessage](ctx, store, immukv.WithDialect(dialect))
		if err != nil {
			log.Fatal(err)
		}
		entry, err := db.Set(ctx, "sensor-012352", json.RawMessage(`{"beta": 2.80, "alpha": 1.0}`))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Dialect, string(entry.JSON))
	}
	// Output:
	// python {"alpha":1.0,"beta":2.8}
	// typescript {"alpha":1,"beta":2.8}
}

// What a client repairs, and what it cannot, goes to the program's log.
func ExampleWithLogger() {
	ctx := context.Background()
	handler := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "error" {
				return slog.Attr{} // or the output would differ at each run
			}
			return a
		},
	})
	db, err := immukv.Open[string](ctx, logOnly{memstore.New()}, immukv.WithLogger(slog.New(handler)))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := db.Set(ctx, "valve", "open"); err != nil {
		log.Fatal(err)
	}
	// Output:
	// level=WARN msg="apply failed: the entry is an orphan until the next write or read repairs it" key=valve sequence=0
}

// Package backend/observe makes observers for OpenTelemetry. One of your own may count
// what matters to you.
func ExampleWithObserver() {
	ctx := context.Background()
	repairs := 0
	store := memstore.New()
	setOrphan(store, "valve", "open")
	db, err := immukv.Open[string](ctx, store, immukv.WithObserver(immukv.Observer{
		Call: func(ctx context.Context, call immukv.Call) (context.Context, func(immukv.CallResult)) {
			return ctx, func(r immukv.CallResult) { fmt.Println(call.Method, call.Key, r.Err == nil) }
		},
		Repair: func(context.Context, immukv.Observed, error) { repairs++ },
	}))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := db.Set(ctx, "pump", "on"); err != nil {
		log.Fatal(err)
	}
	_, _ = db.Get(ctx, "boiler")
	fmt.Println("repairs:", repairs)
	// Output:
	// set pump true
	// get boiler false
	// repairs: 1
}

// busy is a store on which somebody else always appends first.
type busy struct {
	backend.VersionedStore
	rival *immukv.Client[string]
}

func (s busy) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if _, err := s.rival.Set(ctx, "rival", "was here"); err != nil {
		log.Fatal(err)
	}
	return s.VersionedStore.Put(ctx, name, body, cond)
}

// A write that gives up after so many lost races leaves it to the caller to try again,
// or to do something else.
func ExampleWithMaxAttempts() {
	ctx := context.Background()
	store, rival := exampleClient()
	db, err := immukv.Open[string](ctx, busy{store, rival}, immukv.WithMaxAttempts(2))
	if err != nil {
		log.Fatal(err)
	}
	_, err = db.Set(ctx, "valve", "closed")
	fmt.Println(errors.Is(err, immukv.ErrConflict))
	// Output: true
}

// Where values are large, fewer are to be in memory at once.
func ExampleWithConcurrency() {
	ctx := context.Background()
	db, err := immukv.Open[string](ctx, memstore.New(), immukv.WithConcurrency(2))
	if err != nil {
		log.Fatal(err)
	}
	for _, line := range []string{"first", "second", "third"} {
		if _, err := db.Set(ctx, "image", strings.Repeat(line, 1<<20)); err != nil {
			log.Fatal(err)
		}
	}
	for entry, err := range db.History(ctx, "image") { // two of them at a time
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Sequence, len(entry.Value)>>20, "MiB")
	}
	// Output:
	// 2 5 MiB
	// 1 6 MiB
	// 0 5 MiB
}

// What is stored by mistake cannot be removed: a limit close to what is to be expected
// keeps it out.
func ExampleWithMaxValueBytes() {
	ctx := context.Background()
	db, err := immukv.Open[string](ctx, memstore.New(), immukv.WithMaxValueBytes(1<<10))
	if err != nil {
		log.Fatal(err)
	}
	_, err = db.Set(ctx, "valve", strings.Repeat("open ", 1000))
	fmt.Println(errors.Is(err, immukv.ErrValueTooLarge))
	// Output: true
}

// A test that compares entries wants the same time in them at each run.
func ExampleWithClock() {
	ctx := context.Background()
	clock := func() time.Time { return time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC) }
	db, err := immukv.Open[string](ctx, memstore.New(), immukv.WithClock(clock))
	if err != nil {
		log.Fatal(err)
	}
	entry, err := db.Set(ctx, "valve", "open")
	fmt.Println(entry.Timestamp, err)
	// Output: 2026-07-01 12:00:00 +0000 UTC <nil>
}

// A simulation that has to repeat itself draws from a seed. In production, leave the
// source alone: no two writes may have the same ID.
func ExampleWithRandom() {
	ctx := context.Background()
	simulate := func(seed byte) string {
		db, err := immukv.Open[string](ctx, memstore.New(), immukv.WithRandom(rand.NewChaCha8([32]byte{seed})))
		if err != nil {
			log.Fatal(err)
		}
		entry, err := db.Set(ctx, "valve", "open")
		if err != nil {
			log.Fatal(err)
		}
		return entry.WriteID
	}
	first, again, other := simulate(1), simulate(1), simulate(2)
	fmt.Println(first == again, first == other)
	// Output: true false
}

// A caller that pauses between writes waits for one round trip of each instead of two.
func ExampleWithDeferredApply() {
	ctx := context.Background()
	store := memstore.New()
	db, err := immukv.Open[string](ctx, store, immukv.WithDeferredApply())
	if err != nil {
		log.Fatal(err)
	}
	if _, err := db.Set(ctx, "valve", "open"); err != nil { // in the log when it returns
		log.Fatal(err)
	}
	entry, err := db.Get(ctx, "valve") // this client's own reads have it at once
	fmt.Println(entry.Value, err)

	if err := db.Close(); err != nil { // waits until it is applied
		log.Fatal(err)
	}
	_, err = store.Get(ctx, "keys/valve.json")
	fmt.Println("key object:", err)
	// Output:
	// open <nil>
	// key object: <nil>
}
