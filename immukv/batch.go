package immukv

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sort"
	"sync"

	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// Batching limits how many entries a client puts into one log version: see
// [WithBatching].
type Batching struct {
	// MaxEntries is the largest number of entries in a version: at most 1,000; zero means
	// 128. At most 128 key objects are written at once, so a batch with more entries
	// takes longer.
	MaxEntries int
	// MaxBytes is the largest size, in bytes, of a version with more than one entry: at
	// most 8 MiB; zero means 8 MiB. The client estimates the size beforehand: for each
	// entry, its key, its value and one kilobyte.
	MaxBytes int
}

const defaultBatchEntries = writeWidth

// WithBatching puts writes that are under way at the same time into one log version.
// While one version is being written, the client collects the writes for the next one.
// This includes the writes of all clients made from it with [WithCodec]. A single write
// does not wait, and is stored as without batching. With batching, many callers together
// write as fast as the store accepts PUTs; without it, the log takes one entry in two
// round trips. Writes of the same key keep their order, and each goes into a different
// version. A write that fails because of its own key or condition does not affect the
// others.
//
// Processes that batch into one log take turns. A client that has lost a race writes four
// versions, and then rests until another client has appended, for at most 80 ms and the
// time of two versions. While it rests, it looks four times whether one has. It stops
// resting when no other client has written during two rests.
//
// The Python and TypeScript clients, and older versions of this one, cannot read a
// version with several entries. While such a version is the newest, they fail and write
// nothing. They work again once the newest version has a single entry. Clients of this
// library read such versions with or without the option.
//
// The fields of b that are zero have defaults.
func WithBatching(b Batching) Option {
	return func(c *config) error {
		if b.MaxEntries == 0 {
			b.MaxEntries = defaultBatchEntries
		}
		if b.MaxBytes == 0 {
			b.MaxBytes = wire.MaxBatchBytes
		}
		if b.MaxEntries < 1 || b.MaxEntries > wire.MaxEntries {
			return fmt.Errorf("batch size of %d entries is not between 1 and %d", b.MaxEntries, wire.MaxEntries)
		}
		if b.MaxBytes < 1 || b.MaxBytes > wire.MaxBatchBytes {
			return fmt.Errorf("batch size of %d bytes is not between 1 and %d", b.MaxBytes, wire.MaxBatchBytes)
		}
		c.batching = &b
		return nil
	}
}

// request is one call that writes: the entry of a Set, or the entries of a SetAll, which
// all go into one log version.
type request struct {
	ctx    context.Context // of the caller, if it waits in a queue
	writes []*write

	// A queue guards what follows until done is closed.
	stage   stage
	batch   *batch
	sent    *proposal // what carries its entries, while the outcome is unknown
	place   int       // of its first entry among those sent
	applies int       // entries whose apply has not ended
	done    chan struct{}
	entries []*version
	err     error
}

// stage is how far a request has come.
type stage int

const (
	waiting  stage = iota // not sent, or sent and lost a race: its caller may cancel it
	sent                  // its outcome is unknown for now
	appended              // it is in the log
	answered              // entries or err are set
	left                  // its caller has stopped waiting
)

func newRequest(writes ...*write) *request {
	return &request{writes: writes, done: make(chan struct{})}
}

// size estimates how many bytes the entries take in a log version.
func (r *request) size() int {
	n := 0
	for _, w := range r.writes {
		n += len(w.value) + 6*len(w.key) + 1024
	}
	return n
}

// batch holds the requests of a queue that go into one log version.
type batch struct {
	requests []*request
	callers  int                // how many wait
	cancel   context.CancelFunc // called when no caller waits
	running  sync.WaitGroup     // done when all callers run again
}

// queue holds the requests of a client that batches.
type queue struct {
	mu      sync.Mutex
	waiting []*request // in the order in which they came
	working bool       // writeBatches runs
}

