package immukv

import (
	"context"
	"errors"
	"fmt"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// phase1 is an append: the log version to be written, and the head that it is to
// follow. It is sent as often as need be, always the same bytes under the same
// condition, of which at most one can ever apply.
type phase1 struct {
	at   *head
	doc  *wire.Document
	body []byte
	cond backend.Condition
}

// errLost says that another entry stands where an append was to go, so that the
// append will never apply.
var errLost = errors.New("another writer's entry came first")

// maxUnanswered is how many times in a row a request is repeated for want of an
// answer, or of a store that is ready for it.
const maxUnanswered = 8

// append performs phase 1 and returns the version that the entry has in the log.
// It is the client's new head unless others have appended since. An error is
// errLost; or an [*OutcomeUnknownError]; or anything else, and then the entry is
// not in the log and will never be.
func (c *core) append(ctx context.Context, p *phase1, wait *backoff) (*version, error) {
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

// refused tells whether an error of Put means that trying again is of no use.
func refused(err error) bool {
	return neverSent(err) || errors.Is(err, backend.ErrAccessDenied) || errors.Is(err, backend.ErrUnsupported)
}

// neverSent tells whether an error of Put proves that it had no effect. That of a
// denied or untrustworthy store does not: a copy of the request may have fared
// better, and a store that cannot name a version may have written it.
func neverSent(err error) bool {
	return errors.Is(err, backend.ErrInvalidName) || errors.Is(err, backend.ErrTooLarge) ||
		errors.Is(err, backend.ErrNoCondition) || errors.Is(err, backend.ErrDamaged)
}

// settleAppend goes on from an append that was sent and not acknowledged, for the
// reason given, until it is known what became of it.
//
// No failure is taken at its word, not even a failed precondition: a copy of the
// same request, repeated on its way by a proxy, may have applied and made this one
// fail. The log alone says whether the entry is in it.
//
// Once pending, some copy may still be under way, and apply as long as the log's
// head is the one it is to follow.
func (c *core) settleAppend(ctx context.Context, p *phase1, reason error, pending bool, wait *backoff) (*version, error) {
	for try := 1; ; try++ {
		pending = pending || unanswered(reason)
		if errors.Is(reason, backend.ErrUnsupported) {
			// The entry may well be there, but nothing that is read from such
			// a store proves it.
			return nil, p.unknown(reason)
		}
		if err := wait.wait(ctx, reason); err != nil {
			return nil, p.unknown(fmt.Errorf("%w, after: %w", err, reason))
		}
		v, open, err := c.look(ctx, p)
		switch {
		case err == nil && !open && v != nil:
			return v, nil
		case err == nil && !open:
			return nil, errLost
		case err == nil && !pending && refused(reason):
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
		c.logger.DebugContext(ctx, "sending an append again", "key", p.doc.Key, "sequence", p.doc.Sequence, "reason", reason)
		put, err := c.store.Put(ctx, c.prefix+wire.LogName, p.body, p.cond)
		if err == nil {
			return c.committed(p, put), nil
		}
		reason = err
	}
}

// unanswered tells whether, after this error of Put, the write may still apply.
func unanswered(err error) bool {
	return !refused(err) && !errors.Is(err, backend.ErrPreconditionFailed) && !errors.Is(err, backend.ErrUnavailable)
}

// retryable tells whether a read that failed so may succeed in a moment.
func retryable(err error) bool {
	return !isEntryError(err) && !errors.Is(err, backend.ErrAccessDenied) && !errors.Is(err, ErrLogDeleted) &&
		!errors.Is(err, backend.ErrDamaged) && !errors.Is(err, backend.ErrNotFound)
}

// look asks the log what became of an append. Either its place is still open, and
// it may apply; or an entry stands there, which is returned if it is the append's.
func (c *core) look(ctx context.Context, p *phase1) (v *version, open bool, err error) {
	fresh, err := c.readHead(ctx)
	if err != nil {
		return nil, false, err
	}
	if err := c.checkExtends(p.at, fresh); err != nil {
		return nil, false, err
	}
	if fresh.empty() {
		// Sending the first entry again is to begin a log, as it was at first.
		if fresh, err = c.checkEmpty(ctx, fresh); err != nil || fresh.empty() {
			return nil, err == nil, err
		}
	}
	if fresh.Sequence < p.doc.Sequence {
		return nil, true, nil
	}
	there, err := c.versionAt(ctx, fresh.version, p.doc.Sequence)
	if err != nil {
		return nil, false, err
	}
	if there.WriteID != p.doc.WriteID {
		return nil, false, nil
	}
	return there, false, nil
}

// versionAt is the log version of a sequence number, found by following the chain
// from one that is not older.
func (c *core) versionAt(ctx context.Context, from *version, sequence int64) (*version, error) {
	if from.Sequence == sequence {
		return from, nil
	}
	for v, err := range c.chain(ctx, from, nil, int(from.Sequence-sequence)+1) {
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
	return nil, fmt.Errorf("the log has no entry of sequence %d: %w", sequence, backend.ErrDamaged)
}

// committed takes in that an append was acknowledged: it is the head now, and an
// orphan until its second phase was applied.
func (c *core) committed(p *phase1, v backend.Version) *version {
	object := c.prefix + wire.LogName
	h := &head{
		version: &version{Document: p.doc, object: object, id: v.ID, log: LogVersionID(v.ID), matched: p.doc.Dialect()},
		etag:    v.ETag,
		phase2:  orphan,
	}
	c.setHead(h)
	return h.version
}

func (p *phase1) unknown(reason error) *OutcomeUnknownError {
	_, _, _, follows := p.at.next()
	return &OutcomeUnknownError{
		Key: p.doc.Key, WriteID: p.doc.WriteID, Sequence: p.doc.Sequence, Follows: follows,
		Err: reason, append: p,
	}
}

// settle is [Client.Settle].
func (c *core) settle(ctx context.Context, unknown *OutcomeUnknownError) (*version, error) {
	if unknown == nil || unknown.append == nil {
		return nil, fmt.Errorf("%w: the error is not one that Set returned in this process", ErrInvalidOption)
	}
	if c.readOnly {
		return nil, ErrReadOnly
	}
	if err := c.enterQueue(ctx); err != nil {
		return nil, err
	}
	defer c.queue.leave()
	p := unknown.append
	v, open, err := c.look(ctx, p)
	switch {
	case err != nil:
		return nil, p.unknown(err)
	case open:
		// What became of the copies sent so far is no better known than before,
		// whatever the reason was that nobody could tell.
		v, err = c.settleAppend(ctx, p, unknown.Err, true, c.newBackoff())
	case v == nil:
		err = errLost
	}
	switch {
	case errors.Is(err, errLost):
		return nil, fmt.Errorf("write %s of %q: %w: %w", p.doc.WriteID, p.doc.Key, ErrConflict, errLost)
	case err != nil:
		return nil, err
	}
	c.finish(ctx, v)
	return v, nil
}
