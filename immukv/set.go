package immukv

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// deferredTimeout bounds a second phase behind the caller, whose own context is
// gone by then. What it does not reach, the next write repairs.
const deferredTimeout = time.Minute

// set writes an entry: the head, its repair, phase 1, phase 2.
func (c *core) set(ctx context.Context, key string, raw []byte) (*version, error) {
	if c.readOnly {
		return nil, ErrReadOnly
	}
	if err := checkNewKey(c.prefix, key); err != nil {
		return nil, err
	}
	value, err := c.encodeValue(raw)
	if err != nil {
		return nil, err
	}
	if err := c.enterQueue(ctx); err != nil {
		return nil, err
	}
	v, err := c.appendEntry(ctx, key, value)
	if err != nil {
		c.queue.leave()
		return nil, err
	}
	if !c.deferred {
		c.finish(ctx, v)
		c.queue.leave()
		return v, nil
	}
	// The turn goes with the second phase, so that the next writer waits for it.
	go func() {
		defer c.queue.leave()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deferredTimeout)
		defer cancel()
		c.finish(ctx, v)
	}()
	return v, nil
}

// encodeValue is the canonical text of a value, in the dialect written.
func (c *core) encodeValue(raw []byte) ([]byte, error) {
	// White space and escapes may make the source longer than its canonical
	// text, but a source beyond twice the limit is not worth the parsing.
	if len(raw) > 2*c.maxValueBytes {
		return nil, fmt.Errorf("%w: %d bytes of JSON, of which %d are allowed", ErrValueTooLarge, len(raw), c.maxValueBytes)
	}
	value, err := c.dialect.Encode(raw)
	if err != nil {
		return nil, err
	}
	if len(value) > c.maxValueBytes {
		return nil, fmt.Errorf("%w: %d bytes of canonical JSON, of which %d are allowed", ErrValueTooLarge, len(value), c.maxValueBytes)
	}
	return value, nil
}

// appendEntry appends an entry of key, as often as it takes to win the race for
// the head. The write ID stays the same: of attempts that lost it is known that
// they never apply.
func (c *core) appendEntry(ctx context.Context, key string, value []byte) (*version, error) {
	writeID, err := newWriteID(c.random)
	if err != nil {
		return nil, err
	}
	wait := c.newBackoff()
	for lost := 1; ; lost++ {
		h, tag, err := c.prepare(ctx, key)
		if err != nil {
			return nil, err
		}
		p, err := c.propose(h, tag, key, value, writeID)
		if err != nil {
			return nil, err
		}
		v, err := c.append(ctx, p, wait)
		if !errors.Is(err, errLost) {
			return v, err
		}
		if c.maxAttempts > 0 && lost >= c.maxAttempts {
			return nil, fmt.Errorf("%w: attempts spent, %d of them, and each time %w", ErrConflict, lost, errLost)
		}
		if h := c.knownHead(); h != nil && !h.empty() && h.Sequence > p.doc.Sequence {
			// Several came first, and finding out took time in which more may
			// have come. Who goes on with a head as old as that loses to a
			// writer that never pauses, again and again.
			if _, err := c.readHead(ctx); err != nil {
				return nil, err
			}
		}
	}
}

// propose drafts the log version that follows the head.
func (c *core) propose(h *head, tag keyTag, key string, value []byte, writeID string) (*phase1, error) {
	now := c.clock().UnixMilli()
	if now <= 0 {
		return nil, fmt.Errorf("%w: the clock says %d ms since 1970, and an entry's time must be after that", ErrInvalidOption, now)
	}
	cond, sequence, previous, follows := h.next()
	if sequence < 0 {
		return nil, fmt.Errorf("%w: no sequence number comes after that of version %s", ErrMalformedEntry, follows)
	}
	doc := wire.New(wire.Draft{
		Key: key, Value: value, Sequence: sequence, TimestampMS: now,
		PreviousHash: previous, PreviousVersionID: follows,
		PreviousKeyETag: tag.etag, HasPreviousKeyETag: tag.exists,
		WriteID: writeID, Dialect: c.dialect,
	})
	p := &phase1{at: h, doc: doc, body: doc.LogBody(), cond: cond}
	if len(p.body) > backend.MaxBodyBytes {
		return nil, fmt.Errorf("%w: with its key it makes %d bytes", ErrValueTooLarge, len(p.body))
	}
	return p, nil
}

// finish performs phase 2 of an entry that is in the log. If it fails the entry is
// an orphan, which the next activity repairs: the write has succeeded all the same.
func (c *core) finish(ctx context.Context, v *version) {
	h := c.knownHead()
	if h == nil || h.empty() || h.log != v.log {
		return // others have appended since, and applied it before they did
	}
	if h.phase2 == unchecked { // found by looking, after its answer was lost
		found := *h
		found.phase2 = orphan
		h = &found
		c.setHead(h)
	}
	if _, err := c.applySecondPhase(ctx, h); err != nil {
		c.logger.WarnContext(ctx, "second phase failed; the entry is in the log and the next activity repairs its key object",
			"key", v.Key, "sequence", v.Sequence, "error", err)
	}
}

// enterQueue waits for the writers' turn.
func (c *core) enterQueue(ctx context.Context) error {
	if err := c.queue.enter(ctx); err != nil {
		return fmt.Errorf("wait for the writes before: %w", err)
	}
	if err := c.checkOpen(); err != nil {
		c.queue.leave()
		return err
	}
	return nil
}

// newWriteID draws 128 random bits.
func newWriteID(random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("draw a write ID: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// newBackoff belongs to whoever has the writers' turn, as the random source does.
func (c *core) newBackoff() *backoff { return &backoff{random: c.random} }
