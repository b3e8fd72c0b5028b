package immukv

import (
	"context"
	"errors"
	"fmt"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// proposal is a log version to be appended, its entries oldest first, and the head that
// it follows. It may be sent several times, always the same bytes under the same
// condition: at most one of these writes can ever take effect.
type proposal struct {
	at   *head
	docs []*wire.Document
	body []byte
	cond backend.Condition
}

// first is the entry that lookup searches the log for: the log has either all of the
// proposal's entries or none.
func (p *proposal) first() *wire.Document { return p.docs[0] }

// errLost means that another entry has the place of an append, so the append never takes
// effect.
var errLost = errors.New("another writer's entry came first")

// maxUnanswered is how many times in a row a request is repeated when no answer came, or
// when the store was not ready for it.
const maxUnanswered = 8

// append writes the log version and returns it with the version ID that it has there. The
// version is the client's new head unless others have appended since. The error is
// errLost or an [*OutcomeUnknownError]. Any other error means that the entries are not in
// the log and never will be.
func (c *core) append(ctx context.Context, p *proposal, wait *backoff) (logVersion, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v, err := c.store.Put(ctx, c.prefix+wire.LogName, p.body, p.cond)
	if err == nil {
		return c.committed(p, v), nil
	}
	if neverSent(err) {
		return nil, err
	}
	return c.settleAppend(ctx, p, err, false, wait)
}

// permanent reports whether the error of a Put recurs when the request is repeated.
func permanent(err error) bool {
	return neverSent(err) || errors.Is(err, backend.ErrAccessDenied) || errors.Is(err, backend.ErrUnsupported)
}

// neverSent reports whether the error of a Put proves that it had no effect. Denied
// access does not prove it: another copy of the request may have been allowed. Nor does
// the error of a store that cannot name a version: it may have written it.
func neverSent(err error) bool {
	return errors.Is(err, backend.ErrInvalidName) || errors.Is(err, backend.ErrTooLarge) ||
		errors.Is(err, backend.ErrNoCondition) || errors.Is(err, backend.ErrDamaged)
}

// settleAppend finds out the outcome of an append that was sent and failed for the given
// reason.
//
// No failure is proof, not even a failed precondition: a proxy may have repeated the
// request, and one copy may have made the other fail. Only the log says whether the
// entry is in it.
//
// pending means that a copy may still be under way. It can take effect as long as the log
// has the head that the append follows.
func (c *core) settleAppend(ctx context.Context, p *proposal, reason error, pending bool, wait *backoff) (l logVersion, err error) {
	defer func() {
		if pending {
			c.settled(ctx, p, err)
		}
	}()
	for try := 1; ; try++ {
		pending = pending || mayStillApply(reason)
		if errors.Is(reason, backend.ErrUnsupported) {
			// The entry may be in the log, but nothing read from such a store proves it.
			return nil, p.unknown(reason)
		}
		if err := wait.wait(ctx, reason); err != nil {
			return nil, p.unknown(fmt.Errorf("%w, after: %w", err, reason))
		}
		l, open, err := c.lookup(ctx, p)
		switch {
		case err == nil && !open && l != nil:
			return l, nil
		case err == nil && !open:
			return nil, errLost
		case err == nil && !pending && permanent(reason):
			return nil, reason
		case err != nil && (!retryable(err) || try >= maxUnanswered):
			return nil, p.unknown(fmt.Errorf("%w, after: %w", err, reason))
		case err != nil:
			continue
		case try >= maxUnanswered && pending:
			return nil, p.unknown(reason)
		case try >= maxUnanswered && errors.Is(reason, backend.ErrPreconditionFailed):
			return nil, fmt.Errorf("%w: %w", ErrConflict, reason)
		case try >= maxUnanswered:
			return nil, reason
		}
		c.logger.DebugContext(ctx, "retrying an append", "key", p.first().Key, "sequence", p.first().Sequence, "reason", reason)
		put, err := c.store.Put(ctx, c.prefix+wire.LogName, p.body, p.cond)
		if err == nil {
			return c.committed(p, put), nil
		}
		reason = err
	}
}

// mayStillApply reports whether the write behind err can still take effect.
func mayStillApply(err error) bool {
	return !permanent(err) && !errors.Is(err, backend.ErrPreconditionFailed) && !errors.Is(err, backend.ErrUnavailable)
}

// retryable reports whether a read that failed with err may succeed in a moment.
func retryable(err error) bool {
	return !isEntryError(err) && !errors.Is(err, backend.ErrAccessDenied) && !errors.Is(err, ErrLogDeleted) &&
		!errors.Is(err, backend.ErrDamaged) && !errors.Is(err, backend.ErrNotFound)
}

// lookup searches the log for an append. If its place is open, the append may still take
// effect. If the place has a version, lookup returns that version if it is the append's,
// and nil if not.
func (c *core) lookup(ctx context.Context, p *proposal) (l logVersion, open bool, err error) {
	fresh, err := c.readHead(ctx)
	if err != nil {
		return nil, false, err
	}
	if err := c.checkExtends(p.at, fresh); err != nil {
		return nil, false, err
	}
	if fresh.empty() {
		// Repeating the first append would begin a log: check that there was none.
		if fresh, err = c.checkEmpty(ctx, fresh); err != nil || fresh.empty() {
			return nil, err == nil, err
		}
	}
	if fresh.Sequence < p.first().Sequence {
		return nil, true, nil
	}
	there, err := c.versionAt(ctx, fresh.version, p.first().Sequence)
	if err != nil {
		return nil, false, err
	}
	// The entries of other clients, which a copy writes, have no write ID.
	if there.WriteID != p.first().WriteID || there.Hash != p.first().Hash {
		return nil, false, nil
	}
	return there.among, false, nil
}

// versionAt returns the entry of a sequence number. It follows the chain from an entry
// that is not older.
func (c *core) versionAt(ctx context.Context, from *version, sequence int64) (*version, error) {
	if from.Sequence == sequence {
		return from, nil
	}
	for v, err := range c.chain(ctx, from, int(from.Sequence-sequence)+1) {
		if err != nil {
			return nil, err
		}
		if v.Sequence == sequence {
			return v, nil
		}
		if v.Sequence < sequence {
			break
		}
	}
	return nil, fmt.Errorf("the log has no entry with sequence %d: %w", sequence, backend.ErrDamaged)
}

// committed records an acknowledged append as the new head. Its entries are orphans until
// they are applied.
func (c *core) committed(p *proposal, put backend.Version) logVersion {
	l := c.newLogVersion(put.ID, p.docs)
	c.setHead(newHead(l, put.ETag, orphan))
	return l
}

// unknown is the error of a proposal that may be in the log or not.
func (p *proposal) unknown(reason error) *OutcomeUnknownError {
	return p.unknownAt(0, len(p.docs), reason)
}

// unknownAt is that error for n of the entries, beginning at a place.
func (p *proposal) unknownAt(place, n int, reason error) *OutcomeUnknownError {
	_, _, _, follows := p.at.next()
	d := p.docs[place]
	return &OutcomeUnknownError{
		Key: d.Key, WriteID: d.WriteID, Sequence: d.Sequence, Follows: follows,
		Err: reason, append: p, place: place, entries: n,
	}
}

// settle is [Client.Settle].
func (c *core) settle(ctx context.Context, unknown *OutcomeUnknownError) (logVersion, error) {
	if unknown == nil || unknown.append == nil {
		return nil, fmt.Errorf("%w: the error was not returned by a write of this process", ErrInvalidOption)
	}
	if c.readOnly {
		return nil, ErrReadOnly
	}
	if err := c.lockWrites(ctx); err != nil {
		return nil, err
	}
	defer c.writes.unlock()
	p := unknown.append
	l, open, err := c.lookup(ctx, p)
	switch {
	case err != nil:
		return nil, p.unknown(err)
	case open:
		// The copies sent so far may still take effect.
		l, err = c.settleAppend(ctx, p, unknown.Err, true, c.newBackoff())
	default:
		if l == nil {
			err = errLost
		}
		c.settled(ctx, p, err)
	}
	switch {
	case errors.Is(err, errLost):
		return nil, fmt.Errorf("write %s of %q: %w: %w", p.first().WriteID, p.first().Key, ErrConflict, errLost)
	case err != nil:
		return nil, err
	}
	c.applyAppended(ctx, l, nil)
	return l, nil
}
