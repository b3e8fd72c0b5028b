package immukv_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// disturb draws an order in which each version stands at most by places from where
// it belongs.
func disturb(r *rapid.T, by int) func([]backend.Version) []backend.Version {
	shifts := rapid.SliceOfN(rapid.IntRange(0, by), 64, 64).Draw(r, "shifts")
	return byShift(func(_ backend.Version, i int) int { return shifts[i%len(shifts)] })
}

// byShift is the order in which each version is listed some places late, those that
// others overtake earlier.
func byShift(shift func(v backend.Version, i int) int) func([]backend.Version) []backend.Version {
	return func(versions []backend.Version) []backend.Version {
		type placed struct {
			backend.Version
			place int
		}
		var all []placed
		for i, v := range versions {
			all = append(all, placed{v, i + shift(v, i)})
		}
		slices.SortStableFunc(all, func(a, b placed) int { return a.place - b.place })
		for i, p := range all {
			versions[i] = p.Version
		}
		return versions
	}
}

// history is a key's history, or an error.
func history(db *immukv.Client[int], key string, opts ...immukv.HistoryOption) ([]int64, error) {
	entries, err := collect(db.History(context.Background(), key, opts...))
	return sequences(entries), err
}

// A history is the same in whatever order the store lists the versions, within some
// places, from wherever it begins, over pages of any size.
func TestHistoryInOrder(t *testing.T) {
	t.Parallel()
	mem := filled(t, 90, 2) // 45 entries of each key
	entries := all(t, open[int](t, mem).History(t.Context(), "k0"))
	rapid.Check(t, func(r *rapid.T) {
		store := &tapped{store: mem, order: disturb(r, 8), page: rapid.IntRange(1, 50).Draw(r, "page")}
		db := open[int](t, store)
		want := sequences(entries)
		var opts []immukv.HistoryOption
		if from := rapid.IntRange(-1, len(entries)-1).Draw(r, "before"); from >= 0 {
			want = want[from+1:]
			if rapid.Bool().Draw(r, "by key version") {
				opts = append(opts, immukv.BeforeKeyVersion(entries[from].KeyVersionID))
			} else {
				opts = append(opts, immukv.Before(entries[from].VersionID))
			}
		}
		if limit := rapid.IntRange(0, 20).Draw(r, "limit"); limit > 0 {
			want = want[:min(limit, len(want))]
			opts = append(opts, immukv.Limit(limit))
		}
		got, err := history(db, "k0", opts...)
		if err != nil || !slices.Equal(got, want) {
			r.Fatalf("history is %v, %v, want %v", got, err, want)
		}
	})
}

// The version that a history begins at, and the one that it ends with, may both be as
// far from their places as can be, and away from one another.
func TestHistoryBeginsOutOfPlace(t *testing.T) {
	t.Parallel()
	mem := filled(t, 45, 1)
	entries := all(t, open[int](t, mem).History(t.Context(), "k0"))
	const by, limit = 8, 5
	for from := range entries {
		store := &tapped{store: mem, order: func(v []backend.Version) []backend.Version {
			if from >= by {
				move(v, from, from-by)
			}
			if late := from + limit; late+by < len(v) {
				move(v, late, late+by)
			}
			return v
		}}
		for _, opt := range []immukv.HistoryOption{immukv.BeforeKeyVersion(entries[from].KeyVersionID), immukv.Before(entries[from].VersionID)} {
			got, err := history(open[int](t, store), "k0", opt, immukv.Limit(limit))
			if want := sequences(entries)[from+1:]; err != nil || !slices.Equal(got, want[:min(limit, len(want))]) {
				t.Errorf("before sequence %d: %v, %v", entries[from].Sequence, got, err)
			}
		}
	}
}

// move has one version listed in another place.
func move(versions []backend.Version, from, to int) {
	v := versions[from]
	_ = slices.Insert(slices.Delete(versions, from, from+1), to, v)
}

// In any other order it is whole, or ends with an error that names what came late.
func TestHistoryInDisorder(t *testing.T) {
	t.Parallel()
	mem := filled(t, 60, 2)
	want := sequences(all(t, open[int](t, mem).History(t.Context(), "k0")))
	rapid.Check(t, func(r *rapid.T) {
		order := rapid.Permutation(slices.Collect(func(yield func(int) bool) {
			for i := range len(want) {
				if !yield(i) {
					return
				}
			}
		})).Draw(r, "order")
		store := &tapped{store: mem, order: func(versions []backend.Version) []backend.Version {
			if len(versions) != len(order) {
				return versions
			}
			var out []backend.Version
			for _, i := range order {
				out = append(out, versions[i])
			}
			return out
		}}
		got, err := history(open[int](t, store), "k0")
		if err != nil && !errors.Is(err, backend.ErrUnsupported) {
			r.Fatal(err)
		}
		if err == nil && !slices.Equal(got, want) || !slices.IsSortedFunc(got, func(a, b int64) int { return int(b - a) }) {
			r.Fatalf("history is %v, %v, want %v", got, err, want)
		}
	})
}

