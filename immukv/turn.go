package immukv

import (
	"context"
	"time"

	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// turn lets several clients that batch share a log. A client that batches always knows
// the head, and its next append is under way as soon as its last batch is applied, while
// the others still check the keys of that batch. Without turns, the others would never
// append. So a client that has lost a race writes a few batches, and then rests until
// another client has appended.
//
// The write lock guards it.
type turn struct {
	contended bool // others write to the log, too
	batches   int  // appended since the last entry of another client, or since the last rest
	alone     int  // rests in a row without an append of another client

	began, ended time.Time // the last batch: when its append was sent, and when it was applied
}

const (
	// turnLength is the number of batches in a turn. A rest may be unnecessary, so
	// shorter turns cost throughput; longer ones make the others wait.
	turnLength = 4
	// restBatches is how many batches a rest lasts after the longest wait of a client that
	// lost a race. The client needs about two: to check the last batch, and to append its
	// own.
	restBatches = 2
	// restCap bounds a rest on a slow store.
	restCap = 2 * time.Second
	// restLooks is how often in a rest the client looks whether another has appended.
	restLooks = 4
	// restsAlone is the number of unused rests in a row after which a client assumes that
	// no other client writes.
	restsAlone = 2
)

// lost records a race that another client won.
func (t *turn) lost() { *t = turn{contended: true, began: t.began, ended: t.ended} }

// append records that an append is being sent.
func (t *turn) append() { t.began = time.Now() }

// wrote records that a batch was appended and applied.
func (t *turn) wrote() {
	t.batches++
	t.ended = time.Now()
}

// rest returns how long the client must rest at most: zero before the turn ends, and
// after a time without writes that was as long as a rest.
func (t *turn) rest() time.Duration {
	if !t.contended || t.batches < turnLength {
		return 0
	}
	d := min(batchingCap+restBatches*t.ended.Sub(t.began), restCap) - time.Since(t.ended)
	if d <= 0 {
		t.batches = 0
	}
	return d
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

// rest waits until another client has appended after a version of the log, but not longer
// than d, and not after the client is closed. The caller does not hold the write lock.
func (c *core) rest(d time.Duration, after *head) {
	step := time.NewTicker(max(d/restLooks, 1))
	defer step.Stop()
	for look := 1; ; look++ {
		select {
		case <-step.C:
		case <-c.closed:
			return
		}
		if c.restEnds(after, look == restLooks) {
			return
		}
	}
}

// restEnds looks whether another client has appended after a version of the log, and
// reports whether the rest ends, because it has or because this look is the last.
func (c *core) restEnds(after *head, last bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), restCap)
	defer cancel()
	if c.lockWrites(ctx) != nil {
		return true // the next batch waits for the lock, or fails because the client is closed
	}
	defer c.writes.unlock()
	newest, err := c.store.Head(ctx, c.prefix+wire.LogName)
	switch {
	case err != nil: // the next append fails, too, or the error was a passing one
		c.turn.batches = 0
		return true
	case after.empty() || LogVersionID(newest.ID) != after.log:
		_, _ = c.readHead(ctx) // the next append finds the error, if there is one
		c.turn.rested(true)
		return true
	case last:
		c.turn.rested(false)
	}
	return last
}
