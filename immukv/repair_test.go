package immukv_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// orphaned makes a store whose newest entry, the third of its log, is an orphan of
// key "k": a new one, or one that was set before.
func orphaned(t *testing.T, isNew bool) (*memstore.Store, immukv.Entry[string]) {
	t.Helper()
	mem := memstore.New()
	writer := open[string](t, mem)
	set(t, writer, "other", "first")
	if isNew {
		set(t, writer, "other", "second")
	} else {
		set(t, writer, "k", "second")
	}
	crashing := always(mem, "keys/k.json", notApplied(storeError(backend.ErrAccessDenied)))
	return mem, set(t, open[string](t, crashing), "k", "orphan")
}

// bothOrphans runs a test with an orphan that is its key's first entry, and with
// one that is not.
func bothOrphans(t *testing.T, test func(t *testing.T, isNew bool)) {
	t.Parallel()
	for _, isNew := range []bool{true, false} {
		t.Run(fmt.Sprint("new=", isNew), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { test(t, isNew) })
		})
	}
}

// Every activity of any client repairs the orphan; the audit reports it before, as
// no finding, and not after.
func TestRepair(t *testing.T) {
	for name, act := range map[string]func(*immukv.Client[string]) error{
		"set of another key": func(db *immukv.Client[string]) error { _, err := db.Set(context.Background(), "x", "v"); return err },
		"set of the key":     func(db *immukv.Client[string]) error { _, err := db.Set(context.Background(), "k", "v"); return err },
		"get of the key":     func(db *immukv.Client[string]) error { _, err := db.Get(context.Background(), "k"); return err },
		"get of another key": func(db *immukv.Client[string]) error { _, err := db.Get(context.Background(), "other"); return err },
		"history": func(db *immukv.Client[string]) error {
			_, err := collect(db.History(context.Background(), "other"))
			return err
		},
		"keys":   func(db *immukv.Client[string]) error { _, err := collect(db.Keys(context.Background())); return err },
		"repair": func(db *immukv.Client[string]) error { _, err := db.Repair(context.Background()); return err },
	} {
		t.Run(name, func(t *testing.T) {
			bothOrphans(t, func(t *testing.T, isNew bool) {
				mem, e := orphaned(t, isNew)
				if r := audit(t, mem); len(r.Orphans) == 0 || r.Orphans[0] != (immukv.Orphan{Key: "k", Sequence: 2, VersionID: e.VersionID}) {
					t.Errorf("report has orphan %+v", r.Orphans)
				}
				if err := act(open[string](t, mem)); err != nil {
					t.Fatal(err)
				}
				if r := audit(t, mem); len(r.Orphans) > 0 {
					t.Errorf("orphan left: %+v", r.Orphans)
				}
				if got := get(t, open[string](t, mem, immukv.WithReadOnly()), "k"); got.Sequence < e.Sequence || got.KeyVersionID == "" {
					t.Errorf("got %+v", got)
				}
			})
		})
	}
}

// The repair stores the bytes that the writer would have stored.
func TestRepairedBytes(t *testing.T) {
	bothOrphans(t, func(t *testing.T, isNew bool) {
		mem, e := orphaned(t, isNew)
		if _, err := open[string](t, mem).Repair(t.Context()); err != nil {
			t.Fatal(err)
		}
		versions := versionsOf(mem.Dump(), "keys/k.json")
		want := fmt.Sprintf(`{"hash":"%s","key":"k","log_version_id":"%s","previous_hash":"%s","sequence":2,"timestamp_ms":%d,"value":"orphan","write_id":"%s"}`,
			e.Hash, e.VersionID, e.PreviousHash, e.Timestamp.UnixMilli(), e.WriteID)
		if got := versions[len(versions)-1].Body; got != want {
			t.Errorf("repaired as\n%s, want\n%s", got, want)
		}
	})
}

