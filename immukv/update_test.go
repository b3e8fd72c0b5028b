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

// increment is a change that counts up.
func increment(old immukv.Entry[int], _ bool) (int, error) { return old.Value + 1, nil }

// Counters that many clients raise end at what they were raised to, each by one after the
// other; none is starved.
func TestUpdateCounters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ clients, goroutines, keys int }{{1, 1, 1}, {1, 8, 1}, {8, 1, 1}, {16, 1, 1}, {4, 4, 2}} {
		t.Run(fmt.Sprintf("%d clients/%d goroutines/%d keys", c.clients, c.goroutines, c.keys), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const each = 5
				mem := memstore.New()
				seen := counted(mem)
				count := seen.before
				seen.before = func(ctx context.Context, r request) error {
					time.Sleep(10 * time.Millisecond)
					return count(ctx, r)
				}
				var wg sync.WaitGroup
				for i := range c.clients {
					db := open[int](t, seen)
					for j := range c.goroutines {
						wg.Go(func() {
							for range each {
								if _, err := db.Update(t.Context(), fmt.Sprint("k", (i+j)%c.keys), increment); err != nil {
									t.Error(err)
								}
							}
						})
					}
				}
				start := time.Now()
				wg.Wait()
				took := time.Since(start) / (10 * time.Millisecond)
				sum, updates := 0, c.clients*c.goroutines*each
				for i := range c.keys {
					entries := all(t, open[int](t, mem).History(t.Context(), fmt.Sprint("k", i)))
					sum += entries[0].Value
					for j, e := range entries {
						if e.Value != len(entries)-j {
							t.Errorf("entry %d of k%d has %d", len(entries)-j, i, e.Value)
						}
					}
				}
				if sum != updates {
					t.Errorf("the counters are at %d after %d updates", sum, updates)
				}
				audit(t, mem)
				t.Logf("%d updates took %d requests, %d round trips one after another", updates, len(seen.take()), took)
			})
		})
	}
}

// An update reads what is newest, and says whether that is anything.
func TestUpdate(t *testing.T) {
	t.Parallel()
	mem := memstore.New()
	db, other := open[string](t, mem), open[string](t, mem)
	update := func(want immukv.Entry[string], wantExists bool) immukv.Entry[string] {
		t.Helper()
		calls := 0
		e, err := db.Update(t.Context(), "k", func(old immukv.Entry[string], exists bool) (string, error) {
			calls++
			if exists != wantExists || old.Key != "k" || old.Value != want.Value || old.Hash != want.Hash || old.VersionID != want.VersionID {
				t.Errorf("called with %+v, %v, want %+v, %v", old, exists, want, wantExists)
			}
			return old.Value + "+", nil
		})
		if err != nil || calls != 1 || e.Value != want.Value+"+" {
			t.Fatalf("updated to %+v, %v, in %d calls", e, err, calls)
		}
		return e
	}
	e := update(immukv.Entry[string]{}, false)
	e = update(e, true)
	if other := set(t, other, "k", "other"); other.Sequence != e.Sequence+1 {
		t.Errorf("set %+v after %+v", other, e)
	} else {
		e = update(other, true)
	}
	set(t, other, "x", "other")
	e = update(e, true)
	set(t, db, "x", "own")
	update(e, true)
	update(set(t, open[string](t, deniedObject(mem, "keys/k.json")), "k", "orphan"), true)
	audit(t, mem)
}

// The function is called with what came between, with no read in between, and an error of
// its own ends the update as it is.
func TestUpdateAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := wrote(t, "k", "x")
		other := open[string](t, mem)
		store := counted(mem)
		db := open[string](t, store)
		set(t, db, "k", "own")
		store.take()
		var seen []string
		wantErr := errors.New("mine")
		_, err := db.Update(t.Context(), "k", func(old immukv.Entry[string], _ bool) (string, error) {
			switch seen = append(seen, old.Value); len(seen) {
			case 1:
				store.want(t, "read", "1 get _log.json")
				set(t, other, "k", "first")
			case 2:
				store.want(t, "first round", "1 put _log.json", "1 get _log.json")
				set(t, other, "x", "other")
				set(t, other, "k", "second")
			case 3:
				// The head that this round began with was old by two entries.
				store.want(t, "second round", "1 head keys/k.json", "1 put _log.json", "2 get _log.json", "1 version _log.json")
				return "", wantErr
			}
			return "new", nil
		})
		if err != wantErr { // not wrapped
			t.Errorf("error is %v", err)
		}
		if got := strings.Join(seen, " "); got != "own first second" {
			t.Errorf("called with %s", got)
		}
		if n := occurrences(t, mem, "new"); n != 0 {
			t.Errorf("written %d times", n)
		}
	})
}

