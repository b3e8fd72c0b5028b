package immukv

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// deferredTimeout bounds a deferred apply, which outlives the context of its caller.
// An entry not applied by then is an orphan, which the next write repairs.
const deferredTimeout = time.Minute

// set writes an entry. If cond is not nil, it must hold as of the head that the entry
// follows.
func (c *core) set(ctx context.Context, key string, raw []byte, cond *condition, r *race) (*version, error) {
	w, err := c.newWrite(key, raw, cond)
	if err != nil {
		return nil, err
	}
	w.wait = r.wait
	entries, err := c.write(ctx, newRequest(w), r)
	if err != nil {
		return nil, err
	}
	return entries[0], nil
}

// newWrite returns the write of a value, checked before anything is sent.
func (c *core) newWrite(key string, raw []byte, cond *condition) (*write, error) {
	if c.readOnly {
		return nil, ErrReadOnly
	}
	if err := c.checkNewKey(key); err != nil {
		return nil, err
	}
	value, err := c.encodeValue(raw)
	if err != nil {
		return nil, err
	}
	return &write{key: key, value: value, cond: cond}, nil
}

// write writes the entries of a request: it reads the head, repairs it, appends and
// applies, or has the queue do so for it.
func (c *core) write(ctx context.Context, req *request, r *race) ([]*version, error) {
	if c.batching != nil {
		return c.enqueue(ctx, req)
	}
	if err := c.lockWrites(ctx); err != nil {
		return nil, err
	}
	l, _ := c.commit(ctx, []*request{req}, r)
	switch {
	case l == nil:
		c.writes.unlock()
		return nil, req.err
	case !c.deferred:
		c.applyAppended(ctx, l, nil)
		c.writes.unlock()
	default:
		// The apply keeps the lock, so that the next writer waits for it.
		go func() {
			defer c.writes.unlock()
			c.applyDeferred(ctx, l)
		}()
	}
	return req.entries, nil
}

// encodeValue returns the canonical text of a value, in the dialect written.
func (c *core) encodeValue(raw []byte) ([]byte, error) {
	// White space and escapes may make the text longer than its canonical form;
	// a text beyond twice the limit is not parsed.
	if len(raw) > 2*c.maxValueBytes {
		return nil, fmt.Errorf("%w: %d bytes of JSON; the limit is %d", ErrValueTooLarge, len(raw), c.maxValueBytes)
	}
	value, err := c.dialect.Encode(raw)
	if err != nil {
		return nil, err
	}
	if len(value) > c.maxValueBytes {
		return nil, fmt.Errorf("%w: %d bytes of canonical JSON; the limit is %d", ErrValueTooLarge, len(value), c.maxValueBytes)
	}
	return value, nil
}

// race counts the attempts of one call to append to the log.
type race struct {
	lost int // how often another writer's entry came first
	wait *backoff
}

// newRace returns a race that is not lost yet. The write lock guards its random source.
func (c *core) newRace() *race { return &race{wait: c.newBackoff()} }

// lose counts a lost race. It returns an error if no attempt is left.
func (c *core) lose(r *race) error {
	r.lost++
	if c.maxAttempts > 0 && r.lost >= c.maxAttempts {
		return fmt.Errorf("%w: all %d attempts failed: %w", ErrConflict, r.lost, errLost)
	}
	return nil
}

// write is an entry to be written.
type write struct {
	key     string
	value   []byte     // in canonical form
	cond    *condition // nil: none
	wait    *backoff   // of the call, if it may have lost races before
	writeID string
}

// commit appends the entries of requests, whose keys are distinct, as one log version. It
// retries until it wins the race for the head, and returns the version and the requests
// in it. It leaves out requests whose condition does not hold, and requests whose caller
// has stopped waiting before they were sent. If it returns no version, every request has
// its error.
//
// All attempts use the same write IDs, because an attempt that lost never takes effect.
func (c *core) commit(ctx context.Context, requests []*request, r *race) (logVersion, []*request) {
	fail := func(err error) (logVersion, []*request) {
		c.queue.answer(requests, err)
		return nil, nil
	}
	if err := c.drawWriteIDs(requests); err != nil {
		return fail(err)
	}
	for _, w := range writesOf(requests) {
		if w.wait != nil && w.wait.waits >= r.wait.waits {
			r.wait = w.wait // a batch waits as its call that has waited most often
		}
	}
	for current := false; ; { // whether the cached head was read during this call
		requests = c.queue.staying(requests)
		if len(requests) == 0 {
			return nil, nil
		}
		writes := writesOf(requests)
		h, states, failed, err := c.prepareIf(ctx, writes, current)
		if some, ok := errors.AsType[writeErrors](err); ok {
			c.queue.failWrites(requests, some)
			continue
		}
		if err != nil {
			return fail(err)
		}
		if failed != nil {
			c.queue.failWrites(requests, failed)
			current = true
			continue
		}
		p, err := c.propose(h, states, writes)
		if err != nil {
			return fail(err)
		}
		if !c.queue.send(requests, p) {
			continue
		}
		c.turn.append()
		l, err := c.append(ctx, p, r.wait)
		switch {
		case err == nil:
			c.appended(ctx, p)
			c.queue.append(requests, l)
			return l, requests
		case !errors.Is(err, errLost):
			c.queue.fail(requests, err)
			return nil, nil
		}
		c.queue.lost(requests)
		c.turn.lost()
		c.conflict(ctx, p)
		if err := c.lose(r); err != nil {
			return fail(err)
		}
		if h := c.knownHead(); h != nil && !h.empty() && h.among.oldest().Sequence > p.first().Sequence {
			// Retrying from a stale head livelocks against a busy writer.
			if _, err := c.readHead(ctx); err != nil {
				return fail(err)
			}
		}
		current = true // the append lost to an entry that has been read since
	}
}