func TestRepairResult(t *testing.T) {
	bothOrphans(t, func(t *testing.T, isNew bool) {
		mem, e := orphaned(t, isNew)
		db := open[string](t, mem)
		want := immukv.RepairResult{Head: e.Checkpoint(), Key: "k", VersionID: e.VersionID, Repaired: true,
			Orphans: []immukv.Orphan{{Key: "k", Sequence: e.Sequence, VersionID: e.VersionID}}}
		for range 2 {
			if got, err := db.Repair(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("repair found %+v, %v", got, err)
			}
			want.Orphans, want.Repaired = nil, false
		}
		if got, err := open[string](t, memstore.New()).Repair(t.Context()); err != nil || !reflect.DeepEqual(got, immukv.RepairResult{Empty: true}) {
			t.Errorf("repair of an empty log: %+v, %v", got, err)
		}
	})
}

// What another client repaired meanwhile is no orphan any more, and was not
// repaired by this one.
func TestRepairedByAnother(t *testing.T) {
	bothOrphans(t, func(t *testing.T, isNew bool) {
		mem, e := orphaned(t, isNew)
		db := open[string](t, deniedObject(mem, "keys/k.json"))
		get(t, db, "k") // and knows that it is an orphan
		if _, err := open[string](t, mem).Repair(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := db.Repair(t.Context())
		if want := (immukv.RepairResult{Head: e.Checkpoint(), Key: "k", VersionID: e.VersionID}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("repair found %+v, %v", got, err)
		}
	})
}

// Between two checks of the head, reads do not find an orphan; after the interval
// they do.
func TestRepairInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		set(t, open[string](t, mem), "k", "before")
		reader := open[string](t, mem, immukv.WithRepairCheckInterval(time.Minute))
		always0 := open[string](t, mem, immukv.WithRepairCheckInterval(0))
		never := open[string](t, mem, immukv.WithRepairCheckInterval(-1))
		for _, db := range []*immukv.Client[string]{reader, always0, never} {
			get(t, db, "k")
		}
		crashing := always(mem, "keys/k.json", notApplied(storeError(backend.ErrAccessDenied)))
		set(t, open[string](t, crashing), "k", "orphan")
		for range 5 {
			time.Sleep(10 * time.Second)
			if e := get(t, reader, "k"); e.Value != "before" {
				t.Errorf("repaired before the interval had passed: %+v", e)
			}
		}
		if e := get(t, never, "k"); e.Value != "before" {
			t.Errorf("repaired by a client that never looks: %+v", e)
		}
		time.Sleep(10 * time.Second)
		if e := get(t, reader, "k"); e.Value != "orphan" {
			t.Errorf("not repaired after the interval: %+v", e)
		}
		set(t, open[string](t, crashing), "k", "second orphan")
		if e := get(t, always0, "k"); e.Value != "second orphan" {
			t.Errorf("not repaired by a client that always looks: %+v", e)
		}
		audit(t, mem)
	})
}

// A read that begins during a write of the same client does not wait for it, and does not
// check the head beside it.
func TestReadDuringWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		set(t, open[string](t, mem), "k", "before")
		slow := counted(mem)
		count := slow.before
		slow.before = func(ctx context.Context, r request) error {
			if r.op == "put" {
				time.Sleep(time.Second)
			}
			return count(ctx, r)
		}
		db := open[string](t, slow, immukv.WithRepairCheckInterval(0))
		var wg sync.WaitGroup
		wg.Go(func() { set(t, db, "k", "after") })
		time.Sleep(100 * time.Millisecond) // the append is under way
		slow.take()
		if e := get(t, db, "k"); e.Value != "before" {
			t.Errorf("got %+v", e)
		}
		slow.want(t, "get beside an append", "1 get keys/k.json")
		time.Sleep(time.Second) // the append is done, the apply under way
		slow.take()
		if e := get(t, db, "k"); e.Value != "after" {
			t.Errorf("got %+v", e)
		}
		slow.want(t, "get beside an apply", "1 get keys/k.json")
		wg.Wait()
	})
}