// What an update costs that nobody disturbs.
func TestRequestsOfUpdate(t *testing.T) {
	t.Parallel()
	store := counted(filled(t, 10, 2)) // the newest entry is of k1
	db := open[int](t, store)
	update := func(key, what string, want ...string) {
		t.Helper()
		if _, err := db.Update(t.Context(), key, increment); err != nil {
			t.Fatal(err)
		}
		store.want(t, what, want...)
	}
	update("k0", "first", "1 get _log.json", "1 head keys/k1.json", "1 get keys/k0.json", "1 put _log.json", "1 put keys/k0.json")
	update("k0", "the same key again", "1 get _log.json", "1 put _log.json", "1 put keys/k0.json")
	update("k1", "another key", "1 get _log.json", "1 get keys/k1.json", "1 put _log.json", "1 put keys/k1.json")
	update("new", "a new key", "1 get _log.json", "1 get keys/new.json", "1 put _log.json", "1 put keys/new.json")
}

// Updates are bounded as writes are, and wait between rounds.
func TestUpdateAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := wrote(t, "k")
		other := open[string](t, mem)
		calls := 0
		_, err := open[string](t, mem, immukv.WithMaxAttempts(4)).Update(t.Context(), "k",
			func(immukv.Entry[string], bool) (string, error) {
				calls++
				set(t, other, "k", fmt.Sprint("other ", calls))
				return "new", nil
			})
		if !errors.Is(err, immukv.ErrConflict) || errors.Is(err, immukv.ErrConditionFailed) || calls != 4 {
			t.Errorf("after %d calls: %v", calls, err)
		}
		// Without a bound, its context ends it.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		calls = 0
		_, err = open[string](t, mem).Update(ctx, "k", func(immukv.Entry[string], bool) (string, error) {
			calls++
			set(t, other, "k", fmt.Sprint("other ", calls))
			return "new", nil
		})
		if !errors.Is(err, context.DeadlineExceeded) || calls > 2000 {
			t.Errorf("after %d calls: %v", calls, err)
		}
		t.Logf("%d calls in a minute", calls)
		if n := occurrences(t, mem, "new"); n != 0 {
			t.Errorf("written %d times", n)
		}
	})
}

// A lost answer does not make an update happen twice.
func TestUpdateAndLostAnswers(t *testing.T) {
	t.Parallel()
	for _, lost := range lostAnswers() {
		for _, others := range [][]string{nil, {"k"}, {"x", "k"}} {
			t.Run(fmt.Sprint(lost.name, others), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					mem := memstore.New()
					set(t, open[int](t, mem), "k", 10)
					other := open[int](t, mem)
					var undelivered mail
					meanwhile := func() {
						for _, key := range others {
							if _, err := other.Update(t.Context(), key, increment); err != nil {
								t.Error(err)
							}
						}
					}
					db := open[int](t, onPut(mem, logObject, followedBy(lost.fault(&undelivered), meanwhile)))
					want := 10
					switch _, err := db.Update(t.Context(), "k", increment); {
					case err == nil:
						want++
					case !errors.Is(err, backend.ErrAccessDenied): // any other answer is settled
						t.Error(err)
					}
					undelivered.deliver()
					if others != nil {
						want++
					}
					if e := get(t, open[int](t, mem), "k"); e.Value != want {
						t.Errorf("the counter is at %d, want %d", e.Value, want)
					}
					audit(t, mem)
				})
			})
		}
	}
}

// The function may use the client.
func TestUpdateWithin(t *testing.T) {
	t.Parallel()
	mem := wrote(t, "k")
	db := open[string](t, mem)
	calls := 0
	e, err := db.Update(t.Context(), "k", func(old immukv.Entry[string], _ bool) (string, error) {
		if calls++; calls == 1 {
			set(t, db, "k", "within")
		}
		return db.Prefix() + get(t, db, "k").Value + "+", nil
	})
	if err != nil || e.Value != "within+" || calls != 2 {
		t.Errorf("updated to %+v, %v, in %d calls", e, err, calls)
	}
}

// What cannot be updated fails before the function is called.
func TestUpdateRefused(t *testing.T) {
	t.Parallel()
	mem := wrote(t, "k", "x")
	never := func(immukv.Entry[int], bool) (int, error) {
		t.Error("the function was called")
		return 0, nil
	}
	for name, c := range map[string]struct {
		store backend.VersionedStore
		key   string
		opts  []immukv.Option
		want  error
	}{
		"read-only":   {mem, "k", []immukv.Option{immukv.WithReadOnly()}, immukv.ErrReadOnly},
		"invalid key": {mem, "..", nil, immukv.ErrInvalidKey},
		"deleted log": {edit(t, mem, logObject, marked), "k", nil, immukv.ErrLogDeleted},
	} {
		db := open[int](t, c.store, c.opts...)
		if _, err := db.Update(t.Context(), c.key, never); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	db := open[int](t, mem) // "before 0" is no int
	var broken *immukv.EntryError
	if _, err := db.Update(t.Context(), "k", never); !errors.As(err, &broken) {
		t.Errorf("a value of another type: %v", err)
	}
	_, err := open[chan int](t, mem).Update(t.Context(), "new", func(immukv.Entry[chan int], bool) (chan int, error) { return nil, nil })
	if err != nil && !errors.Is(err, immukv.ErrInvalidValue) {
		t.Errorf("a value that is no JSON: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Update(t.Context(), "k", never); !errors.Is(err, immukv.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
