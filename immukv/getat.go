package immukv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// moment selects an entry of a key: the newest one up to a sequence, or the newest of
// those that is not later than a time, if a time is given.
type moment struct {
	sequence int64
	asOf     *time.Time
}

func (m moment) has(v *version) bool {
	return v.Sequence <= m.sequence && (m.asOf == nil || v.TimestampMS <= m.asOf.UnixMilli())
}

// moment returns the moment that the options ask for, in a log that ends with head.
func (q getQuery) moment(head logVersion) (moment, error) {
	if q.atSequence != nil && q.asOf != nil {
		return moment{}, fmt.Errorf("%w: both AtSequence and AsOf are given", ErrInvalidOption)
	}
	if q.atSequence != nil && *q.atSequence < 0 {
		return moment{}, fmt.Errorf("%w: AtSequence(%d) is negative", ErrInvalidOption, *q.atSequence)
	}
	m := moment{sequence: math.MaxInt64, asOf: q.asOf}
	if head != nil {
		m.sequence = head.newest().Sequence
	}
	if q.atSequence != nil {
		m.sequence = min(m.sequence, *q.atSequence)
	}
	return m, nil
}

// getPast is [Client.Get] with [AtSequence] or [AsOf].
func (c *core) getPast(ctx context.Context, key string, q getQuery) (*version, error) {
	if err := checkKey(c.prefix, key); err != nil {
		return nil, err
	}
	head, err := c.checkedHead(ctx)
	if err != nil {
		return nil, err
	}
	m, err := q.moment(head)
	if err != nil {
		return nil, err
	}
	return c.getAt(ctx, key, head, m)
}

// getAt returns the entry of a key at a moment not after head. The head must have been
// read first: if it has no entry of the key, all entries of the key up to it are in the
// key object, because nothing is appended after an orphan.
func (c *core) getAt(ctx context.Context, key string, head logVersion, m moment) (*version, error) {
	if head == nil {
		return nil, fmt.Errorf("the log is empty: %w", ErrNotFound)
	}
	inHead := head.ofKey(key)
	if inHead != nil && m.has(inHead) {
		return inHead, nil
	}
	current, etag, err := c.readKey(ctx, key)
	switch {
	case err == nil && m.has(current):
		return current, nil
	case err != nil && !isEntryError(err):
		return nil, err
	}
	if m.asOf != nil {
		return c.walkBack(ctx, key, m)
	}
	above := indexed{place: -1, v: cmp.Or(inHead, head.newest())}
	if err == nil && current.Sequence < above.v.Sequence {
		above = indexed{place: -1, v: current, etag: etag}
	}
	return c.searchKey(ctx, key, above, m.sequence)
}

// walkBack reads the entries of a key from the newest back. An entry that cannot be
// trusted ends the walk with its error, because it may be the one asked for.
func (c *core) walkBack(ctx context.Context, key string, m moment) (*version, error) {
	object := wire.KeyObject(c.prefix, key)
	versions := c.keyVersions(ctx, object, 0)
	if c.namesUnlisted(object) {
		versions = c.orCurrent(ctx, object, versions)
	}
	for f, err := range versions {
		if err == nil {
			err = f.Err
		}
		switch {
		case err != nil && (f == nil || f.Value == nil):
			return nil, keyError(err)
		case f.Value.Sequence > m.sequence:
		case err != nil:
			return f.Value, err
		case f.Value.Key != key:
			return f.Value, f.Value.ofAnotherKey()
		case m.has(f.Value):
			return f.Value, nil
		}
	}
	return nil, fmt.Errorf("the key has no entry at that time or before: %w", ErrNotFound)
}

// searchKey returns the newest entry of a key up to a sequence that is less than that of
// from. It finds two versions that are neighbours in the listing. They are neighbours in
// the key's history, too, if the log says that the newer entry was appended when the
// older one was the current version. If not, the listing is out of order there, and
// searchKey reads all versions close by.
func (c *core) searchKey(ctx context.Context, key string, from indexed, sequence int64) (*version, error) {
	object := wire.KeyObject(c.prefix, key)
	x := c.indexVersions(object, "")
	above, below, err := x.find(ctx, sequence, from)
	if err != nil {
		return nil, keyError(err)
	}
	if v := below.v; v != nil && v.Sequence == sequence {
		return c.ofKey(v, key)
	}
	for again := false; ; again = true {
		upon, err := c.appendedUpon(ctx, key, above.v)
		known := upon != nil
		switch {
		case err != nil:
			return nil, err
		case known && !upon.exists, !known && again && below.v == nil:
			return nil, fmt.Errorf("the key has no entry up to sequence %d: %w", sequence, ErrNotFound)
		case known && below.v != nil && below.etag == upon.etag, !known && again:
			return c.ofKey(below.v, key)
		case again && c.namesUnlisted(object):
			return nil, fmt.Errorf("%s has older versions, which the server does not list; read the log instead", object)
		case again:
			return nil, fmt.Errorf("%w: the version of %s before sequence %d is gone; run an audit", ErrDiverged, object, above.v.Sequence)
		}
		if above, below, err = x.around(ctx, sequence, above, below); err != nil {
			return nil, keyError(err)
		}
	}
}

// ofKey checks a version of a key object before it is returned.
func (c *core) ofKey(v *version, key string) (*version, error) {
	if v.Key != key {
		return v, v.ofAnotherKey()
	}
	return v, v.checkHash()
}

// appendedUpon returns the tag that the key object had when an entry of the key was
// appended. Only the log has it. It returns nil if the log does not have a valid entry of
// the key at that place.
func (c *core) appendedUpon(ctx context.Context, key string, v *version) (*keyTag, error) {
	l, err := c.logVersion(ctx, v.log)
	if err != nil && !isEntryError(err) && !gone(err) {
		return nil, err
	}
	entry := l.ofKey(key)
	if entry == nil || entry.matched == 0 || entry.Sequence != v.Sequence {
		return nil, nil
	}
	tag := entry.expectedTag()
	return &tag, nil
}

// around reads all versions close to where find ended. The versions directly before and
// after the sequence may be there, because versions may be listed up to reorderWindow
// places out of order.
func (x *versionIndex) around(ctx context.Context, sequence int64, above, below indexed) (indexed, indexed, error) {
	from, to := max(above.place-2*reorderWindow, 0), below.place+2*reorderWindow
	if _, err := x.reach(ctx, to); err != nil {
		return above, below, err
	}
	for place := from; place <= min(to, x.ids.len()-1); place++ {
		p, err := x.read(ctx, place)
		switch {
		case p.v == nil && gone(err):
			return above, below, fmt.Errorf("a version of %s is gone: %w", x.object, errors.Join(backend.ErrDamaged, err))
		case p.v == nil:
			return above, below, err
		case p.v.Sequence > sequence && p.v.Sequence < above.v.Sequence:
			above = p
		case p.v.Sequence <= sequence && (below.v == nil || p.v.Sequence > below.v.Sequence):
			below = p
		}
	}
	return above, below, nil
}
