package immukv

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/immukv/immukv-go/backend"
)

// history is [Client.History]: the versions of the key object, and before them the
// newest entry of the log if it is one of the key that the object does not show.
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
		pending := c.pendingFor(key)
		if q.beforeKey != "" {
			pending = nil
		}
		h := keyHistory{key: key, pending: pending, limit: q.limit}
		seq := c.keyVersions(ctx, objectName(c.prefix, key), backend.VersionID(q.beforeKey), q.limit)
		if q.before != "" {
			before, err := c.logVersion(ctx, q.before)
			if err != nil {
				yield(nil, err)
				return
			}
			if before.key != key {
				yield(nil, fmt.Errorf("%w: log version %s holds an entry of key %q", ErrInvalidOption, q.before, before.key))
				return
			}
			if !before.hasPreviousKeyETag {
				return // the key's first entry
			}
			h.pending = nil
			seq = c.keyVersionsFrom(ctx, before, q.limit)
		}
		h.yieldAll(seq, yield)
	}
}

// keyHistory filters what a key object holds to what its history is.
type keyHistory struct {
	key     string
	pending *version
	limit   int
	yielded int
}

func (h *keyHistory) yieldAll(seq iter.Seq2[*listedVersion, error], yield func(*version, error) bool) {
	put := func(v *version, err error) bool {
		h.yielded++
		return yield(v, err) && h.yielded != h.limit
	}
	for l, err := range seq {
		if err == nil && l.err != nil && !isEntryError(l.err) {
			err = l.err
		}
		if err != nil {
			yield(nil, err)
			return
		}
		v, err := l.v, l.err
		if v != nil && v.key != h.key {
			err = v.wrong(fmt.Errorf("%w: the key object holds an entry of key %q", ErrVerificationFailed, v.key))
		}
		if h.pending != nil {
			pending := h.pending
			h.pending = nil
			if (v == nil || v.sequence < pending.sequence) && !put(pending, nil) {
				return
			}
		}
		if !put(v, err) {
			return
		}
	}
	if h.pending != nil {
		put(h.pending, nil)
	}
}

// listedVersion is a version of a key object as it came from the store.
type listedVersion = fetched

// keyVersions yields the versions of a key object, newest first by their sequence,
// delete markers left out; a version that could not be read or trusted has its err
// set and stands where it was listed. The listing's order is a hint: versions are held back until those listed
// up to reorderWindow places later are known, and one still further out of place is
// an error. The error that is yielded beside a nil version ends the sequence.
func (c *core) keyVersions(ctx context.Context, object string, after backend.VersionID, limit int) iter.Seq2[*listedVersion, error] {
	return func(yield func(*listedVersion, error) bool) {
		if limit > 0 {
			limit += reorderWindow
		}
		a := c.readAhead(ctx, object, after, limit)
		defer a.close()
		sortVersions(a.next, object)(yield)
	}
}

// keyVersionsFrom yields those that are older than a log version's entry, beginning
// with the one whose tag that entry recorded.
func (c *core) keyVersionsFrom(ctx context.Context, before *version, limit int) iter.Seq2[*listedVersion, error] {
	return func(yield func(*listedVersion, error) bool) {
		object := objectName(c.prefix, before.key)
		if limit > 0 {
			limit += 2 * reorderWindow
		}
		a := c.readAhead(ctx, object, "", limit)
		defer a.close()
		if err := a.seek(before.previousKeyETag, reorderWindow); err != nil {
			yield(nil, err)
			return
		}
		older := func() (*fetched, error) {
			for {
				f, err := a.next()
				if f == nil || err != nil || f.v == nil || f.v.sequence < before.sequence {
					return f, err
				}
			}
		}
		sortVersions(older, object)(yield)
	}
}

// seek passes over what is listed before the version with the tag, but for a few
// places before it.
func (a *ahead) seek(etag backend.ETag, keep int) error {
	a.listing.Limit = 0
	var seen []backend.Version
	for {
		for len(a.listed) == 0 {
			if !a.list() {
				if a.failed != nil {
					return a.failed
				}
				return &DivergedError{Object: a.object, Sequence: -1, Problem: fmt.Sprintf("it has no version with the tag %s, which the log recorded", etag)}
			}
		}
		if i := slices.IndexFunc(a.listed, func(v backend.Version) bool { return v.ETag == etag }); i >= 0 {
			from := max(0, len(seen)+i-keep)
			a.listed = append(seen, a.listed...)[from:]
			return nil
		}
		seen = append(seen, a.listed...)
		seen = slices.Clone(seen[max(0, len(seen)-keep):])
		a.listed = nil
	}
}

// sortVersions puts versions that come nearly newest first into that order.
func sortVersions(next func() (*listedVersion, error), object string) iter.Seq2[*listedVersion, error] {
	return func(yield func(*listedVersion, error) bool) {
		var held []*listedVersion
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
			if f.err == nil {
				if f.v.sequence > last {
					yield(nil, outOfOrder(object, f))
					return
				}
				last = f.v.sequence
			}
			if !yield(f, nil) {
				return
			}
		}
	}
}

// newest is the index of the version to come next: the first one listed if it is
// not to be trusted, else the one of the highest sequence.
func newest(held []*listedVersion) int {
	if held[0].err != nil {
		return 0
	}
	best := 0
	for i, f := range held {
		if f.err == nil && f.v.sequence > held[best].v.sequence {
			best = i
		}
	}
	return best
}

func outOfOrder(object string, f *listedVersion) error {
	return &backend.UnsupportedError{
		Clause:  "S10",
		Problem: fmt.Sprintf("the versions of %s are not listed newest first: %s (sequence %d) is more than %d places late", object, f.ID, f.v.sequence, reorderWindow),
		Remedy:  "read the log instead, whose order does not rest on listings",
	}
}
