package immukv

import (
	"context"
	"time"
)

// turn makes clients that batch share a log. A client that batches knows the head at all
// times, and its next append is under way as soon as the last batch is applied, while the
// others still check the keys of that batch: nobody else would get in. So a client that
// has lost a race writes a few batches, and then rests for as long as the others need to
// append one.
//
// The write lock guards it.
type turn struct {
	contended bool // others write to the log, too
	batches   int  // appended since another client's entry was seen, or since the last rest
	took      time.Duration
	alone     int // rests in a row in which nobody appended
}

const (
	// turnLength is how many batches a turn has. A rest may be in vain, so that shorter
	// turns cost throughput; longer ones let the others wait.
	turnLength = 4
	// restBatches is how long a rest is, in batches. The others need about two: to check
	// the last one, and to append theirs.
	restBatches = 2
	// restCap bounds a rest on a slow store.
	restCap = 2 * time.Second
	// restsAlone is after how many rests in vain a client takes the log for its own.
	restsAlone = 2
)

// lost notes a race that another client won.
func (t *turn) lost() { *t = turn{contended: true, took: t.took} }

// wrote notes a batch that was appended and applied.
func (t *turn) wrote(took time.Duration) {
	t.batches++
	t.took = took
}

// rest is how long to leave the log to the others now: not at all before the turn ends.
func (t *turn) rest() time.Duration {
	if !t.contended || t.batches < turnLength {
		return 0
	}
	return min(restBatches*t.took, restCap)
}

// rested notes a rest, and whether another client has appended in it.
func (t *turn) rested(appended bool) {
	t.batches = 0
	if appended {
		t.alone = 0
		return
	}
	t.alone++
	t.contended = t.alone < restsAlone
}

// rest leaves the log to others for a while, or until the client is closed. The caller
// does not hold the write lock.
func (c *core) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.closing:
		return
	}
	ctx := context.Background()
	_ = c.writes.lock(ctx)
	defer c.writes.unlock()
	before := c.knownHead()
	now, err := c.readHead(ctx)
	c.turn.rested(err == nil && now != before)
}
