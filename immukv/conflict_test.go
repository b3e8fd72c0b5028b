package immukv_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// race has clients of their own set values side by side, each request taking a
// while, and returns how many requests that took.
func race(t *testing.T, store backend.VersionedStore, clients, each int, key func(client, i int) string) int {
	t.Helper()
	seen := counted(store)
	count := seen.before
	seen.before = func(ctx context.Context, r request) error {
		time.Sleep(10 * time.Millisecond)
		return count(ctx, r)
	}
	var wg sync.WaitGroup
	for c := range clients {
		db := open[string](t, seen)
		wg.Go(func() {
			for i := range each {
				if _, err := db.Set(t.Context(), key(c, i), fmt.Sprintf("%d/%d", c, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return len(seen.take())
}

// Contending writers all get through, each write once (I1, I14); the first entry is
// contended like any other.
func TestContention(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]func(client, i int) string{
		"one key":       func(int, int) string { return "k" },
		"keys apart":    func(c, _ int) string { return fmt.Sprint(c) },
		"keys in turns": func(c, i int) string { return fmt.Sprint((c + i) % 3) },
	} {
		for _, clients := range []int{2, 4, 8} {
			t.Run(fmt.Sprintf("%s/%d", name, clients), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					mem := memstore.New()
					const each = 5
					requests := race(t, mem, clients, each, key)
					once := make(map[string]int)
					for _, f := range stored(t, mem, logObject) {
						once[string(f.Value)]++
					}
					for value, n := range once {
						if n != 1 {
							t.Errorf("%s stands %d times in the log", value, n)
						}
					}
					if r := audit(t, mem); r.Entries != int64(clients*each) {
						t.Errorf("%d entries", r.Entries)
					}
					t.Logf("%d requests for %d writes", requests, clients*each)
				})
			})
		}
	}
}

// A writer that loses a race retries from the fresh head, whatever it had cached of
// head and keys.
func TestLostRace(t *testing.T) {
	t.Parallel()
	for _, others := range [][]string{{"a"}, {"b"}, {"a", "a"}, {"a", "b"}, {"b", "a"}, {"c", "a", "b"}} {
		t.Run(strings.Join(others, " "), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				mem := memstore.New()
				db, other := open[string](t, mem), open[string](t, mem)
				for round := range 3 {
					// db remembers both keys' tags from its last round.
					set(t, db, "a", "ours")
					set(t, db, "b", "ours")
					for _, key := range others {
						set(t, other, key, "theirs")
					}
					set(t, db, "a", fmt.Sprint("ours again ", round))
					for _, key := range others {
						set(t, other, key, "theirs")
					}
					set(t, db, "b", fmt.Sprint("ours again ", round))
				}
				if r := audit(t, mem); len(r.Orphans) > 0 || r.Entries != int64(3*(4+2*len(others))) {
					t.Errorf("report is %+v", r)
				}
			})
		})
	}
}

// A client's memory of a key is not believed once another may have written it:
// every order of six writes of two keys by two clients.
func TestRememberedTags(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const steps = 6
		for plan := range 1 << (2 * (steps - 1)) { // the first step may be any, for symmetry
			mem := memstore.New()
			clients := []*immukv.Client[int]{open[int](t, mem), open[int](t, mem)}
			for step := range steps {
				choice := plan >> (2 * step)
				set(t, clients[choice&1], "ab"[choice>>1&1:][:1], step)
			}
			if n := len(versionsOf(mem.Dump(), "keys/a.json")) + len(versionsOf(mem.Dump(), "keys/b.json")); n != steps {
				t.Errorf("%d key versions of %d", n, steps)
			}
			if audit(t, mem); t.Failed() {
				t.Fatalf("plan %b", plan)
			}
		}
	})
}

// What a client remembers of a key whose entry it left an orphan is forgotten once
// another has repaired it, though only one entry came since.
func TestRememberedTagOfOrphan(t *testing.T) {
	t.Parallel()
	mem := memstore.New()
	store := &tapped{store: mem}
	db := open[string](t, store, immukv.WithRepairCheckInterval(0))
	set(t, db, "a", "first")
	store.put = deniedObject(mem, "keys/a.json").put
	set(t, db, "a", "orphan")
	store.put = nil
	set(t, open[string](t, mem), "b", "other")
	get(t, db, "b") // checks the head
	set(t, db, "a", "last")
	if r := audit(t, mem); len(r.Orphans) > 0 || r.Entries != 4 {
		t.Errorf("report is %+v", r)
	}
}

func TestMaxAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		other := open[string](t, mem)
		for _, attempts := range []int{1, 3} {
			appends := 0
			store := &tapped{store: mem, put: func(r request, send func() (backend.Version, error)) (backend.Version, error) {
				if r.name == logObject {
					appends++
					set(t, other, "k", "other")
				}
				return send()
			}}
			_, err := open[string](t, store, immukv.WithMaxAttempts(attempts)).Set(t.Context(), "k", "value")
			if !errors.Is(err, immukv.ErrConflict) || errors.Is(err, immukv.ErrOutcomeUnknown) {
				t.Errorf("error is %v", err)
			}
			if appends != attempts {
				t.Errorf("%d attempts, want %d", appends, attempts)
			}
			checkOutcome(t, mem, "value", err)
		}
		audit(t, mem)
	})
}

// Without a limit of attempts the context is the limit.
func TestContextBoundsAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		other := open[string](t, mem)
		store := &tapped{store: mem, put: func(r request, send func() (backend.Version, error)) (backend.Version, error) {
			if r.name == logObject {
				set(t, other, "k", "other")
			}
			return send()
		}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := open[string](t, store).Set(ctx, "k", "value")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
		checkOutcome(t, mem, "value", err)
		if e, err := other.Settle(t.Context(), asUnknown(t, err)); !errors.Is(err, immukv.ErrConflict) {
			t.Errorf("settled as %+v, %v", e, err)
		}
	})
}

// marked puts a delete marker on an object, as the newest version.
func marked(versions []memstore.Version) []memstore.Version {
	return append(versions, memstore.Version{ID: "marker", DeleteMarker: true})
}

// A log that was deleted is an error that names it, and nothing is written, whatever the
// client knew of it before.
func TestDeletedLog(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, store *counter, db *immukv.Client[string]) {
		t.Helper()
		store.take()
		_, err := db.Set(t.Context(), "k", "value")
		if !errors.Is(err, immukv.ErrLogDeleted) || !strings.Contains(err.Error(), "p/_log.json") {
			t.Errorf("set: %v", err)
		}
		if n := writes(store.take()); n > 0 && !errors.Is(err, immukv.ErrOutcomeUnknown) {
			t.Errorf("%d writes sent", n)
		}
		if _, err := collect(db.Log(t.Context())); !errors.Is(err, immukv.ErrLogDeleted) {
			t.Errorf("log: %v", err)
		}
		if _, err := db.Repair(t.Context()); !errors.Is(err, immukv.ErrLogDeleted) {
			t.Errorf("repair: %v", err)
		}
		report, err := db.VerifyLog(t.Context())
		if err != nil || report.Valid() || report.Complete || report.Findings[0].Kind != immukv.DeleteMarker {
			t.Errorf("report is %+v, %v", report, err)
		}
	}
	for name, know := range map[string]func(*testing.T, *immukv.Client[string]){
		"fresh client":             func(*testing.T, *immukv.Client[string]) {},
		"client that knew it":      func(t *testing.T, db *immukv.Client[string]) { set(t, db, "k", "known") },
		"client that knew of none": func(t *testing.T, db *immukv.Client[string]) { _, _ = db.Repair(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				mem := memstore.New()
				store := counted(mem)
				db := open[string](t, store, immukv.WithPrefix("p/"))
				know(t, db)
				set(t, open[string](t, mem, immukv.WithPrefix("p/")), "k", "other")
				store.store = edit(t, mem, "p/_log.json", marked)
				check(t, store, db)
			})
		})
	}
	for _, before := range []int{0, 1} { // entries
		for name, remove := range map[string]func([]memstore.Version) []memstore.Version{
			"deleted": marked,
			"wiped":   func([]memstore.Version) []memstore.Version { return nil },
		} {
			if before == 0 && name == "wiped" {
				continue // which nobody can tell from a log that has not begun
			}
			t.Run(fmt.Sprintf("%s while an append is in doubt/%d before", name, before), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					mem := memstore.New()
					for range before {
						set(t, open[string](t, mem), "k", "before")
					}
					var store *tapped
					store = onPut(mem, logObject, func(send func() (backend.Version, error)) (backend.Version, error) {
						_, _ = send()
						store.store = edit(t, mem, logObject, remove)
						return backend.Version{}, storeError(backend.ErrOutcomeUnknown)
					})
					_, err := open[string](t, store).Set(t.Context(), "k", "value")
					if !errors.Is(err, immukv.ErrLogDeleted) || !errors.Is(err, immukv.ErrOutcomeUnknown) {
						t.Errorf("error is %v", err)
					}
					left := versionsOf(store.store.(*memstore.Store).Dump(), logObject)
					if len(left) > 0 && !left[len(left)-1].DeleteMarker {
						t.Error("a second history began")
					}
				})
			})
		}
	}
}

