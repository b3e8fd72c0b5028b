package immukv_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// The log's order, and every verification, rest on the chain, in whatever order the
// store lists the versions.
func TestLogInAnyOrder(t *testing.T) {
	t.Parallel()
	const n = 60
	mem := filled(t, n, 1)
	entries := all(t, open[int](t, mem).Log(t.Context()))
	rapid.Check(t, func(r *rapid.T) {
		var order func([]backend.Version) []backend.Version
		switch rapid.SampledFrom([]string{"disturbed", "reversed", "halves swapped", "head last"}).Draw(r, "kind") {
		case "disturbed":
			order = disturb(r, 30)
		case "reversed":
			order = func(v []backend.Version) []backend.Version { slices.Reverse(v); return v }
		case "halves swapped":
			order = func(v []backend.Version) []backend.Version { return slices.Concat(v[len(v)/2:], v[:len(v)/2]) }
		case "head last":
			order = func(v []backend.Version) []backend.Version { return slices.Concat(v[1:], v[:1]) }
		}
		store := &tapped{store: mem, page: rapid.IntRange(1, 70).Draw(r, "page")}
		store.order = func(v []backend.Version) []backend.Version { return order(v) }
		db := open[int](t, store, immukv.WithConcurrency(rapid.IntRange(1, 40).Draw(r, "window")), immukv.WithRepairCheckInterval(-1))

		want := sequences(entries)
		var opts []immukv.LogOption
		if from := rapid.IntRange(-1, n-1).Draw(r, "before"); from >= 0 {
			want = want[from+1:]
			opts = append(opts, immukv.Before(entries[from].VersionID))
		}
		limit := rapid.IntRange(0, 30).Draw(r, "limit")
		if limit > 0 {
			want = want[:min(limit, len(want))]
			opts = append(opts, immukv.Limit(limit))
		}
		got, err := collect(db.Log(context.Background(), opts...))
		if err != nil || !slices.Equal(sequences(got), want) {
			r.Fatalf("log is %v, %v, want %v", sequences(got), err, want)
		}
		report, err := db.VerifyLog(context.Background(), immukv.Limit(limit))
		if err != nil || !report.Valid() || report.Complete != (limit == 0) || limit > 0 && report.Entries != int64(limit) {
			r.Fatalf("report is %+v, %v", report, err)
		}
	})
}

func TestLogBefore(t *testing.T) {
	t.Parallel()
	db := open[int](t, filled(t, 10, 2))
	entries := all(t, db.Log(t.Context()))
	if got := all(t, db.Log(t.Context(), immukv.Before(entries[9].VersionID))); len(got) != 0 {
		t.Errorf("before the first entry: %v", got)
	}
	if got := all(t, db.Log(t.Context(), immukv.Before(entries[3].VersionID), immukv.Limit(1))); len(got) != 1 || got[0].Sequence != 5 {
		t.Errorf("one before sequence 6: %v", got)
	}
	if got := all(t, open[int](t, memstore.New()).Log(t.Context())); len(got) != 0 {
		t.Errorf("empty log: %v", got)
	}
}

// An entry whose hash does not match, or a version that is no entry, is yielded with its
// error, and the log continues. A link that does not lead to an older entry ends it,
// wherever an attacker made it lead.
func TestLogTampered(t *testing.T) {
	t.Parallel()
	const n, at = 10, 5
	versions := versionsOf(filled(t, n, 2).Dump(), logObject)
	id := func(i int) string { return string(versions[i].ID) }
	for name, c := range map[string]struct {
		edit func(body string) string
		good int // entries without an error
		want error
	}{
		"changed":     {func(b string) string { return replaced(b, `"value":5`, `"value":6`) }, n - 1, immukv.ErrVerificationFailed},
		"malformed":   {func(string) string { return "{}" }, n - 1, immukv.ErrMalformedEntry},
		"no such":     {func(b string) string { return replaced(b, id(at-1), "none") }, n - at, immukv.ErrNotFound},
		"to itself":   {func(b string) string { return replaced(b, id(at-1), id(at)) }, n - at, immukv.ErrVerificationFailed},
		"to a newer":  {func(b string) string { return replaced(b, id(at-1), id(n-2)) }, n - at, immukv.ErrVerificationFailed},
		"to an older": {func(b string) string { return replaced(b, id(at-1), id(at-3)) }, n - 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mem := edit(t, filled(t, n, 2), logObject, func(v []memstore.Version) []memstore.Version {
				v[at].Body = c.edit(v[at].Body)
				return v
			})
			good, bad := 0, 0
			for _, err := range open[int](t, mem).Log(t.Context()) {
				switch {
				case err == nil:
					good++
				case errors.Is(err, c.want):
					bad++
				default:
					t.Error(err)
				}
			}
			wantBad := 1
			if c.want == nil {
				wantBad = 0
			}
			if good != c.good || bad != wantBad {
				t.Errorf("%d good and %d bad, want %d and %d", good, bad, c.good, wantBad)
			}
			for size := 1; size <= 3; size++ {
				want := c.good
				if size == 1 && c.want == immukv.ErrMalformedEntry {
					want = n - 1 - at // a page without an entry does not say where the next begins
				}
				if good, bad := pageByPage(t, open[int](t, mem), size, n); good != want || bad != wantBad {
					t.Errorf("pages of %d: %d good and %d bad, want %d and %d", size, good, bad, want, wantBad)
				}
			}
		})
	}
}