// enqueue queues a request and waits for its outcome. If ctx ends before the request was
// sent, the request is removed and never written.
func (c *core) enqueue(ctx context.Context, r *request) ([]*version, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.ctx = ctx
	q := &c.queue
	q.mu.Lock()
	q.waiting = append(q.waiting, r)
	start := !q.working
	q.working = true
	q.mu.Unlock()
	if start {
		go c.writeBatches()
	}
	select {
	case <-r.done:
		r.batch.running.Done()
		return r.entries, r.err
	case <-ctx.Done():
		return q.leave(r, ctx.Err())
	}
}

// leave ends a caller's wait for its request. The other requests of the batch continue
// without it. If there are none, the batch ends as a write without batching does: with its
// context, and with the answers of the running requests.
func (q *queue) leave(r *request, reason error) ([]*version, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r.batch == nil {
		q.waiting = slices.DeleteFunc(q.waiting, func(other *request) bool { return other == r })
		return nil, fmt.Errorf("wait for earlier writes: %w", reason)
	}
	defer r.batch.running.Done()
	if r.stage == answered {
		return r.entries, r.err
	}
	if r.batch.callers--; r.batch.callers == 0 {
		r.batch.cancel()
		if r.stage != appended {
			q.mu.Unlock()
			<-r.done
			q.mu.Lock()
			return r.entries, endedBy(reason, r.err)
		}
	}
	before := r.stage
	r.stage = left
	switch before {
	case appended: // the apply continues, unless no caller waits
		return r.entries, nil
	case sent:
		return nil, r.sent.unknownAt(r.place, len(r.writes), reason)
	}
	return nil, fmt.Errorf("wait for the batch: %w", reason)
}

// endedBy adds to the error of a batch that was canceled why its caller's context ended.
func endedBy(reason, err error) error {
	if !errors.Is(err, context.Canceled) || errors.Is(err, reason) {
		return err
	}
	return fmt.Errorf("%w: %w", reason, err)
}

// writeBatches writes the queued requests, one batch after another, until none is left.
func (c *core) writeBatches() {
	q := &c.queue
	var b *batch
	for {
		_ = c.writes.lock(context.Background())
		err := c.checkOpen()
		q.gather(c.batching.MaxEntries, b)
		if d := c.turn.rest(); d > 0 && q.waits() && err == nil {
			head := c.knownHead()
			c.writes.unlock()
			c.rest(d, head)
			continue
		}
		var ctx context.Context
		b, ctx = q.take(*c.batching)
		if b == nil {
			c.writes.unlock()
			return
		}
		if err != nil {
			q.answer(b.requests, err)
		} else {
			c.writeBatch(ctx, b)
		}
		b.cancel()
		c.writes.unlock()
	}
}

// gather gives the callers of the last batch time to queue their next writes. Without it
// they would miss the next batch, which would be small, and have to wait for it. gather
// only yields the processor, so it never waits for a caller that is not ready to run.
func (q *queue) gather(enough int, last *batch) {
	quiet := 1
	if last != nil && len(last.requests) > 1 {
		last.running.Wait()
		quiet = gatherYields
	}
	before := -1
	for yields := 0; yields < quiet; yields++ {
		q.mu.Lock()
		now := len(q.waiting)
		q.mu.Unlock()
		if now >= enough {
			return
		}
		if now != before {
			before, yields = now, -1
		}
		runtime.Gosched()
	}
}

// gatherYields is how many yields in a row without a new request end gather. One yield may
// take less time than a caller on another processor needs from one write to the next; this
// many take about ten microseconds.
const gatherYields = 64

// waits reports whether a request waits to be written.
func (q *queue) waits() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) > 0
}

