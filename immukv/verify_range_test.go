package immukv_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// What a hash chain cannot prove by itself takes a trusted earlier head: that no tail was
// cut off, and that not everything was rewritten from some point on.
func TestTrustedHead(t *testing.T) {
	t.Parallel()
	mem := memstore.New()
	db := open[int](t, mem)
	var heads []immukv.Checkpoint
	var states []memstore.State
	for i := range logLength {
		heads = append(heads, set(t, db, fmt.Sprint("k", i%3), i).Checkpoint())
		states = append(states, mem.Dump())
	}
	rewritten := func(from int) *memstore.Store {
		forger := load(t, states[from-1])
		db := open[int](t, forger)
		for i := from; i < logLength+2; i++ {
			set(t, db, fmt.Sprint("k", i%3), i+100)
		}
		return forger
	}
	for _, withKeys := range []bool{false, true} {
		// Without a trusted head, neither is found.
		for name, store := range map[string]*memstore.Store{"cut off": load(t, states[spot]), "rewritten": rewritten(spot)} {
			if r := verified(t, store, withKeys); !r.Valid() || !r.Complete {
				t.Errorf("%s: found without a trusted head: %v", name, r.Findings)
			}
		}
		for i, head := range heads {
			trusted := immukv.TrustedHead(head)
			if r := verified(t, mem, withKeys, trusted); !r.Valid() || !r.Complete {
				t.Errorf("head %d: %v", i, r.Findings)
			}
			if r := verified(t, mem, withKeys, trusted, immukv.Limit(2)); !r.Valid() || r.Entries != int64(max(2, logLength-i)) {
				t.Errorf("head %d with a limit: %d entries, %v", i, r.Entries, r.Findings)
			}
			if r := verified(t, load(t, states[spot]), withKeys, trusted); r.Valid() != (i <= spot) || i > spot && !found(r, immukv.NotExtended, logObject, head.Sequence) {
				t.Errorf("head %d, tail cut off: %v", i, r.Findings)
			}
			if r := verified(t, rewritten(spot), withKeys, trusted); r.Valid() != (i < spot) || i >= spot && !found(r, immukv.NotExtended, logObject, head.Sequence) {
				t.Errorf("head %d, rewritten: %v", i, r.Findings)
			}
		}
		removed := edit(t, mem, logObject, func(v []memstore.Version) []memstore.Version { return slices.Delete(v, spot, spot+1) })
		if r := verified(t, removed, withKeys, immukv.TrustedHead(heads[spot])); !found(r, immukv.NotExtended, logObject, spot) {
			t.Errorf("the trusted entry removed: %v", r.Findings)
		}
		if r := verified(t, memstore.New(), withKeys, immukv.TrustedHead(heads[0])); !found(r, immukv.NotExtended, logObject, 0) {
			t.Errorf("nothing left: %v", r.Findings)
		}
	}
}

