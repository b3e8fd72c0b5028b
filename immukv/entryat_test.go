package immukv_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// Every entry is found by its sequence, in whatever order the store lists the versions,
// within some places, and over pages of any size.
func TestEntryAt(t *testing.T) {
	t.Parallel()
	const n = 60
	mem := filled(t, n, 2)
	rapid.Check(t, func(r *rapid.T) {
		store := &tapped{store: mem, order: disturb(r, 8), page: rapid.IntRange(1, 70).Draw(r, "page")}
		sequence := rapid.Int64Range(0, n-1).Draw(r, "sequence")
		e, err := open[int](t, store).EntryAt(context.Background(), sequence)
		if err != nil || e.Sequence != sequence || e.Value != int(sequence) {
			r.Fatalf("entry %d is %v, %v", sequence, e, err)
		}
	})
	for sequence, want := range map[int64]error{
		-1: immukv.ErrInvalidOption, n: immukv.ErrNotFound, math.MaxInt64: immukv.ErrNotFound,
	} {
		if _, err := open[int](t, mem).EntryAt(t.Context(), sequence); !errors.Is(err, want) {
			t.Errorf("entry %d: error %v, want %v", sequence, err, want)
		}
	}
	if _, err := open[int](t, memstore.New()).EntryAt(t.Context(), 0); !errors.Is(err, immukv.ErrNotFound) {
		t.Errorf("entry of an empty log: %v", err)
	}
}

// The newest entry costs one request, and any other the listing down to it besides.
func TestRequestsOfEntryAt(t *testing.T) {
	t.Parallel()
	const n = 10_000
	store := counted(generate(t, n, 100, 20))
	db := open[string](t, store, immukv.WithReadOnly())
	for _, c := range []struct{ distance, pages, bodies int64 }{
		{0, 0, 0}, {1, 1, 1}, {999, 1, 1}, {1000, 1, 1}, {1001, 2, 2}, {5000, 5, 2}, {5001, 6, 2}, {n - 1, 10, 2},
	} {
		e, err := db.EntryAt(t.Context(), n-1-c.distance)
		if err != nil || e.Sequence != n-1-c.distance {
			t.Errorf("%d from the head: %v, %v", c.distance, e, err)
		}
		want := []string{"1 get _log.json"}
		if c.pages > 0 {
			want = append(want, fmt.Sprint(c.pages, " versions _log.json"), fmt.Sprint(c.bodies, " version _log.json"))
		}
		store.want(t, fmt.Sprint(c.distance, " from the head"), want...)
	}
}

// An entry that is not as it was written is returned with the error, and one that is
// gone is named.
func TestEntryAtOfTamperedLog(t *testing.T) {
	t.Parallel()
	const n, at = 40, 17
	for _, c := range []struct {
		name   string
		change func(v []memstore.Version) []memstore.Version
		want   error
	}{
		{"edited", func(v []memstore.Version) []memstore.Version {
			v[at].Body = replaced(v[at].Body, `"value":`, `"value":1`)
			return v
		}, immukv.ErrVerificationFailed},
		{"no entry", func(v []memstore.Version) []memstore.Version { v[at].Body = "{}"; return v }, immukv.ErrMalformedEntry},
		{"removed", func(v []memstore.Version) []memstore.Version { return append(v[:at:at], v[at+1:]...) }, immukv.ErrVerificationFailed},
		{"expired", func(v []memstore.Version) []memstore.Version { return v[at+3:] }, immukv.ErrNotFound},
	} {
		mem := edit(t, filled(t, n, 2), logObject, c.change)
		db := open[int](t, mem)
		e, err := db.EntryAt(t.Context(), at)
		if !errors.Is(err, c.want) || (c.name == "edited") != (e.Sequence == at) {
			t.Errorf("%s: %v, %v, want %v", c.name, e, err, c.want)
		}
		if e, err := db.EntryAt(t.Context(), at+5); err != nil || e.Sequence != at+5 {
			t.Errorf("%s: a newer entry is %v, %v", c.name, e, err)
		}
	}
}

// A store that does not answer fails the call, at whichever request.
func TestEntryAtFails(t *testing.T) {
	t.Parallel()
	mem := filled(t, 40, 2)
	for at := 1; ; at++ {
		requests := 0
		store := &tapped{store: mem, page: 10, before: func(context.Context, request) error {
			if requests++; requests == at {
				return backend.ErrUnavailable
			}
			return nil
		}}
		_, err := open[int](t, store).EntryAt(t.Context(), 5)
		if err == nil {
			break
		}
		if !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("request %d failed: %v", at, err)
		}
	}
}
