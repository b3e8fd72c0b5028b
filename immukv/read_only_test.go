package immukv_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// A client that may not write, by its own configuration or by the store's, returns
// an orphan from the log and writes nothing (I10).
func TestReadOnlyOrphan(t *testing.T) {
	for _, byStore := range []bool{false, true} {
		name := "configured"
		if byStore {
			name = "denied by the store"
		}
		t.Run(name, func(t *testing.T) {
			bothOrphans(t, func(t *testing.T, isNew bool) {
				mem, e := orphaned(t, isNew)
				store := counted(mem)
				var opts []immukv.Option
				if byStore {
					store.tapped.put = denied(mem).put
				} else {
					opts = append(opts, immukv.WithReadOnly())
				}
				wantHistory, wantKeys := []int64{2}, []string{"k", "other"}
				if !isNew {
					wantHistory = []int64{2, 1}
				}
				for _, first := range []string{"get", "history", "keys"} {
					db := open[string](t, store, opts...)
					for _, what := range []string{first, "get", "history", "keys", "other"} {
						switch what {
						case "get":
							if got := get(t, db, "k"); got.Hash != e.Hash || got.VersionID != e.VersionID || got.KeyVersionID != "" || got.Value != "orphan" {
								t.Errorf("got %+v", got)
							}
						case "history":
							if got := sequences(all(t, db.History(t.Context(), "k"))); !slices.Equal(got, wantHistory) {
								t.Errorf("history is %v", got)
							}
						case "keys":
							if got := all(t, db.Keys(t.Context())); !slices.Equal(got, wantKeys) {
								t.Errorf("keys are %q", got)
							}
						case "other":
							if got := get(t, db, "other"); got.KeyVersionID == "" {
								t.Errorf("got %+v", got)
							}
						}
					}
				}
				if len(versionsOf(mem.Dump(), "keys/k.json")) != len(wantHistory)-1 {
					t.Error("the orphan was repaired")
				}
				if n := writes(store.take()); !byStore && n > 0 {
					t.Errorf("%d writes sent", n)
				}
			})
		})
	}
}

// What the log gave for an orphan gives way to the key object, once another client
// has repaired it and gone on.
func TestReadOnlyOrphanRepaired(t *testing.T) {
	bothOrphans(t, func(t *testing.T, isNew bool) {
		mem, e := orphaned(t, isNew)
		reader := open[string](t, mem, immukv.WithReadOnly())
		get(t, reader, "k")
		if _, err := open[string](t, mem).Repair(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := get(t, reader, "k"); got.Hash != e.Hash || got.KeyVersionID == "" {
			t.Errorf("got %+v", got)
		}
		before := len(all(t, reader.History(t.Context(), "k")))
		later := set(t, open[string](t, mem), "k", "later")
		if got := get(t, reader, "k"); got.Hash != later.Hash {
			t.Errorf("got %+v", got)
		}
		if got := sequences(all(t, reader.History(t.Context(), "k"))); len(got) != before+1 || got[0] != 3 || got[1] != 2 {
			t.Errorf("history is %v", got)
		}
		if got := all(t, reader.Keys(t.Context())); !slices.Equal(got, []string{"k", "other"}) {
			t.Errorf("keys are %q", got)
		}
	})
}

// The first reads of a client, made at once, share one check of the head, and all have its
// result; but not if its context ended.
func TestFirstReadsAtOnce(t *testing.T) {
	bothOrphans(t, func(t *testing.T, isNew bool) {
		mem, e := orphaned(t, isNew)
		slow := counted(mem)
		count := slow.before
		slow.before = func(ctx context.Context, r request) error {
			_ = count(ctx, r)
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		for _, impatientFirst := range []bool{false, true} {
			db := open[string](t, slow, immukv.WithReadOnly())
			var wg sync.WaitGroup
			impatient := func() {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
				defer cancel()
				if _, err := db.Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("a read that waits longer than its context: %v", err)
				}
			}
			if impatientFirst {
				wg.Go(impatient)
				time.Sleep(time.Millisecond)
			}
			for range 10 {
				wg.Go(func() {
					if got := get(t, db, "k"); got.Hash != e.Hash {
						t.Errorf("got %+v", got)
					}
				})
			}
			looks := "1 get _log.json"
			if impatientFirst {
				looks = "2 get _log.json"
			} else {
				time.Sleep(time.Millisecond)
				wg.Go(impatient)
			}
			wg.Wait()
			slow.want(t, "first reads", looks, "2 head keys/k.json", "10 get keys/k.json")
		}
	})
}

// If that check fails, so do all that waited for it, rather than each after a failure
// of its own.
func TestFirstReadsFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := counted(memstore.New())
		count := store.before
		store.before = func(ctx context.Context, r request) error {
			_ = count(ctx, r)
			time.Sleep(time.Second)
			return storeError(backend.ErrAccessDenied)
		}
		db := open[string](t, store)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := db.Get(t.Context(), "k"); !errors.Is(err, backend.ErrAccessDenied) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		store.want(t, "first reads", "1 get _log.json")
	})
}