// Reads that wait for another read's check make it one after the other, in their order,
// when the context of the one that makes it ends. Whoever leaves while it waits is passed
// over.
func TestCheckPassesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		set(t, open[string](t, mem), "k", "value")
		heads := 0
		db := open[string](t, &tapped{store: mem, before: func(ctx context.Context, r request) error {
			if r.name != logObject {
				return nil
			}
			if heads++; heads >= 3 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}})
		const reads = 6
		var errs [reads]error
		var ends [reads]context.CancelFunc
		var wg sync.WaitGroup
		for i := range reads {
			ctx, end := context.WithCancel(t.Context())
			ends[i] = end
			wg.Go(func() { _, errs[i] = db.Get(ctx, "k") })
			synctest.Wait()
		}
		for _, i := range []int{1, 0, 2} { // the second waits; the others check
			ends[i]()
			synctest.Wait()
		}
		wg.Wait()
		for i, err := range errs {
			if (i < 3) != errors.Is(err, context.Canceled) || i >= 3 && err != nil {
				t.Errorf("read %d: %v", i, err)
			}
		}
		if heads != 3 {
			t.Errorf("%d reads checked the head, want 3", heads)
		}
		set(t, db, "k", "and the lock is free")
		for _, end := range ends {
			end()
		}
	})
}

// A check that succeeded counts for the reads that wait for it, even if the context of the
// read that made it has ended meanwhile.
func TestCheckSucceedsAsItsContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem, orphan := orphaned(t, true)
		ctx, end := context.WithCancel(t.Context())
		store := counted(mem)
		store.put = func(_ request, send func() (backend.Version, error)) (backend.Version, error) {
			time.Sleep(roundTrip)
			defer end()
			return send() // the last request of the check
		}
		db := open[string](t, store)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := db.Get(ctx, "k"); !errors.Is(err, context.Canceled) {
				t.Errorf("the read whose context ended: %v", err)
			}
		})
		synctest.Wait()
		for range 2 {
			wg.Go(func() {
				if e := get(t, db, "k"); e.Hash != orphan.Hash {
					t.Errorf("got %+v", e)
				}
			})
		}
		wg.Wait()
		store.want(t, "three reads", "1 get _log.json", "2 head keys/k.json", "1 put keys/k.json", "3 get keys/k.json")
	})
}