// Read page by page, from the last entry of each page on, a history is whole: with
// an orphan in front of it, too.
func TestHistoryPages(t *testing.T) {
	bothOrphans(t, func(t *testing.T, isNew bool) {
		mem, _ := orphaned(t, isNew)
		for _, orphan := range []bool{true, false} {
			want := []int64{2, 1}
			if isNew {
				want = want[:1]
			}
			for size := 1; size <= 3; size++ {
				db := open[string](t, mem, immukv.WithReadOnly())
				var got []int64
				opts := []immukv.HistoryOption{immukv.Limit(size)}
				for range 4 {
					page := all(t, db.History(t.Context(), "k", opts...))
					if got = append(got, sequences(page)...); len(page) < size {
						break
					}
					last := page[len(page)-1]
					opts = []immukv.HistoryOption{immukv.Limit(size), immukv.Before(last.VersionID)}
					if last.KeyVersionID != "" && size%2 == 0 {
						opts[1] = immukv.BeforeKeyVersion(last.KeyVersionID)
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("orphan %v, pages of %d: history is %v, want %v", orphan, size, got, want)
				}
			}
			if _, err := open[string](t, mem).Repair(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestHistoryOptions(t *testing.T) {
	t.Parallel()
	mem := filled(t, 10, 2)
	db := open[int](t, mem)
	entries := all(t, db.History(t.Context(), "k1"))
	oldest := entries[len(entries)-1]
	for name, opts := range map[string][]immukv.HistoryOption{
		"version of another key": {immukv.Before(entries[0].VersionID)},
		"both starting points":   {immukv.Before(oldest.VersionID), immukv.BeforeKeyVersion(oldest.KeyVersionID)},
	} {
		if _, err := history(db, "k0", opts...); !errors.Is(err, immukv.ErrInvalidOption) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, opt := range map[string]immukv.HistoryOption{
		"before the first entry":       immukv.Before(oldest.VersionID),
		"before the first key version": immukv.BeforeKeyVersion(oldest.KeyVersionID),
	} {
		if got, err := history(db, "k1", opt); err != nil || len(got) > 0 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, limit := range []int{-1, 0, 5, 6, math.MaxInt - 40, math.MaxInt} {
		for _, opts := range [][]immukv.HistoryOption{{}, {immukv.Before(entries[0].VersionID)}, {immukv.BeforeKeyVersion(entries[0].KeyVersionID)}} {
			got, err := history(db, "k1", append(opts, immukv.Limit(limit))...)
			if want := 5 - len(opts); err != nil || len(got) != want {
				t.Errorf("limit %d: %v, %v", limit, got, err)
			}
		}
		if limit != 5 && limit != 6 {
			if got := all(t, db.Log(t.Context(), immukv.Limit(limit))); len(got) != 10 {
				t.Errorf("limit %d: log has %d entries", limit, len(got))
			}
			if r, err := db.VerifyLog(t.Context(), immukv.Limit(limit)); err != nil || !r.Valid() || r.Entries != 10 || !r.Complete {
				t.Errorf("limit %d: report is %+v, %v", limit, r, err)
			}
		}
	}
}

// changedCopy is a key object version with another value, of which the log cannot tell
// what it was: the log version that it names does not exist.
func changedCopy(body string) string {
	return replaced(replaced(body, `"value":`, `"value":1`), `"log_version_id":"`, `"log_version_id":"none-`)
}

// A version that is not to be trusted comes with its error, and the history goes
// on; a delete marker is no version of the key.
func TestHistoryTampered(t *testing.T) {
	t.Parallel()
	other := versionsOf(filled(t, 4, 2).Dump(), "keys/k1.json")[0].Body
	for name, c := range map[string]struct {
		change func(body string) string
		want   error
	}{
		"malformed":     {func(string) string { return "{" }, immukv.ErrMalformedEntry},
		"changed":       {changedCopy, immukv.ErrVerificationFailed},
		"another key's": {func(string) string { return other }, immukv.ErrVerificationFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range 5 {
				mem := edit(t, filled(t, 10, 2), "keys/k0.json", func(v []memstore.Version) []memstore.Version {
					v[i].Body = c.change(v[i].Body)
					return slices.Insert(v, i, memstore.Version{ID: "marker", DeleteMarker: true})
				})
				var good, bad int
				for e, err := range open[int](t, mem).History(t.Context(), "k0") {
					var entryErr *immukv.EntryError
					switch {
					case err == nil && e.Key == "k0":
						good++
					case errors.Is(err, c.want) && errors.As(err, &entryErr) && entryErr.Object == "keys/k0.json":
						bad++
					default:
						t.Errorf("version %d: %+v, %v", i, e, err)
					}
				}
				if good != 4 || bad != 1 {
					t.Errorf("version %d: %d good and %d bad", i, good, bad)
				}
				if i < 4 {
					continue
				}
				if _, err := open[int](t, mem).Get(t.Context(), "k0"); !errors.Is(err, c.want) {
					t.Errorf("get: %v", err)
				}
			}
		})
	}
}

// A version that is not to be trusted has the place in which it is listed, wherever a
// history begins, and whatever sequence it claims.
func TestHistoryTamperedBefore(t *testing.T) {
	t.Parallel()
	const object = "keys/k0.json"
	honest := filled(t, 6, 1)
	entries := all(t, open[int](t, honest).History(t.Context(), "k0"))
	for name, change := range map[string]func(body string) string{
		"malformed":   func(string) string { return "{" },
		"claims more": func(body string) string { return replaced(body, `"sequence":`, `"sequence":9`) },
		"changed":     changedCopy,
	} {
		for bad := range entries {
			mem := edit(t, honest, object, func(v []memstore.Version) []memstore.Version {
				at := &v[len(v)-1-bad]
				at.Body = change(at.Body)
				return v
			})
			for from := range entries {
				opts := []immukv.HistoryOption{immukv.Before(entries[from].VersionID), immukv.BeforeKeyVersion(entries[from].KeyVersionID)}
				if from == bad {
					opts = opts[:1] // of the other, nobody knows what it is before
				}
				for i, opt := range opts {
					var good, wrong []int64
					for e, err := range open[int](t, mem).History(t.Context(), "k0", opt) {
						if err != nil {
							wrong = append(wrong, e.Sequence)
						} else {
							good = append(good, e.Sequence)
						}
					}
					want := sequences(entries[from+1:])
					if bad > from {
						want = slices.Delete(want, bad-from-1, bad-from)
					}
					if !slices.Equal(good, want) || (len(wrong) == 1) != (bad > from) {
						t.Errorf("%s %d, option %d before %d: %v and wrong %v, want %v", name, bad, i, from, good, wrong, want)
					}
				}
			}
		}
	}
}

// The orphan is not hidden by a version below it that claims to be newer.
func TestHistoryTamperedBelowOrphan(t *testing.T) {
	t.Parallel()
	mem := filled(t, 4, 2)
	crashing := always(mem, "keys/k0.json", notApplied(storeError(backend.ErrAccessDenied)))
	orphan := set(t, open[int](t, crashing), "k0", 9)
	mem = edit(t, mem, "keys/k0.json", func(v []memstore.Version) []memstore.Version {
		v[1].Body = replaced(v[1].Body, `"sequence":2`, `"sequence":99`)
		return v
	})
	var got []int64
	for e, err := range open[int](t, mem, immukv.WithReadOnly()).History(t.Context(), "k0") {
		if bad := e.Sequence == 99; bad != errors.Is(err, immukv.ErrVerificationFailed) || !bad && err != nil {
			t.Errorf("sequence %d: %v", e.Sequence, err)
		}
		got = append(got, e.Sequence)
	}
	if want := []int64{orphan.Sequence, 99, 0}; !slices.Equal(got, want) {
		t.Errorf("history is %v, want %v", got, want)
	}
}

// A history that lacks the version to begin with says so.
func TestHistoryStartGone(t *testing.T) {
	t.Parallel()
	db := open[int](t, edit(t, filled(t, 10, 2), "keys/k0.json", func(v []memstore.Version) []memstore.Version { return v[3:] }))
	entries := all(t, db.History(t.Context(), "k0"))
	if _, err := history(db, "k0", immukv.Before(entries[len(entries)-1].VersionID)); !errors.Is(err, immukv.ErrDiverged) {
		t.Errorf("error is %v", err)
	}
}

// A call that fails part of the way says so and ends; what it gave before stands.
func TestReadsFailPartway(t *testing.T) {
	t.Parallel()
	mem := filled(t, 60, 2)
	for name, read := range map[string]func(*immukv.Client[int]) (int, error){
		"history": func(db *immukv.Client[int]) (int, error) {
			got, err := collect(db.History(context.Background(), "k0"))
			return len(got), err
		},
		"log": func(db *immukv.Client[int]) (int, error) {
			got, err := collect(db.Log(context.Background()))
			return len(got), err
		},
		"verify": func(db *immukv.Client[int]) (int, error) {
			r, err := db.VerifyLog(context.Background())
			if err == nil && !r.Valid() {
				return 0, errors.New("findings")
			}
			return 0, err
		},
		"audit": func(db *immukv.Client[int]) (int, error) {
			r, err := db.Audit(context.Background())
			if err == nil && !r.Valid() {
				return 0, errors.New("findings")
			}
			return 0, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for failing := 1; ; failing++ {
				seen := counted(mem)
				count := seen.before
				n := 0
				seen.page = 25
				seen.before = func(ctx context.Context, r request) error {
					_ = count(ctx, r)
					seen.mu.Lock()
					defer seen.mu.Unlock()
					if n++; n == failing {
						return fmt.Errorf("request %d", failing)
					}
					return nil
				}
				_, err := read(open[int](t, seen, immukv.WithRepairCheckInterval(-1), immukv.WithConcurrency(4)))
				if n < failing {
					if err != nil {
						t.Errorf("undisturbed: %v", err)
					}
					break
				}
				if err == nil || !containsRequest(err, failing) {
					t.Fatalf("request %d failed, the call with: %v", failing, err)
				}
			}
		})
	}
}

func containsRequest(err error, n int) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if err.Error() == fmt.Sprintf("request %d", n) {
			return true
		}
	}
	return false
}
