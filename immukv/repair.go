package immukv

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/immukv/immukv-go/backend"
)

// RepairResult says what [Client.Repair] found and did.
type RepairResult struct {
	// Empty: the log has no entry.
	Empty bool
	// Head, Key and VersionID are those of the newest entry, unless the log is empty.
	Head      Checkpoint
	Key       string
	VersionID LogVersionID
	// Orphans are the entries of the newest log version, oldest first, whose key
	// objects did not reflect them.
	Orphans []Orphan
	// Repaired: there were orphans, and none is left.
	Repaired bool
}

// repair is [Client.Repair].
func (c *core) repair(ctx context.Context) (RepairResult, error) {
	if c.readOnly {
		return RepairResult{}, ErrReadOnly
	}
	if err := c.lockWrites(ctx); err != nil {
		return RepairResult{}, err
	}
	defer c.writes.unlock()
	h, err := c.readHead(ctx)
	if err != nil {
		return RepairResult{}, err
	}
	if !h.empty() { // another client may have repaired it since it was cached
		again := *h
		again.states = slices.Clone(h.states)
		for i, s := range again.states {
			if s != applied {
				again.states[i] = unchecked
			}
		}
		h = &again
	}
	if h, err = c.check(ctx, h); err != nil {
		return RepairResult{}, err
	}
	if h.empty() {
		return RepairResult{Empty: true}, nil
	}
	result := RepairResult{
		Head: Checkpoint{Sequence: h.Sequence, Hash: h.Hash}, Key: h.Key, VersionID: h.log,
	}
	for i, v := range h.among {
		if h.states[i] != applied {
			result.Orphans = append(result.Orphans, newOrphan(v))
		}
	}
	if h, err = c.repairHead(ctx, h); err != nil {
		return result, err
	}
	if v := h.first(unholdable); v != nil {
		return result, c.diverged(v, unholdableName)
	}
	result.Repaired = len(result.Orphans) > 0
	return result, nil
}

// checkHead checks whether the newest entry needs repair, if the interval has passed. A
// read that begins during another read's check waits for its result. A read that begins
// during a write of this client leaves the check to the writer.
func (c *core) checkHead(ctx context.Context) error {
	if !c.checkDue() {
		return nil
	}
	check, ours := c.joinCheck()
	if check == nil {
		return nil
	}
	if !ours {
		select {
		case <-check.done:
			// The error is this read's too: if each read sent requests to a store that
			// does not answer, they would fail one after another.
			return check.err
		case <-check.next:
		case <-ctx.Done():
			return c.leaveCheck(check, ctx.Err())
		}
	}
	err := c.checkHeadNow(ctx)
	c.endCheck(check, err, err != nil && ctx.Err() != nil)
	return err
}

// headCheck is a check of the head that is under way. One read makes it, and others wait.
// If the context of the first ends, the check passes to the read that has waited longest.
type headCheck struct {
	waiting int           // reads that wait
	next    chan struct{} // holds a token when the check passes on
	done    chan struct{}
	err     error // set when done is closed
}

// joinCheck locks the writes for a check of the head, unless another read has begun one.
// It returns nil if a writer holds the lock.
func (c *core) joinCheck() (check *headCheck, ours bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.checking == nil && c.writes.tryLock() {
		c.checking = &headCheck{next: make(chan struct{}, 1), done: make(chan struct{})}
		return c.checking, true
	}
	if c.checking != nil {
		c.checking.waiting++
	}
	return c.checking, false
}

// leaveCheck ends a read's wait for a check.
func (c *core) leaveCheck(check *headCheck, reason error) error {
	c.mu.Lock()
	select {
	case <-check.next:
		c.mu.Unlock()
		c.endCheck(check, reason, true)
	default:
		check.waiting--
		c.mu.Unlock()
	}
	return reason
}

// endCheck ends a check, or passes it on if it was cut short.
func (c *core) endCheck(check *headCheck, err error, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cut && check.waiting > 0 {
		check.waiting--
		check.next <- struct{}{}
		return
	}
	check.err = err
	close(check.done)
	c.checking = nil
	c.writes.unlock()
}

func (c *core) checkDue() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.checkInterval < 0 {
		return false
	}
	return c.lastCheck.IsZero() || time.Since(c.lastCheck) >= c.checkInterval
}

// checkHeadNow repairs the newest entries that are orphans. If that fails, the cached
// head records which entries are orphans.
func (c *core) checkHeadNow(ctx context.Context) error {
	h, err := c.readHead(ctx)
	if err == nil && !h.empty() {
		if h, err = c.check(ctx, h); err == nil && !c.readOnly {
			h, err = c.repairHead(ctx, h)
		}
	}
	// A read returns an orphan from the log, so a failed repair is harmless only if the
	// state of every entry is known.
	known := h != nil && h.first(orphan) != nil && h.first(unchecked) == nil
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return err
	case errors.Is(err, backend.ErrAccessDenied) && known:
		// No permission to write: the client is in effect read-only.
	case isEntryError(err), errors.Is(err, ErrDiverged), errors.Is(err, ErrLogDeleted), errors.Is(err, backend.ErrDamaged):
		// No write can follow the newest entry until the cause is removed. This read
		// needs another entry, or fails by itself.
		c.logger.WarnContext(ctx, "the newest entry cannot be repaired; run an audit", "error", err)
	case known:
		c.logger.WarnContext(ctx, "repair of the newest entry failed; the next read retries it", "error", err)
		return nil
	default:
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastCheck = time.Now()
	return nil
}