func TestReadOnlyRefuses(t *testing.T) {
	t.Parallel()
	store := counted(memstore.New())
	db := open[int](t, store, immukv.WithReadOnly())
	if _, err := db.Set(t.Context(), "k", 1); !errors.Is(err, immukv.ErrReadOnly) {
		t.Errorf("set: %v", err)
	}
	if _, err := db.Repair(t.Context()); !errors.Is(err, immukv.ErrReadOnly) {
		t.Errorf("repair: %v", err)
	}
	if seen := store.take(); len(seen) > 0 {
		t.Errorf("requests sent: %v", seen)
	}
}

// A client denied by the store is told so, and what it tried is not in the log.
func TestDeniedWrites(t *testing.T) {
	bothOrphans(t, func(t *testing.T, isNew bool) {
		orphan, _ := orphaned(t, isNew)
		sound := memstore.New()
		set(t, open[string](t, sound), "other", "first")
		for _, mem := range []*memstore.Store{orphan, sound, memstore.New()} {
			db := open[string](t, denied(mem))
			_, err := db.Set(t.Context(), "k", "value")
			if !errors.Is(err, backend.ErrAccessDenied) || errors.Is(err, immukv.ErrOutcomeUnknown) {
				t.Errorf("set: %v", err)
			}
			checkOutcome(t, mem, "value", err)
			result, err := db.Repair(t.Context())
			if (mem == orphan) != errors.Is(err, backend.ErrAccessDenied) || result.Repaired || (len(result.Orphans) > 0) != (mem == orphan) {
				t.Errorf("repair: %+v, %v", result, err)
			}
		}
	})
}

// A read that is denied is no absence.
func TestDeniedReads(t *testing.T) {
	t.Parallel()
	mem := memstore.New()
	set(t, open[string](t, mem), "k", "value")
	for _, op := range []string{"get", "version", "head", "versions", "names"} {
		store := &tapped{store: mem}
		failing := op
		store.before = func(_ context.Context, r request) error {
			if r.op == failing {
				return storeError(backend.ErrAccessDenied)
			}
			return nil
		}
		db := open[string](t, store)
		calls := map[string]error{}
		_, calls["get"] = db.Get(t.Context(), "k")
		_, calls["history"] = collect(db.History(t.Context(), "k"))
		_, calls["log"] = collect(db.Log(t.Context()))
		_, calls["keys"] = collect(db.Keys(t.Context()))
		_, calls["verify"] = db.VerifyLog(t.Context())
		_, calls["audit"] = db.Audit(t.Context())
		failed := 0
		for call, err := range calls {
			if err == nil {
				continue
			}
			failed++
			if !errors.Is(err, backend.ErrAccessDenied) || errors.Is(err, immukv.ErrNotFound) {
				t.Errorf("%s denied: %s: %v", op, call, err)
			}
		}
		if failed == 0 {
			t.Errorf("%s denied, and no call failed", op)
		}
	}
}
