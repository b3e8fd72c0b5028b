package immukv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/readahead"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// history is [Client.History]: the versions of the key object, and before them the
// newest entry of the log if it is an orphan of the key.
func (c *core) history(ctx context.Context, key string, q historyQuery) iter.Seq2[*version, error] {
	return func(yield func(*version, error) bool) {
		if err := c.startRead(ctx, key); err != nil {
			yield(nil, err)
			return
		}
		if q.before != "" && q.beforeKey != "" {
			yield(nil, fmt.Errorf("%w: both Before and BeforeKeyVersion are given", ErrInvalidOption))
			return
		}
		h := keyHistory{key: key, limit: q.limit}
		object := wire.KeyObject(c.prefix, key)
		if q.before == "" && q.beforeKey == "" {
			h.orphan = c.orphanOf(key)
			versions := c.keyVersions(ctx, object, q.limit)
			if c.namesUnlisted(object) {
				versions = c.orCurrent(ctx, object, versions)
			}
			h.yieldAll(versions, yield)
			return
		}
		at, err := c.historyStart(ctx, key, q)
		if err != nil {
			yield(nil, keyError(err))
			return
		}
		if at != nil {
			h.yieldAll(c.keyVersionsBefore(ctx, object, at, q.limit), yield)
		}
	}
}

// startingPoint is where a history begins: with the entries older than sequence. In the
// listing, they begin near the version that at recognises.
type startingPoint struct {
	sequence int64
	at       func(backend.Version) bool
}

// historyStart returns the starting point of the query, or nil if nothing is older.
func (c *core) historyStart(ctx context.Context, key string, q historyQuery) (*startingPoint, error) {
	if q.beforeKey != "" {
		object, id := wire.KeyObject(c.prefix, key), backend.VersionID(q.beforeKey)
		obj, err := c.store.GetVersion(ctx, object, id)
		if err != nil {
			return nil, err
		}
		before, err := c.readKeyVersion(ctx, object, obj.ID, obj.Body)
		if err != nil {
			return nil, err
		}
		return &startingPoint{before.Sequence, func(v backend.Version) bool { return v.ID == id }}, nil
	}
	l, err := c.logVersion(ctx, q.before)
	if err != nil {
		return nil, err
	}
	before := l.ofKey(key)
	if before == nil {
		return nil, fmt.Errorf("%w: log version %s holds an entry of key %q", ErrInvalidOption, q.before, l.newest().Key)
	}
	if err := before.checkHash(); err != nil {
		return nil, err
	}
	if !before.HasPreviousKeyETag {
		return nil, nil // the key's first entry
	}
	return &startingPoint{before.Sequence, func(v backend.Version) bool { return v.ETag == before.PreviousKeyETag }}, nil
}

// keyHistory turns the versions of a key object into the history of the key.
type keyHistory struct {
	key     string
	orphan  *version
	limit   int
	yielded int
}

func (h *keyHistory) yieldAll(seq iter.Seq2[*fetched, error], yield func(*version, error) bool) {
	put := func(v *version, err error) bool {
		h.yielded++
		return yield(v, err) && h.yielded != h.limit
	}
	for l, err := range seq {
		if err == nil && l.Err != nil && !isEntryError(l.Err) {
			err = l.Err
		}
		if err != nil {
			yield(nil, keyError(err))
			return
		}
		v, err := l.Value, l.Err
		if v != nil && v.Key != h.key {
			err = v.wrong(fmt.Errorf("%w: the key object holds an entry of key %q", ErrVerificationFailed, v.Key))
		}
		if h.orphan != nil {
			orphan := h.orphan
			h.orphan = nil
			if (err != nil || v.Sequence < orphan.Sequence) && !put(orphan, nil) {
				return
			}
		}
		if !put(v, err) {
			return
		}
	}
	if h.orphan != nil {
		put(h.orphan, nil)
	}
}

// keyVersions yields the versions of a key object, newest first by their sequence,
// without delete markers. A version that cannot be read or trusted has its Err set, and
// is yielded where it was listed. The order of the listing is a hint: each version is
// held back until reorderWindow more have been read. A version that is listed still later
// is an error. An error that is yielded with a nil version ends the sequence.
func (c *core) keyVersions(ctx context.Context, object string, limit int) iter.Seq2[*fetched, error] {
	return func(yield func(*fetched, error) bool) {
		if limit > 0 {
			limit += reorderWindow
		}
		a := readahead.New(ctx, c.keyReading(object, limit))
		defer a.Close()
		sortVersions(a.Next, object)(yield)
	}
}

