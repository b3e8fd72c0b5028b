package immukv

import (
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

// reorderWindow is how many places a version may be out of order in a listing. The order
// of a listing depends on the store's clocks, so it is a hint. A version that is further
// out of order is an error.
const reorderWindow = 8

// chainReader reads log versions by ID along the chain, newest first, and fetches bodies
// ahead in the order of the listing. Only the chain decides which version comes next. If
// versions are listed out of order, or not at all, reading takes longer.
type chainReader struct {
	core *core
	ctx  context.Context
	// listed reads versions in the order of the listing; nil if there is no listing.
	listed *readahead.Reader[logVersion]
	// skipped are versions that were listed, but that the chain has not reached.
	skipped []*fetchedLog
	// direct are versions that the chain reached before they were listed. They may still
	// be listed.
	direct map[backend.VersionID]bool
}

// readChain begins with the versions older than after, or with the newest. If limit is
// positive, at most limit versions are read ahead. onMarker may be nil.
func (c *core) readChain(ctx context.Context, after backend.VersionID, limit int, onMarker func(backend.Version)) *chainReader {
	reading := c.logReading()
	reading.After, reading.Limit, reading.OnMarker = after, limit, onMarker
	return &chainReader{core: c, ctx: ctx, listed: readahead.New(ctx, reading)}
}

func (r *chainReader) close() {
	if r.listed != nil {
		r.listed.Close()
	}
}

// take returns the log version with the given ID.
func (r *chainReader) take(id LogVersionID) (*fetchedLog, error) {
	want := backend.VersionID(id)
	for i, f := range r.skipped {
		if f.ID == want {
			r.skipped = append(r.skipped[:i:i], r.skipped[i+1:]...)
			return f, nil
		}
	}
	for len(r.skipped) < reorderWindow {
		f, err := r.nextListed()
		if err != nil {
			return nil, err
		}
		if f == nil {
			break
		}
		if f.ID == want {
			return f, nil
		}
		r.skipped = append(r.skipped, f)
	}
	if r.direct == nil {
		r.direct = make(map[backend.VersionID]bool)
	}
	r.direct[want] = true
	f := &fetchedLog{Version: backend.Version{ID: want}}
	f.Value, f.Err = r.core.fetchLogVersion(r.ctx, f.Version)
	return f, nil
}

// any returns the newest listed version that the chain has not reached, or nil.
func (r *chainReader) any() (*fetchedLog, error) {
	if len(r.skipped) > 0 {
		f := r.skipped[0]
		r.skipped = r.skipped[1:]
		return f, nil
	}
	return r.nextListed()
}

// nextListed returns the next version of the listing that take has not read directly.
func (r *chainReader) nextListed() (*fetchedLog, error) {
	if r.listed == nil {
		return nil, nil
	}
	for {
		f, err := r.listed.Next()
		if f == nil || err != nil || !r.direct[f.ID] {
			return f, err
		}
		delete(r.direct, f.ID)
	}
}

// chain yields entries along the chain, newest first, beginning with from: at most limit
// entries, unless limit is zero. An entry whose hash does not match is yielded with its
// error, and the chain continues. For a version that cannot be read, chain yields the
// error and continues with the version listed below it. Any other error ends the chain. A
// link that does not lead to an older entry ends it, too, because the chain might be a
// cycle.
func (c *core) chain(ctx context.Context, from *version, limit int) iter.Seq2[*version, error] {
	return func(yield func(*version, error) bool) {
		left := limit
		if limit == 0 {
			left = -1
		}
		oldest := from.among.oldest()
		if !yieldDown(from.among[:from.place+1], &left, yield) || oldest.before() == "" {
			return
		}
		r := &chainReader{core: c, ctx: ctx}
		if left != 1 { // a single one is read by its version ID, without a listing
			r = c.readChain(ctx, from.id, max(left, 0), nil)
		}
		defer r.close()
		c.follow(r, oldest, left, yield)
	}
}

// yieldDown yields entries of a version, newest first, each with an error if its hash
// does not match. It decrements left, and returns false if no more entries are wanted.
func yieldDown(l logVersion, left *int, yield func(*version, error) bool) bool {
	for i := len(l) - 1; i >= 0; i-- {
		if *left == 0 {
			return false
		}
		*left--
		if !yield(l[i], l[i].checkHash()) {
			return false
		}
	}
	return *left != 0
}

// follow yields the entries before newer, the oldest entry of its version, or all listed
// entries if newer is nil: at most left entries, unless left is negative.
func (c *core) follow(r *chainReader, newer *version, left int, yield func(*version, error) bool) {
	unread := newer == nil // the version before newer cannot be read: continue with the listing
	for left != 0 {
		var f *fetchedLog
		var err error
		switch {
		case unread:
			f, err = r.any()
		case newer.before() == "":
			return
		default:
			f, err = r.take(newer.before())
		}
		if err != nil {
			yield(nil, err)
			return
		}
		if f == nil {
			return
		}
		misled := newer != nil && f.Value != nil && f.Value.newest().Sequence >= newer.Sequence
		switch {
		case misled && unread:
			continue // listed out of order
		case misled:
			yield(nil, newer.wrong(fmt.Errorf("%w: its previous_version_id %q holds sequence %d, which is not older", ErrVerificationFailed, f.ID, f.Value.newest().Sequence)))
			return
		case !unread && errors.Is(f.Err, backend.ErrNotFound):
			f.Err = fmt.Errorf("read version %q, which sequence %d follows: %w", f.ID, newer.Sequence, f.Err)
		}
		if f.Value == nil {
			if left--; !yield(nil, f.Err) || !isEntryError(f.Err) {
				return
			}
			unread = true
			continue
		}
		if !yieldDown(f.Value, &left, yield) {
			return
		}
		newer, unread = f.Value.oldest(), false
	}
}

// log is [Client.Log].
func (c *core) log(ctx context.Context, q logQuery) iter.Seq2[*version, error] {
	return func(yield func(*version, error) bool) {
		switch {
		case q.before != "":
			c.logBefore(ctx, q, yield)
			return
		case q.oldestFirst:
			c.logUpwards(ctx, q, yield)
			return
		}
		head, err := c.newestVersion(ctx)
		switch {
		case head != nil:
			until(q, c.chain(ctx, head.newest(), q.within(head.newest())))(yield)
		case isEntryError(err):
			until(q, c.logListed(ctx, q.limit))(yield)
		case err != nil:
			yield(nil, err)
		}
	}
}

// within returns how many entries to read, beginning with newest; 0 means all.
func (q logQuery) within(newest *version) int {
	if q.from == 0 || newest.Sequence < q.from {
		return q.limit
	}
	if n := int(newest.Sequence-q.from) + 1; q.limit == 0 || n < q.limit {
		return n
	}
	return q.limit
}

// until ends a sequence that is newest first at the query's lower end.
func until(q logQuery, log iter.Seq2[*version, error]) iter.Seq2[*version, error] {
	return func(yield func(*version, error) bool) {
		for v, err := range log {
			if v != nil && v.Sequence < q.from || !yield(v, err) {
				return
			}
		}
	}
}

// logListed yields the entries in the order of the listing. It is for a log whose newest
// version cannot be read as an entry.
func (c *core) logListed(ctx context.Context, limit int) iter.Seq2[*version, error] {
	return func(yield func(*version, error) bool) {
		r := c.readChain(ctx, "", limit, nil)
		defer r.close()
		if limit == 0 {
			limit = -1
		}
		c.follow(r, nil, limit, yield)
	}
}

// logUpwards is the log, oldest first.
func (c *core) logUpwards(ctx context.Context, q logQuery, yield func(*version, error) bool) {
	head, err := c.newestVersion(ctx)
	if err != nil && !isEntryError(err) {
		yield(nil, err)
		return
	}
	var newest *version
	var bad []error // of versions newer than the newest readable entry, newest first
	switch {
	case head != nil:
		newest = head.newest()
	case err != nil:
		for newest, err = range c.logListed(ctx, 0) {
			if newest != nil {
				break
			}
			if !isEntryError(err) {
				yield(nil, err)
				return
			}
			bad = append(bad, err)
		}
	}
	if newest != nil && newest.Sequence >= q.from {
		for v, err := range c.ascending(ctx, linkBefore(q.from), newest) {
			if !yield(v, err) || v == nil && !isEntryError(err) {
				return
			}
			if q.limit--; q.limit == 0 {
				return
			}
		}
	}
	for _, err := range slices.Backward(bad) {
		if !yield(nil, err) {
			return
		}
		if q.limit--; q.limit == 0 {
			return
		}
	}
}

// logBefore yields the log before a version. The chain begins with that version, so that
// its link is checked like every other: a caller that reads page by page must not be led
// into a cycle, either.
func (c *core) logBefore(ctx context.Context, q logQuery, yield func(*version, error) bool) {
	l, err := c.logVersion(ctx, q.before)
	if err != nil {
		yield(nil, err)
		return
	}
	newer := l.oldest()
	switch {
	case newer.Sequence <= q.from:
		return
	case q.oldestFirst:
		c.logUpTo(ctx, newer, q, yield)
		return
	}
	limit := q.limit
	if limit > 0 && limit < math.MaxInt {
		limit++
	}
	q.limit = limit
	for v, err := range until(q, c.chain(ctx, newer, q.within(newer))) {
		if v != newer && !yield(v, err) {
			return
		}
	}
}

// logUpTo yields the log up to before an entry, oldest first.
func (c *core) logUpTo(ctx context.Context, newer *version, q logQuery, yield func(*version, error) bool) {
	n := 0
	for v, err := range c.ascending(ctx, linkBefore(q.from), newer) {
		if v != nil && v.Sequence >= newer.Sequence || !yield(v, err) {
			return
		}
		if n++; n == q.limit {
			return
		}
	}
}

// newestVersion returns the newest version of the log, or nil if the log is empty.
func (c *core) newestVersion(ctx context.Context) (logVersion, error) {
	if err := c.checkOpen(); err != nil {
		return nil, err
	}
	object := c.prefix + wire.LogName
	obj, err := c.store.Get(ctx, object)
	if errors.Is(err, backend.ErrNotFound) {
		listed, listErr := c.listLog(ctx)
		if listErr != nil || len(listed) == 0 {
			return nil, listErr
		}
		// The first entry may have been appended meanwhile.
		if obj, err = c.store.Get(ctx, object); errors.Is(err, backend.ErrNotFound) {
			return nil, c.logDeleted()
		}
	}
	if err != nil {
		return nil, err
	}
	return c.readLogVersion(obj.ID, obj.Body)
}