// Whichever versions are no entries, all others are yielded.
func TestLogMalformed(t *testing.T) {
	t.Parallel()
	const n = 6
	for mask := range 1 << n {
		mem := edit(t, filled(t, n, 2), logObject, func(v []memstore.Version) []memstore.Version {
			for i := range v {
				if mask&(1<<i) != 0 {
					v[i].Body = "{}"
				}
			}
			return v
		})
		var want []int64
		for i := int64(n - 1); i >= 0; i-- {
			if mask&(1<<i) == 0 {
				want = append(want, i)
			}
		}
		for _, order := range [][]immukv.LogOption{nil, {immukv.OldestFirst()}} {
			var got []int64
			bad := 0
			for e, err := range open[int](t, mem).Log(t.Context(), order...) {
				switch {
				case err == nil:
					got = append(got, e.Sequence)
				case errors.Is(err, immukv.ErrMalformedEntry):
					bad++
				default:
					t.Errorf("%06b: %v", mask, err)
				}
			}
			if !slices.Equal(got, want) || bad != n-len(want) {
				t.Errorf("%06b: got %v and %d bad, want %v", mask, got, bad, want)
			}
			slices.Reverse(want)
		}
		if got, err := collect(open[int](t, mem).Log(t.Context(), immukv.Limit(2))); len(got) > 2 || err == nil && len(got) < 2 {
			t.Errorf("%06b: with a limit of 2: %v, %v", mask, got, err)
		}
	}
}

// Whichever request fails, the error of the store ends the log.
func TestLogEndsWhenStoreFails(t *testing.T) {
	t.Parallel()
	mem := edit(t, filled(t, 5, 1), logObject, func(v []memstore.Version) []memstore.Version {
		v[4].Body, v[3].Body = "{}", "{}"
		return v
	})
	for _, order := range [][]immukv.LogOption{nil, {immukv.OldestFirst()}} {
		for at := int64(1); ; at++ {
			var requests atomic.Int64
			store := &tapped{store: mem, before: func(context.Context, request) error {
				if requests.Add(1) == at {
					return storeError(backend.ErrUnavailable)
				}
				return nil
			}}
			failed := false
			for e, err := range open[int](t, store, immukv.WithConcurrency(1)).Log(t.Context(), order...) {
				if failed {
					t.Errorf("request %d failed, and then came sequence %d, %v", at, e.Sequence, err)
				}
				failed = errors.Is(err, backend.ErrUnavailable)
			}
			if requests.Load() < at {
				break
			}
			if !failed {
				t.Errorf("request %d failed without an error", at)
			}
		}
	}
}

// pageByPage reads a log in pages, each from the last entry of the one before, and
// counts the entries that came without an error and with one.
func pageByPage(t *testing.T, db *immukv.Client[int], size, most int) (good, bad int) {
	t.Helper()
	opts := []immukv.LogOption{immukv.Limit(size)}
	for range most + 1 {
		var last immukv.LogVersionID
		read := 0
		for e, err := range db.Log(t.Context(), opts...) {
			read++
			last = e.VersionID // empty if there was no reading it
			if err == nil {
				good++
			} else {
				bad++
			}
		}
		if read < size || last == "" {
			return good, bad
		}
		opts = []immukv.LogOption{immukv.Limit(size), immukv.Before(last)}
	}
	t.Fatalf("more than %d pages", most)
	return good, bad
}
