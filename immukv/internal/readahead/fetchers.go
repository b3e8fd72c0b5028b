package readahead

import (
	"sync"
	"sync/atomic"
)

// body is one version from when it is queued until it is consumed.
type body[T any] struct {
	Item[T]
	begun atomic.Bool   // set by the goroutine that fetches the body
	done  chan struct{} // closed by a fetcher; not used if the consumer fetched it
}

// fetchers are the goroutines that fetch queued bodies. One of them is always waiting for
// the queue: the first is started with the first body, and when the last idle one begins
// to fetch, it starts another. A slow store soon has as many fetchers as bodies, and one
// that waits. A store that answers at once never needs more than a few.
type fetchers[T any] struct {
	// queue holds bodies that nobody may have begun to fetch. It has room for the window.
	// When bodies that the consumer fetched itself fill it, a fetcher removes them.
	queue   chan *body[T]
	running sync.WaitGroup
	idle    atomic.Int64 // fetchers that are not fetching
}

// begin queues a body.
func (r *Reader[T]) begin(b *body[T]) {
	if r.queue == nil {
		r.queue = make(chan *body[T], r.cfg.Window)
		r.start()
	}
	r.queue <- b
}

func (r *Reader[T]) start() {
	r.idle.Add(1)
	r.running.Go(r.work)
}

func (r *Reader[T]) work() {
	for b := range r.queue {
		if !b.begun.CompareAndSwap(false, true) {
			continue
		}
		if r.idle.Add(-1) == 0 {
			r.start()
		}
		b.Value, b.Err = r.cfg.Fetch(r.ctx, b.Version)
		close(b.done)
		r.idle.Add(1)
	}
}

// await returns when a body is fetched. If nobody has begun to fetch it, the consumer
// does. The consumer fetches no other body, since that could delay it after the one that
// it needs has arrived.
func (r *Reader[T]) await(b *body[T]) {
	if b.begun.CompareAndSwap(false, true) {
		b.Value, b.Err = r.cfg.Fetch(r.ctx, b.Version)
		return
	}
	<-b.done
}

// stop ends the fetchers. Bodies that they have not begun are not fetched.
func (r *Reader[T]) stop() {
	if r.queue == nil {
		return
	}
	for _, b := range r.ahead {
		b.begun.Store(true)
	}
	close(r.queue)
	r.running.Wait()
	r.queue = nil
}
