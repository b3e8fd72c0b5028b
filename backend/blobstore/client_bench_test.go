package blobstore_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/blobstore"
	"github.com/immukv/immukv-go/immukv"
)

// BenchmarkClient compares what a client does on logs of different lengths in
// directories, and with the bare cost of it: of a Set, writing, syncing and
// renaming two files and syncing their directories; of a Get, reading one file.
// All are measured alternately.
//
// Every other entry is one of a single key, the others each of a key of their own:
// there are as many versions of an object, and as many objects, as the length
// allows.
func BenchmarkClient(b *testing.B) {
	var dirs []string
	var clients []*immukv.Client[string]
	var logEntry, keyEntry backend.Object
	for _, entries := range versionCounts {
		dir := b.TempDir()
		fillDir(b, dir, entries)
		store, err := blobstore.OpenDir(dir)
		if err != nil {
			b.Fatal(err)
		}
		db, err := immukv.Open[string](b.Context(), store)
		if err != nil {
			b.Fatal(err)
		}
		// The head is known, and History has as many versions before it everywhere.
		for range 20 {
			if _, err := db.Set(b.Context(), "hot", benchValue); err != nil {
				b.Fatal(err)
			}
		}
		dirs, clients = append(dirs, dir), append(clients, db)
		if logEntry, err = store.Get(b.Context(), "_log.json"); err == nil {
			keyEntry, err = store.Get(b.Context(), "keys/hot.json")
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	// Nor is what was built to be written out while others are measured.
	if err := exec.Command("sync").Run(); err != nil {
		b.Logf("not synced: %v", err)
	}
	on := func(do func(*immukv.Client[string]) error) (calls []call) {
		for i, db := range clients {
			calls = append(calls, call{size: versionCounts[i], do: func() error { return do(db) }})
		}
		return calls
	}
	ctx := context.Background()

	b.Run("Set", func(b *testing.B) {
		log, key := newBareWriter(b), newBareWriter(b)
		compare(b, func() error {
			if err := log.write(logEntry.Body); err != nil {
				return err
			}
			return key.write(keyEntry.Body)
		}, on(func(db *immukv.Client[string]) error { _, err := db.Set(ctx, "hot", benchValue); return err }))
	})
	b.Run("Get", func(b *testing.B) {
		file := filepath.Join(b.TempDir(), "file")
		if err := os.WriteFile(file, keyEntry.Body, 0o666); err != nil {
			b.Fatal(err)
		}
		compare(b, func() error { _, err := os.ReadFile(file); return err },
			on(func(db *immukv.Client[string]) error { _, err := db.Get(ctx, "hot"); return err }))
	})
	b.Run("History10", func(b *testing.B) {
		compare(b, nil, on(func(db *immukv.Client[string]) error { return take(db.History(ctx, "hot", immukv.Limit(10)), 10) }))
	})
	// A page has a thousand keys, or all, and is compared for each of them.
	page := func(of func(i int) (*immukv.Client[string], error)) (calls []call) {
		for i, entries := range versionCounts {
			keys := min(entries/2, backend.MaxPageSize)
			calls = append(calls, call{size: entries, parts: keys, do: func() error {
				db, err := of(i)
				if err != nil {
					return err
				}
				return take(db.Keys(ctx), keys)
			}})
		}
		return calls
	}
	b.Run("KeysPage", func(b *testing.B) {
		compare(b, nil, page(func(i int) (*immukv.Client[string], error) { return clients[i], nil }))
	})
	b.Run("KeysPageOfFreshStore", func(b *testing.B) { // has not read the directory yet
		compare(b, nil, page(func(i int) (*immukv.Client[string], error) {
			store, err := blobstore.OpenDir(dirs[i])
			if err != nil {
				return nil, err
			}
			return immukv.Open[string](ctx, store, immukv.WithRepairCheckInterval(-1))
		}))
	})
}

// benchValue is a value of 100 bytes of JSON.
var benchValue = fmt.Sprintf("%098d", 0)

// fillDir makes a log of so many entries in a directory.
func fillDir(b *testing.B, dir string, entries int) {
	b.Helper()
	store, err := blobstore.OpenUnsynced(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	db, err := immukv.Open[string](b.Context(), store)
	if err != nil {
		b.Fatal(err)
	}
	for i := range entries {
		key := "hot"
		if i%2 == 1 {
			key = fmt.Sprint("key-", i)
		}
		if _, err := db.Set(b.Context(), key, benchValue); err != nil {
			b.Fatal(err)
		}
	}
}

// take consumes so many of a sequence.
func take[T any](seq func(func(T, error) bool), n int) error {
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
