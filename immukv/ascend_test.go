package immukv_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// Read oldest first, the log is the log: from any entry on, up to any other, as many as
// asked for, in whatever order the store lists the versions, within some places.
func TestLogOldestFirst(t *testing.T) {
	t.Parallel()
	const n = 60
	mem := filled(t, n, 2)
	entries := all(t, open[int](t, mem).Log(t.Context()))
	slices.Reverse(entries)
	rapid.Check(t, func(r *rapid.T) {
		store := &tapped{store: mem, order: disturb(r, 8), page: rapid.IntRange(1, 70).Draw(r, "page")}
		from := rapid.Int64Range(0, n+2).Draw(r, "from")
		before := rapid.IntRange(0, n).Draw(r, "before")
		limit := rapid.IntRange(0, n+2).Draw(r, "limit")
		ascending := rapid.Bool().Draw(r, "ascending")
		opts := []immukv.LogOption{immukv.From(from), immukv.Limit(limit)}
		if before < n {
			opts = append(opts, immukv.Before(entries[before].VersionID))
		}
		want := entries[min(from, int64(before)):before]
		if ascending {
			opts = append(opts, immukv.OldestFirst())
		} else {
			want = slices.Clone(want)
			slices.Reverse(want)
		}
		if limit > 0 {
			want = want[:min(limit, len(want))]
		}
		got, err := collect(open[int](t, store, immukv.WithConcurrency(rapid.IntRange(1, 40).Draw(r, "window"))).Log(context.Background(), opts...))
		if err != nil || !slices.Equal(sequences(got), sequences(want)) {
			r.Fatalf("got %v, %v, want %v", sequences(got), err, sequences(want))
		}
	})
}

func TestLogOldestFirstOfEmptyLog(t *testing.T) {
	t.Parallel()
	if got := all(t, open[int](t, memstore.New()).Log(t.Context(), immukv.OldestFirst(), immukv.From(3))); len(got) > 0 {
		t.Errorf("got %v", got)
	}
}

// An edited entry is named, and so is the place where the log does not follow from what
// was before.
func TestTamperedLogOldestFirst(t *testing.T) {
	t.Parallel()
	const n, at = 40, 17
	other := versionsOf(filled(t, n+1, 3).Dump(), logObject)
	for _, c := range []struct {
		name   string
		change func(v []memstore.Version) []memstore.Version
		good   int   // entries without an error
		where  int64 // the finding's sequence; -1: none
		kind   immukv.FindingKind
	}{
		{"edited", func(v []memstore.Version) []memstore.Version {
			v[at].Body = replaced(v[at].Body, `"value":`, `"value":1`)
			return v
		}, n - 1, -1, ""},
		{"removed", func(v []memstore.Version) []memstore.Version { return append(v[:at:at], v[at+1:]...) }, at, at, immukv.MissingVersion},
		{"many removed", func(v []memstore.Version) []memstore.Version { return v[n-2:] }, 0, 0, immukv.MissingVersion},
		{"replaced", func(v []memstore.Version) []memstore.Version { v[at].Body = other[at].Body; return v }, at, at, immukv.BrokenLink},
		{"rewritten up to there", func(v []memstore.Version) []memstore.Version {
			for i := range at {
				v[i].Body = other[i].Body
			}
			return v
		}, at, at, immukv.BrokenLink},
	} {
		mem := edit(t, filled(t, n, 2), logObject, c.change)
		good := 0
		var last error
		for _, err := range open[int](t, mem).Log(t.Context(), immukv.OldestFirst()) {
			if err == nil {
				good++
				continue
			}
			last = err
		}
		var found immukv.Finding
		if !errors.Is(last, immukv.ErrVerificationFailed) || errors.As(last, &found) != (c.where >= 0) {
			t.Errorf("%s: error %v", c.name, last)
		}
		if good != c.good || c.where >= 0 && (found.Sequence != c.where || found.Kind != c.kind) {
			t.Errorf("%s: %d good, want %d; %v", c.name, good, c.good, last)
		}
	}
}
