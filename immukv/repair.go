package immukv

import (
	"context"
	"errors"
	"time"

	"github.com/immukv/immukv-go/backend"
)

// RepairResult says what [Client.Repair] found and did.
type RepairResult struct {
	// Empty: the log has no entry.
	Empty bool
	// Head is the newest entry's place and hash, and Key and VersionID the
	// entry's, unless the log is empty.
	Head      Checkpoint
	Key       string
	VersionID LogVersionID
	// Orphan: the key object did not show the entry.
	Orphan bool
	// Repaired: it does now.
	Repaired bool
}

// repair is [Client.Repair].
func (c *core) repair(ctx context.Context) (RepairResult, error) {
	if c.readOnly {
		return RepairResult{}, ErrReadOnly
	}
	if err := c.enterQueue(ctx); err != nil {
		return RepairResult{}, err
	}
	defer c.queue.leave()
	h, err := c.readHead(ctx)
	if err != nil {
		return RepairResult{}, err
	}
	if h.phase2 == orphan { // as last seen; somebody may have repaired it since
		again := *h
		again.phase2 = unchecked
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
		Orphan: h.phase2 == orphan,
	}
	if result.Orphan {
		_, err = c.applySecondPhase(ctx, h)
		result.Repaired = err == nil
	}
	return result, err
}

// checkHead looks, when the interval has passed, whether the newest entry needs
// repair. A read that comes while another looks waits for what that one finds; one
// that comes while somebody of this client writes leaves it to the writer.
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
			// Its error is this read's too: if each asked a store that does not
			// answer for itself, they would fail one after another.
			if !check.cut {
				return check.err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// headCheck is a look at the head that is under way.
type headCheck struct {
	done chan struct{}
	// Set when done is closed.
	err error
	cut bool // by the end of the context of the read that looked
}

// startCheck takes the writers' turn for a look at the head, unless another read is
// looking already. If a writer has the turn, there is no look.
func (c *core) startCheck() (check *headCheck, ours bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.checking == nil && c.queue.tryEnter() {
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
	c.queue.leave()
}

func (c *core) checkDue() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.checkInterval < 0 {
		return false
	}
	return c.lastCheck.IsZero() || time.Since(c.lastCheck) >= c.checkInterval
}

// checkHeadNow repairs the newest entry if it needs it or, where that cannot be
// done, remembers that it stands in the log only.
func (c *core) checkHeadNow(ctx context.Context) error {
	h, err := c.readHead(ctx)
	if err == nil && !h.empty() {
		if h, err = c.check(ctx, h); err == nil && h.phase2 == orphan && !c.readOnly {
			h, err = c.applySecondPhase(ctx, h)
		}
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return err
	case errors.Is(err, backend.ErrAccessDenied) && h != nil && h.phase2 == orphan:
		// Denied to write: read-only in all but name.
	case isEntryError(err), errors.Is(err, ErrDiverged), errors.Is(err, ErrLogDeleted), errors.Is(err, backend.ErrDamaged):
		// The newest entry is in a bad way, and no write will follow it before
		// somebody has looked. The read is of another, or will see for itself.
		c.logger.WarnContext(ctx, "the newest entry cannot be repaired; run an audit", "error", err)
	case h != nil && h.phase2 == orphan:
		// The next read tries again. This one need not fail: it has the entry
		// from the log.
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