// A log whose beginning has expired is verified from a trusted start.
func TestTrustedStart(t *testing.T) {
	t.Parallel()
	honest := filled(t, logLength, 3)
	entries := all(t, open[int](t, honest).Log(t.Context()))
	slices.Reverse(entries)
	for from := 1; from < logLength; from++ {
		expired := edit(t, honest, logObject, func(v []memstore.Version) []memstore.Version { return v[from:] })
		start := entries[from-1].Checkpoint()
		for _, withKeys := range []bool{false, true} {
			if r := verified(t, expired, withKeys); r.Complete || !found(r, immukv.MissingBeginning, logObject, int64(from-1)) {
				t.Errorf("from %d, no trusted start: %v", from, r.Findings)
			}
			r := verified(t, expired, withKeys, immukv.TrustedStart(start))
			if !r.Valid() || !r.Complete || r.FirstSequence != int64(from) || r.LastSequence != logLength-1 || r.Entries != int64(logLength-from) {
				t.Errorf("from %d: %+v", from, r)
			}
			r = verified(t, honest, withKeys, immukv.TrustedStart(start), immukv.TrustedHead(entries[logLength-1].Checkpoint()))
			if !r.Valid() || !r.Complete {
				t.Errorf("from %d, nothing expired: %+v", from, r)
			}
			wrong := start
			wrong.Hash = entries[logLength-1].Hash
			if r := verified(t, expired, withKeys, immukv.TrustedStart(wrong)); !found(r, immukv.NotExtended, logObject, int64(from)) {
				t.Errorf("from %d, wrong start: %v", from, r.Findings)
			}
		}
	}
	last := entries[logLength-1]
	if r := verified(t, honest, true, immukv.TrustedStart(last.Checkpoint())); !r.Valid() || !r.Complete || r.Entries != 1 {
		t.Errorf("nothing came since the trusted start: %+v", r)
	}
	if r := verified(t, honest, false, immukv.TrustedStart(immukv.Checkpoint{Sequence: last.Sequence, Hash: entries[0].Hash})); !found(r, immukv.NotExtended, logObject, last.Sequence) {
		t.Errorf("another entry at the trusted start: %v", r.Findings)
	}
	if r := verified(t, honest, false, immukv.TrustedStart(immukv.Checkpoint{Sequence: 99, Hash: last.Hash})); !found(r, immukv.NotExtended, logObject, 99) {
		t.Errorf("the log does not reach the trusted start: %v", r.Findings)
	}
	// Only what follows the start is read.
	store := counted(honest)
	if _, err := open[int](t, store, immukv.WithConcurrency(1)).VerifyLog(t.Context(), immukv.TrustedStart(entries[9].Checkpoint())); err != nil {
		t.Fatal(err)
	}
	if n := len(store.take()); n > 4 {
		t.Errorf("verifying two entries took %d requests", n)
	}
}

// An inserted version is reported within the range that was verified, though the
// range does not reach the beginning.
func TestInsertedWithinRange(t *testing.T) {
	t.Parallel()
	honest := filled(t, logLength, 3)
	entries := all(t, open[int](t, honest).Log(t.Context()))
	mem := edit(t, honest, logObject, func(v []memstore.Version) []memstore.Version {
		c := v[9]
		c.ID = "copy"
		return slices.Insert(v, 9, c)
	})
	for name, opt := range map[string]immukv.VerifyOption{"limit": immukv.Limit(6), "trusted start": immukv.TrustedStart(entries[logLength-1-5].Checkpoint())} {
		if r := verified(t, mem, false, opt); !found(r, immukv.UnexpectedVersion, logObject, 9) {
			t.Errorf("%s: %v", name, r.Findings)
		}
	}
}

// A log checked only as far as a limit says so, and finds what lies within.
func TestVerifyLimit(t *testing.T) {
	t.Parallel()
	honest := filled(t, logLength, 3)
	changed := edit(t, honest, logObject, func(v []memstore.Version) []memstore.Version {
		v[spot].Body = replaced(v[spot].Body, `"value":7`, `"value":8`)
		return v
	})
	for limit := 1; limit <= logLength+1; limit++ {
		for _, withKeys := range []bool{false, true} {
			r := verified(t, honest, withKeys, immukv.Limit(limit))
			if !r.Valid() || r.Complete != (limit >= logLength) || r.Entries != int64(min(limit, logLength)) ||
				r.FirstSequence != int64(max(logLength-limit, 0)) || r.LastSequence != logLength-1 {
				t.Errorf("limit %d: %+v", limit, r)
			}
		}
		if r := verified(t, changed, false, immukv.Limit(limit)); r.Valid() != (limit < logLength-spot) {
			t.Errorf("limit %d: %v", limit, r.Findings)
		}
	}
}

// The head of an empty log, kept as any other, is one that every log extends.
func TestTrustedHeadOfEmptyLog(t *testing.T) {
	t.Parallel()
	mem := memstore.New()
	empty := verified(t, mem, true).Head()
	for n := range 3 {
		for name, opt := range map[string]immukv.VerifyOption{"head": immukv.TrustedHead(empty), "start": immukv.TrustedStart(empty)} {
			if r := verified(t, mem, true, opt); !r.Valid() || !r.Complete || r.Entries != int64(n) {
				t.Errorf("%s, %d entries: %+v", name, n, r)
			}
		}
		set(t, open[int](t, mem), "k", n)
	}
	bad := verified(t, mem, true, immukv.TrustedHead(immukv.Checkpoint{Sequence: -1, Hash: "sha256:x"}))
	if bad.Valid() {
		t.Error("a head that no log has is extended")
	}
}