// Clients that repair and write at once all get through, and the entry is applied
// once.
func TestRepairRaced(t *testing.T) {
	bothOrphans(t, func(t *testing.T, isNew bool) {
		mem, e := orphaned(t, isNew)
		slow := &tapped{store: mem, before: func(context.Context, request) error {
			time.Sleep(time.Millisecond)
			return nil
		}}
		var wg sync.WaitGroup
		for i := range 6 {
			db := open[string](t, slow)
			wg.Go(func() {
				var err error
				switch i % 3 {
				case 0:
					_, err = db.Repair(t.Context())
				case 1:
					_, err = db.Get(t.Context(), "k")
				case 2:
					_, err = db.Set(t.Context(), "k", fmt.Sprint(i))
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		n := 0
		for _, f := range stored(t, mem, "keys/k.json") {
			if f.WriteID == e.WriteID {
				n++
			}
		}
		if n != 1 {
			t.Errorf("the key object holds the entry %d times", n)
		}
		if r := audit(t, mem); len(r.Orphans) > 0 || r.Entries != 5 {
			t.Errorf("report is %+v", r)
		}
	})
}

// A repair that meets a fault is made good by the next, be it lost, late or done
// twice; the bytes are the same whoever sends them.
func TestRepairDisturbed(t *testing.T) {
	for _, lost := range lostAnswers() {
		t.Run(lost.name, func(t *testing.T) {
			bothOrphans(t, func(t *testing.T, isNew bool) {
				mem, e := orphaned(t, isNew)
				var undelivered mail
				disturbed := onPut(mem, "keys/k.json", slices.Repeat([]fault{lost.fault(&undelivered)}, 8)...)
				result, err := open[string](t, disturbed).Repair(t.Context())
				if len(result.Orphans) == 0 || result.Repaired != (err == nil) {
					t.Errorf("repair found %+v, %v", result, err)
				}
				// A read that cannot repair has the entry from the log.
				disturbed = onPut(mem, "keys/k.json", slices.Repeat([]fault{lost.fault(&undelivered)}, 8)...)
				if got := get(t, open[string](t, disturbed), "k"); got.Hash != e.Hash {
					t.Errorf("got %+v", got)
				}
				undelivered.deliver()
				if got := set(t, open[string](t, mem), "k", "after"); got.Sequence != 3 {
					t.Errorf("next entry is %+v", got)
				}
				undelivered.deliver()
				if r := audit(t, mem); len(r.Orphans) > 0 {
					t.Errorf("orphan left: %+v", r.Orphans)
				}
			})
		})
	}
}

// A read whose repair failed tries again at the next.
func TestRepairTriedAgain(t *testing.T) {
	bothOrphans(t, func(t *testing.T, isNew bool) {
		mem, e := orphaned(t, isNew)
		full := always(mem, "keys/k.json", notApplied(storeError(backend.ErrUnavailable)))
		db := open[string](t, full)
		for range 2 {
			if got := get(t, db, "k"); got.Hash != e.Hash {
				t.Errorf("got %+v", got)
			}
		}
		if _, err := db.Set(t.Context(), "x", "value"); !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("a write over an orphan: %v", err)
		}
		full.put = nil
		get(t, db, "other")
		if r := audit(t, mem); len(r.Orphans) > 0 {
			t.Errorf("orphan left: %+v", r.Orphans)
		}
	})
}

// Where the key object is not what the log says, nothing is written over it or
// after it, the error names it, and reads of other keys succeed.
func TestDiverged(t *testing.T) {
	t.Parallel()
	const object = "keys/k.json"
	foreign := func(id string) func([]memstore.Version) []memstore.Version {
		return func(v []memstore.Version) []memstore.Version {
			return append(v, memstore.Version{ID: backend.VersionID(id), ETag: backend.ETag(`"` + id + `"`), Body: "{}"})
		}
	}
	older := func(v []memstore.Version) []memstore.Version {
		return append(v, memstore.Version{ID: "again", ETag: `"again"`, Body: v[0].Body})
	}
	for name, damage := range map[string]func([]memstore.Version) []memstore.Version{
		"malformed":     foreign("malformed"),
		"an older one":  older,
		"deleted":       marked,
		"another key's": nil, // below
		"a later one of another key": func(v []memstore.Version) []memstore.Version {
			later := ofFuture(memstore.Version{ID: "x", ETag: `"x"`}, "other")
			return append(v, later)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				mem := memstore.New()
				writer := open[string](t, mem)
				set(t, writer, "other", "value")
				set(t, writer, "k", "before")
				if damage == nil {
					body := versionsOf(mem.Dump(), "keys/other.json")[0].Body
					damage = func(v []memstore.Version) []memstore.Version {
						return append(v, memstore.Version{ID: "x", ETag: `"x"`, Body: body})
					}
				}
				store := &tapped{store: mem}
				store.put = func(r request, send func() (backend.Version, error)) (backend.Version, error) {
					if r.name == object { // instead of the apply
						store.store = edit(t, mem, object, damage)
						store.put = nil
						return backend.Version{}, storeError(backend.ErrPreconditionFailed)
					}
					return send()
				}
				db := open[string](t, store)
				set(t, db, "k", "value") // durable in the log, whatever comes after
				_, err := db.Set(t.Context(), "other", "more")
				var diverged *immukv.DivergedError
				if !errors.As(err, &diverged) || !errors.Is(err, immukv.ErrDiverged) || diverged.Object != object || diverged.Sequence != 2 {
					t.Errorf("set after it: %v", err)
				}
				if _, err := db.Repair(t.Context()); name == "deleted" && !errors.Is(err, immukv.ErrDiverged) {
					t.Errorf("repair: %v", err)
				}
				if got := get(t, open[string](t, store), "other"); got.Value != "value" {
					t.Errorf("read of another key: %+v", got)
				}
				report, err := open[string](t, store).Audit(t.Context())
				if err != nil || report.Valid() || report.Findings[0].Object != object {
					t.Errorf("report is %+v, %v", report, err)
				}
			})
		})
	}
}