func (c *core) drawWriteIDs(requests []*request) error {
	for _, w := range writesOf(requests) {
		var err error
		if w.writeID, err = newWriteID(c.random); err != nil {
			return err
		}
	}
	return nil
}

func writesOf(requests []*request) []*write {
	if len(requests) == 1 {
		return requests[0].writes
	}
	var writes []*write
	for _, r := range requests {
		writes = append(writes, r.writes...)
	}
	return writes
}

// propose drafts the log version that follows the head.
func (c *core) propose(h *head, states []keyState, writes []*write) (*proposal, error) {
	now := c.clock().UnixMilli()
	if now <= 0 {
		return nil, fmt.Errorf("%w: the clock reads %d ms since 1970; the time of an entry must be positive", ErrInvalidOption, now)
	}
	cond, sequence, previous, follows := h.next()
	if sequence < 0 || sequence > math.MaxInt64-int64(len(writes)) {
		return nil, fmt.Errorf("%w: log version %s has the last possible sequence number", ErrMalformedEntry, follows)
	}
	p := &proposal{at: h, cond: cond}
	for i, w := range writes {
		doc := wire.New(wire.Draft{
			Key: w.key, Value: w.value, Sequence: sequence + int64(i), TimestampMS: now,
			PreviousHash: previous, PreviousVersionID: follows,
			PreviousKeyETag: states[i].etag, HasPreviousKeyETag: states[i].exists,
			WriteID: w.writeID, Dialect: c.dialect,
		})
		p.docs = append(p.docs, doc)
		previous, follows = doc.Hash, "" // the entry before is in the same version
	}
	p.body = wire.JoinLog(p.docs)
	switch {
	case len(p.docs) > 1 && len(p.body) > wire.MaxBatchBytes:
		return nil, fmt.Errorf("%w: a log version of these %d entries has %d bytes; the limit is %d", ErrValueTooLarge, len(p.docs), len(p.body), wire.MaxBatchBytes)
	case len(p.body) > backend.MaxBodyBytes:
		return nil, fmt.Errorf("%w: with its key, the entry has %d bytes; the limit is %d", ErrValueTooLarge, len(p.body), backend.MaxBodyBytes)
	}
	return p, nil
}

// applyDeferred applies entries just appended, whose callers have their answer already. It
// outlives their contexts.
func (c *core) applyDeferred(ctx context.Context, l logVersion) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deferredTimeout)
	defer cancel()
	c.applyAppended(ctx, l, nil)
}

// applyAppended applies entries just appended. If an apply fails, the write has still
// succeeded: the entry is an orphan, which the next write or read repairs. applyAppended
// calls ended, if it is not nil, with the place of each entry when its apply has ended.
func (c *core) applyAppended(ctx context.Context, l logVersion, ended func(place int)) {
	h := c.knownHead()
	if h == nil || h.empty() || h.log != l.newest().log {
		// Others have appended since, and repaired it first.
		for i := range l {
			if ended != nil {
				ended(i)
			}
		}
		return
	}
	if h.first(unchecked) != nil { // found by lookup, after its answer was lost
		h = c.setStates(h, slices.Repeat([]state{orphan}, len(l)))
	}
	if h, err := c.applyEach(ctx, h, ended); err != nil {
		for _, v := range h.orphans() {
			c.logger.WarnContext(ctx, "apply failed: the entry is an orphan until the next write or read repairs it",
				"key", v.Key, "sequence", v.Sequence, "error", err)
		}
	}
}

// lockWrites takes the write lock of an open client.
func (c *core) lockWrites(ctx context.Context) error {
	if err := c.writes.lock(ctx); err != nil {
		return fmt.Errorf("wait for earlier writes: %w", err)
	}
	if err := c.checkOpen(); err != nil {
		c.writes.unlock()
		return err
	}
	return nil
}

// newWriteID draws 128 random bits.
func newWriteID(random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("generate a write ID: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

func (c *core) newBackoff() *backoff {
	b := &backoff{random: c.random, raceCap: lostRaceCap}
	if c.batching != nil {
		b.raceCap = batchingCap
	}
	return b
}
