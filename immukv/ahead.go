package immukv

import (
	"context"
	"runtime"
	"sync"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// ahead reads the versions of one object in the order in which the store lists
// them, a bounded number of bodies ahead of its consumer. It belongs to one
// goroutine, which closes it.
//
// A store that takes its time has all bodies of the window asked for at once, each
// by a reader of its own. One that answers at once would lose more by that than it
// gains: handing a body to another goroutine takes as long as reading it from
// memory. So a reader, before it asks the store, has one more wake up, and that
// one finds work only if the first has to wait or there is a processor to spare;
// and the consumer fetches by itself the body that it needs next, if nobody has
// begun to.
type ahead struct {
	core   *core
	lister lister
	object string
	ctx    context.Context
	cancel context.CancelFunc

	listing  backend.VersionsRequest
	listed   []backend.Version // of the page at hand, not yet fetched
	ended    bool              // there is no further page
	failed   error             // the listing's error, told when its place comes
	inflight []*fetched        // in the order of the listing
	window   int
	budget   int  // bodies that may yet be fetched; negative: any number
	manned   bool // a reader was at work when the last body was taken

	// slots, if set, bounds the bodies that several readers hold together.
	slots slots
	// onMarker, if set, is told of delete markers, which are not read.
	onMarker func(backend.Version)

	running sync.WaitGroup // the readers
	mu      sync.Mutex     // guards what follows
	queue   []*fetched     // those in flight that nobody fetches yet
	readers int            // as many as there were ever bodies asked for at once
	idle    int            // of the readers
	waking  bool           // one of them is on its way to the queue
	closed  bool
	more    sync.Cond // the queue has something for an idle reader
	awaited *fetched  // by the consumer
	arrived sync.Cond // awaited is here
}

// lister lists the versions of objects: a store does.
type lister interface {
	ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error)
}

// slots counts bodies that are on their way or wait for their consumer.
type slots chan struct{}

// fetched is one version on its way from the store, or here.
type fetched struct {
	backend.Version
	here bool     // v and err are set
	v    *version // may be set beside err: read, but not to be trusted
	err  error
}

// readAhead begins to read versions of an object: all of them, or those older than
// after, and not more than limit if that is positive.
func (c *core) readAhead(ctx context.Context, object string, after backend.VersionID, limit int) *ahead {
	a := &ahead{core: c, lister: c.store, object: object, window: c.concurrency, budget: -1}
	a.listing.After = after
	if limit > 0 {
		a.budget = limit
		a.listing.Limit = min(limit, backend.MaxPageSize)
	}
	a.more.L, a.arrived.L = &a.mu, &a.mu
	a.ctx, a.cancel = context.WithCancel(ctx)
	return a
}

// close stops what is under way and waits for it.
func (a *ahead) close() {
	a.cancel()
	a.mu.Lock()
	a.closed = true
	a.more.Broadcast()
	a.mu.Unlock()
	a.running.Wait()
	for range a.inflight {
		a.release()
	}
	a.inflight = nil
}

// next is the next version in the order of the listing, or nil at the end.
func (a *ahead) next() (*fetched, error) {
	// Not at every body, if for each of them a reader had to be woken.
	if len(a.inflight) <= a.window/2 || a.manned {
		a.fill()
	}
	if len(a.inflight) == 0 {
		return nil, a.failed
	}
	f := a.inflight[0]
	a.inflight = a.inflight[1:]
	a.await(f)
	a.release()
	return f, nil
}

// fill keeps the window full.
func (a *ahead) fill() {
	for len(a.inflight) < a.window && a.failed == nil && a.budget != 0 {
		if len(a.listed) == 0 && !a.list() {
			return
		}
		if len(a.listed) == 0 {
			continue // an empty page that is not the last
		}
		if a.listed[0].DeleteMarker {
			if a.onMarker != nil {
				a.onMarker(a.listed[0])
			}
			a.listed = a.listed[1:]
			continue
		}
		if !a.acquire() {
			return
		}
		f := &fetched{Version: a.listed[0]}
		a.listed = a.listed[1:]
		a.budget--
		a.inflight = append(a.inflight, f)
		a.enqueue(f)
	}
}

