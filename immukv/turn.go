package immukv

import (
	"context"
	"time"
)

// turn lets several clients that batch share a log. A client that batches always knows
// the head, and its next append is under way as soon as its last batch is applied, while
// the others still check the keys of that batch. Without turns, the others would never
// append. So a client that has lost a race writes a few batches, and then rests as long
// as the others need to append one.
//
// The write lock guards it.
type turn struct {
	contended bool // others write to the log, too
	batches   int  // appended since the last entry of another client, or since the last rest
	took      time.Duration
	alone     int // rests in a row without an append of another client
}

const (
	// turnLength is the number of batches in a turn. A rest may be unnecessary, so
	// shorter turns cost throughput; longer ones make the others wait.
	turnLength = 4
	// restBatches is the length of a rest, in batches. The others need about two: to
	// check the last batch, and to append theirs.
	restBatches = 2
	// restCap bounds a rest on a slow store.
	restCap = 2 * time.Second
	// restsAlone is the number of unused rests in a row after which a client assumes that
	// no other client writes.
	restsAlone = 2
)

// lost records a race that another client won.
func (t *turn) lost() { *t = turn{contended: true, took: t.took} }

// wrote records a batch that was appended and applied.
func (t *turn) wrote(took time.Duration) {
	t.batches++
	t.took = took
}

// rest returns how long the client must rest now: zero before the turn ends.
func (t *turn) rest() time.Duration {
	if !t.contended || t.batches < turnLength {
		return 0
	}
	return min(restBatches*t.took, restCap)
}

// rested records a rest, and whether another client appended in it.
func (t *turn) rested(appended bool) {
	t.batches = 0
	if appended {
		t.alone = 0
		return
	}
	t.alone++
	t.contended = t.alone < restsAlone
}

// rest waits while others append, or until the client is closed. The caller does not hold
// the write lock.
func (c *core) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.closed:
		return
	}
	ctx := context.Background()
	_ = c.writes.lock(ctx)
	defer c.writes.unlock()
	before := c.knownHead()
	now, err := c.readHead(ctx)
	c.turn.rested(err == nil && now != before)
}