// take removes the requests of the next version from the queue, in the order in which they
// came. A request stays in the queue if one of its keys is in the batch already, or in an
// earlier request that stays. If the queue is empty, take returns nil, and the next request
// starts writeBatches.
func (q *queue) take(limit Batching) (*batch, context.Context) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.working = false
		return nil, nil
	}
	b := &batch{}
	keys := make(map[string]bool)
	entries, bytes, full := 0, 0, false
	var stay []*request
	for _, r := range q.waiting {
		size := r.size()
		full = full || entries > 0 && (entries+len(r.writes) > limit.MaxEntries || bytes+size > limit.MaxBytes)
		free := !full
		for _, w := range r.writes {
			free = free && !keys[w.key]
		}
		for _, w := range r.writes {
			keys[w.key] = true
		}
		if !free {
			stay = append(stay, r)
			continue
		}
		entries, bytes = entries+len(r.writes), bytes+size
		r.batch = b
		b.running.Add(1)
		b.requests = append(b.requests, r)
	}
	q.waiting = stay
	b.callers = len(b.requests)
	var ctx context.Context
	ctx, b.cancel = context.WithCancel(context.WithoutCancel(b.requests[0].ctx))
	return b, ctx
}

// writeBatch writes one version. It returns when all of its entries are applied.
func (c *core) writeBatch(ctx context.Context, b *batch) {
	l, in := c.commit(ctx, b.requests, c.newRace())
	if l == nil {
		return
	}
	q := &c.queue
	if c.deferred {
		for i := range l {
			q.applied(in, i)
		}
		c.applyDeferred(ctx, l)
	} else {
		c.applyAppended(ctx, l, func(place int) { q.applied(in, place) })
	}
	c.turn.wrote()
}

// staying returns the requests whose callers still wait for them.
func (q *queue) staying(requests []*request) []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	var stay []*request
	for _, r := range requests {
		if r.stage == waiting {
			stay = append(stay, r)
		}
	}
	return stay
}

// send records that the requests are being sent as p. It reports false if the caller of
// one has stopped waiting: then p must not be sent.
func (q *queue) send(requests []*request, p *proposal) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range requests {
		if r.stage != waiting {
			return false
		}
	}
	place := 0
	for _, r := range requests {
		r.stage, r.sent, r.place = sent, p, place
		place += len(r.writes)
	}
	return true
}

// lost records that the requests lost the race for the head.
func (q *queue) lost(requests []*request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range requests {
		if r.stage == sent {
			r.stage = waiting
		}
	}
}

// append records that the requests are in the log, as l.
func (q *queue) append(requests []*request, l logVersion) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range requests {
		r.entries = l[r.place : r.place+len(r.writes)]
		r.applies = len(r.writes)
		r.sent = nil // its body is no longer needed
		if r.stage == sent {
			r.stage = appended
		}
	}
}

// applied records that the apply of the entry at a place has ended. The requests are those
// that were appended, in the order of their places.
func (q *queue) applied(requests []*request, place int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := requests[sort.Search(len(requests), func(i int) bool { return requests[i].place > place })-1]
	if r.applies--; r.applies == 0 {
		q.close(r, nil)
	}
}

// fail ends requests with the error of an append.
func (q *queue) fail(requests []*request, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range requests {
		own := err
		if unknown, ok := errors.AsType[*OutcomeUnknownError](err); ok {
			own = r.sent.unknownAt(r.place, len(r.writes), unknown.Err)
		}
		q.close(r, own)
	}
}

// failWrites ends the requests that have a write which failed. failed has one element for
// each write of the requests, in their order.
func (q *queue) failWrites(requests []*request, failed writeErrors) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range requests {
		for _, err := range failed[:len(r.writes)] {
			if err != nil {
				q.close(r, err)
			}
		}
		failed = failed[len(r.writes):]
	}
}

// answer ends requests with an error.
func (q *queue) answer(requests []*request, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range requests {
		q.close(r, err)
	}
}

// close hands a request's outcome to its caller. The caller holds mu.
func (q *queue) close(r *request, err error) {
	if r.stage == answered || r.stage == left {
		return
	}
	if r.batch != nil {
		r.batch.callers--
	}
	r.stage, r.err = answered, err
	close(r.done)
}