// acquire takes a slot for a body. It waits for one only if no body is under way
// here: who holds slots can always go on and give them back.
func (a *ahead) acquire() bool {
	if a.slots == nil {
		return true
	}
	if len(a.inflight) > 0 {
		select {
		case a.slots <- struct{}{}:
			return true
		default:
			return false
		}
	}
	select {
	case a.slots <- struct{}{}:
		return true
	case <-a.ctx.Done():
		a.failed = a.ctx.Err()
		return false
	}
}

func (a *ahead) release() {
	if a.slots != nil {
		<-a.slots
	}
}

// list asks for the next page of the listing.
func (a *ahead) list() bool {
	if a.ended {
		return false
	}
	page, err := a.lister.ListVersions(a.ctx, a.object, a.listing)
	if err != nil {
		a.failed = err
		return false
	}
	a.listed = page.Versions
	a.listing.Token = page.Next
	a.ended = page.Next == ""
	return true
}

func (a *ahead) enqueue(f *fetched) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue = append(a.queue, f)
	a.wake()
}

// await returns when the first body in flight is here. The consumer fetches that
// one alone: with another it might be busy long after the one that it needs has
// come.
func (a *ahead) await(f *fetched) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queue) > 0 && a.queue[0] == f {
		a.queue = a.queue[1:]
		a.fetchQueued(f)
	}
	for !f.here {
		a.awaited = f
		a.arrived.Wait()
	}
	a.manned = a.readers > a.idle
}

// reader fetches what is queued, beginning at the end that the consumer comes to
// last, so that the two do not meet before all is done.
func (a *ahead) reader() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		a.waking = false
		for last := len(a.queue) - 1; last >= 0 && !a.closed; last = len(a.queue) - 1 {
			f := a.queue[last]
			a.queue = a.queue[:last]
			a.fetchQueued(f)
		}
		if a.closed {
			return
		}
		if a.linger() {
			continue
		}
		a.idle++
		a.more.Wait()
		a.idle--
	}
}

// lingering is how many times a reader looks for something to do before it sleeps.
// Where bodies come at once there is, before it could be asleep and awake again.
const lingering = 20

// linger waits a moment for the queue to have something, and tells whether it is
// worth looking. Meanwhile nobody else need be called.
func (a *ahead) linger() bool {
	a.waking = true
	for range lingering {
		a.mu.Unlock()
		runtime.Gosched()
		a.mu.Lock()
		if len(a.queue) > 0 || a.closed {
			return true
		}
	}
	a.waking = false
	return false
}

// wake has one more reader come to the queue. While one is on its way nobody else
// need be called: it calls the next.
func (a *ahead) wake() {
	switch {
	case a.waking || len(a.queue) == 0:
	case a.idle > 0:
		a.waking = true
		a.more.Signal()
	case a.readers < a.window:
		a.waking = true
		a.readers++
		a.running.Go(a.reader)
	}
}

// fetchQueued fetches a version taken from the queue, with the lock released.
func (a *ahead) fetchQueued(f *fetched) {
	a.wake()
	a.mu.Unlock()
	a.fetch(f)
	a.mu.Lock()
	f.here = true
	if f == a.awaited {
		a.arrived.Signal()
	}
}

func (a *ahead) fetch(f *fetched) {
	obj, err := a.core.store.GetVersion(a.ctx, a.object, f.ID)
	if err != nil {
		f.err = err
		return
	}
	f.ETag = obj.ETag
	if a.object == a.core.prefix+wire.LogName {
		f.v, f.err = a.core.readLogVersion(f.ID, obj.Body)
	} else {
		f.v, f.err = a.core.readKeyVersion(a.ctx, a.object, f.ID, obj.Body)
	}
}