// orCurrent yields listed versions. If the server does not list the versions of the
// object, it yields the current one, and an error if there are older ones.
func (c *core) orCurrent(ctx context.Context, object string, listed iter.Seq2[*fetched, error]) iter.Seq2[*fetched, error] {
	return func(yield func(*fetched, error) bool) {
		any := false
		for f, err := range listed {
			any = true
			if !yield(f, err) {
				return
			}
		}
		if any {
			return
		}
		obj, err := c.store.Get(ctx, object)
		switch {
		case errors.Is(err, backend.ErrNotFound):
			return
		case err != nil:
			yield(nil, err)
			return
		}
		f := &fetched{Version: obj.Version}
		if f.Value, f.Err = c.readKeyVersion(ctx, object, obj.ID, obj.Body); !yield(f, nil) || f.Value == nil {
			return
		}
		l, err := c.logVersion(ctx, f.Value.log)
		if err == nil && cmp.Or(l.ofKey(f.Value.Key), l.newest()).HasPreviousKeyETag {
			err = fmt.Errorf("%s has older versions, which the server does not list; read the log instead", object)
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// keyVersionsBefore yields the versions that are older than a starting point. The version
// of the starting point may be out of order by one window, and its neighbours by another
// in the opposite direction, so reading begins two windows before it. Of the versions
// read, two windows before it, one after it, and the version itself may be newer than the
// starting point. One more window is held back.
func (c *core) keyVersionsBefore(ctx context.Context, object string, start *startingPoint, limit int) iter.Seq2[*fetched, error] {
	return func(yield func(*fetched, error) bool) {
		if limit > 0 {
			limit += 4*reorderWindow + 1
		}
		a := readahead.New(ctx, c.keyReading(object, limit))
		defer a.Close()
		found, err := a.Seek(start.at, 2*reorderWindow)
		if err == nil && !found {
			err = fmt.Errorf("%w: the version of %s to begin at is gone; run an audit", ErrDiverged, object)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		sortVersions(start.older(a.Next), object)(yield)
	}
}

// older skips the versions that are not older than the starting point. For a version that
// cannot be trusted, the order of the listing decides.
func (s *startingPoint) older(next func() (*fetched, error)) func() (*fetched, error) {
	reached := false
	return func() (*fetched, error) {
		for {
			f, err := next()
			if f == nil || err != nil {
				return nil, err
			}
			reached = reached || s.at(f.Version)
			switch {
			case f.Err == nil && f.Value.Sequence < s.sequence,
				f.Err != nil && (reached || !isEntryError(f.Err)):
				return f, nil
			}
		}
	}
}

// sortVersions sorts versions that are listed almost newest first.
func sortVersions(next func() (*fetched, error), object string) iter.Seq2[*fetched, error] {
	return func(yield func(*fetched, error) bool) {
		var held []*fetched
		last := int64(math.MaxInt64)
		for more := true; ; {
			for more && len(held) <= reorderWindow {
				f, err := next()
				if err != nil {
					yield(nil, err)
					return
				}
				if more = f != nil; more {
					held = append(held, f)
				}
			}
			if len(held) == 0 {
				return
			}
			i := newest(held)
			f := held[i]
			held = slices.Delete(held, i, i+1)
			if f.Err == nil {
				if f.Value.Sequence > last {
					yield(nil, outOfOrder(object, f))
					return
				}
				last = f.Value.Sequence
			}
			if !yield(f, nil) {
				return
			}
		}
	}
}

// newest returns the index of the version to yield next: the one listed first if it
// cannot be trusted, or else the one with the highest sequence.
func newest(held []*fetched) int {
	if held[0].Err != nil {
		return 0
	}
	best := 0
	for i, f := range held {
		if f.Err == nil && f.Value.Sequence > held[best].Value.Sequence {
			best = i
		}
	}
	return best
}

func outOfOrder(object string, f *fetched) error {
	return &backend.UnsupportedError{
		Clause:  "S10",
		Problem: fmt.Sprintf("the versions of %s are not listed newest first: %s (sequence %d) is listed more than %d places too late", object, f.ID, f.Value.Sequence, reorderWindow),
		Remedy:  "read the log instead: its order does not depend on listings",
	}
}
