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
	if !h.empty() { // somebody may have repaired it since it was cached
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

// checkHead checks, when the interval has passed, whether the newest entry needs
// repair. A read that comes during another read's check waits for its result; one
// that comes during a write of this client leaves the check to the writer.
func (c *core) checkHead(ctx context.Context) error {
	for c.checkDue() {
		check, ours := c.startCheck()
		switch {
		case check == nil:
			return nil
		case ours:
			err := c.checkHeadNow(ctx)
			c.endCheck(err, ctx.Err() != nil)
			return err
		}
		select {
		case <-check.done:
			// Its error is this read's too: if each read asked a store that does
			// not answer, they would fail one after another.
			if !check.cut {
				return check.err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// headCheck is a check of the head that is under way.
type headCheck struct {
	done chan struct{}
	// Set when done is closed.
	err error
	cut bool // by the end of the context of the read that checks
}

// startCheck takes the write lock for a check of the head, unless another read has
// begun one. There is none if a writer holds the lock.
func (c *core) startCheck() (check *headCheck, ours bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.checking == nil && c.writes.tryLock() {
		c.checking = &headCheck{done: make(chan struct{})}
		return c.checking, true
	}
	return c.checking, false
}

func (c *core) endCheck(err error, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checking.err, c.checking.cut = err, cut
	close(c.checking.done)
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

// checkHeadNow repairs the newest entry if it is an orphan. Where that cannot be done,
// the cached head tells that it is one.
func (c *core) checkHeadNow(ctx context.Context) error {
	h, err := c.readHead(ctx)
	if err == nil && !h.empty() {
		if h, err = c.check(ctx, h); err == nil && !c.readOnly {
			h, err = c.repairHead(ctx, h)
		}
	}
	// A read has an orphan from the log; but whether the others are any must be known, too.
	known := h != nil && h.first(orphan) != nil && h.first(unchecked) == nil
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return err
	case errors.Is(err, backend.ErrAccessDenied) && known:
		// Denied to write: read-only in all but name.
	case isEntryError(err), errors.Is(err, ErrDiverged), errors.Is(err, ErrLogDeleted), errors.Is(err, backend.ErrDamaged):
		// No write can follow the newest entry before somebody has mended it.
		// This read is of another entry, or fails by itself.
		c.logger.WarnContext(ctx, "the newest entry cannot be repaired; run an audit", "error", err)
	case known:
		// The next read tries again.
		c.logger.WarnContext(ctx, "the newest entry was not repaired", "error", err)
		return nil
	default:
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastCheck = time.Now()
	return nil
}