// A client that is told to write upon a tampered head does not.
func TestTamperedHead(t *testing.T) {
	t.Parallel()
	mem := memstore.New()
	set(t, open[string](t, mem), "k", "value")
	set(t, open[string](t, mem), "other", "value")
	for name, change := range map[string]func(body string) string{
		"malformed": func(string) string { return "{}" },
		"changed":   func(body string) string { return replaced(body, `"value":"`, `"value":"x`) },
	} {
		bad := edit(t, mem, logObject, func(v []memstore.Version) []memstore.Version {
			v[1].Body = change(v[1].Body)
			return v
		})
		db := open[string](t, bad)
		var entryErr *immukv.EntryError
		_, err := db.Set(t.Context(), "k", "more")
		if !errors.As(err, &entryErr) || entryErr.Object != logObject {
			t.Errorf("%s: set: %v", name, err)
		}
		if _, err := db.Repair(t.Context()); !errors.As(err, &entryErr) {
			t.Errorf("%s: repair: %v", name, err)
		}
		if e := get(t, db, "k"); e.Value != "value" {
			t.Errorf("%s: got %+v", name, e)
		}
		if n := len(versionsOf(bad.Dump(), logObject)); n != 2 {
			t.Errorf("%s: log has %d versions", name, n)
		}
	}
}

// Another client may have appended an entry whose key this store cannot hold as an
// object: it appends first, and finds out then. Nothing can follow such an entry,
// but that is no fault of the key that is asked for, and reads succeed.
func TestHeadThatStoreCannotHold(t *testing.T) {
	t.Parallel()
	for name, refuses := range map[string]func(op string) bool{
		"found by looking": func(string) bool { return true },
		"found by writing": func(op string) bool { return op == "put" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mem := memstore.New()
			first := set(t, open[int](t, mem), "k", 1)
			mem = edit(t, mem, logObject, func(v []memstore.Version) []memstore.Version {
				return append(v, forged(t, "CON", 1, first.Hash, backend.VersionID(first.VersionID)))
			})
			store := counted(mem)
			count := store.before
			store.before = func(ctx context.Context, r request) error {
				_ = count(ctx, r)
				if r.name == "keys/CON.json" && refuses(r.op) {
					return storeError(backend.ErrInvalidName)
				}
				return nil
			}
			db := open[int](t, store)
			if e := get(t, db, "k"); e.Value != 1 {
				t.Errorf("got %+v", e)
			}
			if keys := all(t, db.Keys(t.Context())); !slices.Contains(keys, "k") {
				t.Errorf("keys are %q", keys)
			}
			store.take()
			_, err := db.Set(t.Context(), "k", 2)
			var diverged *immukv.DivergedError
			if !errors.As(err, &diverged) || diverged.Object != "keys/CON.json" || errors.Is(err, immukv.ErrInvalidKey) || errors.Is(err, backend.ErrInvalidName) {
				t.Errorf("set: %v", err)
			}
			if slices.Contains(store.take(), request{"put", logObject}) {
				t.Error("an entry was appended to one that is not applied")
			}
			if _, err := db.Repair(t.Context()); !errors.Is(err, immukv.ErrDiverged) {
				t.Errorf("repair: %v", err)
			}
		})
	}
}