// The log's first entry may be appended while a client checks whether the log was deleted.
func TestFirstEntryComesMeanwhile(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"k", "other"} {
		synctest.Test(t, func(t *testing.T) {
			mem := memstore.New()
			other := open[string](t, mem)
			store := &tapped{store: mem}
			var once sync.Once // and not by taking the tap away, which is read meanwhile
			store.before = func(_ context.Context, r request) error {
				if r.op == "versions" {
					once.Do(func() {
						time.Sleep(time.Second) // the key object has been read by then
						set(t, other, key, "first")
					})
				}
				return nil
			}
			db := open[string](t, store)
			if e := set(t, db, "k", "second"); e.Sequence != 1 {
				t.Errorf("entry is %+v", e)
			}
			audit(t, mem)
		})
	}
	for name, read := range map[string]func(*immukv.Client[string]) error{
		"log": func(db *immukv.Client[string]) error { _, err := collect(db.Log(context.Background())); return err },
		"verify": func(db *immukv.Client[string]) error {
			r, err := db.VerifyLog(context.Background())
			return errors.Join(err, r.Err())
		},
		"audit": func(db *immukv.Client[string]) error {
			r, err := db.Audit(context.Background())
			return errors.Join(err, r.Err())
		},
	} {
		mem := memstore.New()
		store := &tapped{store: mem}
		store.before = func(_ context.Context, r request) error {
			if r.op == "versions" {
				store.before = nil
				set(t, open[string](t, mem), "k", "first")
			}
			return nil
		}
		if err := read(open[string](t, store)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Nothing is appended to a log that was rolled back since the client read it, however
// often the client reads it again. Reads of key objects succeed.
func TestLogWentBack(t *testing.T) {
	t.Parallel()
	type list = []memstore.Version
	for name, c := range map[string]struct {
		change func(list) list
		want   error
	}{
		"cut off":  {func(v list) list { return v[:2] }, backend.ErrDamaged},
		"replaced": {func(v list) list { return append(v[:2], forged(t, "k", 2, "sha256:x", v[1].ID)) }, backend.ErrDamaged},
		"gone":     {func(list) list { return nil }, immukv.ErrLogDeleted},
		"deleted":  {marked, immukv.ErrLogDeleted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				mem := memstore.New()
				store := &tapped{store: mem}
				db := open[string](t, store, immukv.WithRepairCheckInterval(0))
				for range 3 {
					set(t, db, "k", "value")
				}
				bad := edit(t, mem, logObject, c.change)
				store.store = bad
				for range 2 {
					if _, err := db.Set(t.Context(), "k", "more"); !errors.Is(err, c.want) {
						t.Errorf("set: %v", err)
					}
					if _, err := db.Repair(t.Context()); !errors.Is(err, c.want) {
						t.Errorf("repair: %v", err)
					}
					if e := get(t, db, "k"); e.Sequence != 2 {
						t.Errorf("got %+v", e)
					}
				}
				if n := len(c.change(versionsOf(mem.Dump(), logObject))); len(versionsOf(bad.Dump(), logObject)) != n {
					t.Errorf("the log has %d versions, and had %d", len(versionsOf(bad.Dump(), logObject)), n)
				}
			})
		})
	}
}
