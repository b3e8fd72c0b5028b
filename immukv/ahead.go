package immukv

import (
	"context"
	"sync"

	"github.com/immukv/immukv-go/backend"
)

// ahead reads the versions of one object in the order in which the store lists
// them, a bounded number of bodies ahead of its consumer. It belongs to one
// goroutine, which closes it.
type ahead struct {
	core   *core
	object string

	ctx     context.Context
	cancel  context.CancelFunc
	jobs    chan *fetched // for the readers, which are started as they are needed
	readers int
	running sync.WaitGroup

	listing  backend.VersionsRequest
	listed   []backend.Version // of the page at hand, not yet fetched
	ended    bool              // there is no further page
	failed   error             // the listing's error, told when its place comes
	inflight []*fetched        // in the order of the listing
	window   int
	budget   int // bodies that may yet be fetched; negative: any number

	// slots, if set, bounds the bodies that several readers hold together.
	slots slots
	// onMarker, if set, is told of delete markers, which are not read.
	onMarker func(backend.Version)
}

// slots counts bodies that are on their way or wait for their consumer.
type slots chan struct{}

// fetched is one version on its way from the store, or here.
type fetched struct {
	backend.Version
	ready chan struct{} // closed when v and err are set
	v     *version      // may be set beside err: read, but not to be trusted
	err   error
}

// readAhead begins to read versions of an object: all of them, or those older than
// after, and not more than limit if that is positive.
func (c *core) readAhead(ctx context.Context, object string, after backend.VersionID, limit int) *ahead {
	a := &ahead{core: c, object: object, window: c.concurrency, budget: -1}
	a.listing.After = after
	if limit > 0 {
		a.budget = limit
		a.listing.Limit = min(limit, backend.MaxPageSize)
	}
	a.jobs = make(chan *fetched, a.window)
	a.ctx, a.cancel = context.WithCancel(ctx)
	return a
}

// close stops what is under way and waits for it.
func (a *ahead) close() {
	a.cancel()
	close(a.jobs)
	a.running.Wait()
	for range a.inflight {
		a.release()
	}
	a.inflight = nil
}

// next is the next version in the order of the listing, or nil at the end.
func (a *ahead) next() (*fetched, error) {
	// Not at every body: readers that find several to fetch fetch them in one go,
	// where each would otherwise have to be woken by itself.
	if len(a.inflight) <= a.window/2 {
		a.fill()
	}
	if len(a.inflight) == 0 {
		return nil, a.failed
	}
	f := a.inflight[0]
	a.inflight = a.inflight[1:]
	<-f.ready
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
		f := &fetched{Version: a.listed[0], ready: make(chan struct{})}
		a.listed = a.listed[1:]
		a.budget--
		a.inflight = append(a.inflight, f)
		a.jobs <- f // never waits: it has room for a window
		if a.readers < min(a.window, len(a.inflight)) {
			a.readers++
			a.running.Go(a.reader)
		}
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
	page, err := a.core.store.ListVersions(a.ctx, a.object, a.listing)
	if err != nil {
		a.failed = err
		return false
	}
	a.listed = page.Versions
	a.listing.Token = page.Next
	a.ended = page.Next == ""
	return true
}

// reader fetches what is to be fetched. There are as many readers as there were
// ever bodies under way at once, not one for each body: a goroutine that is made
// anew grows its stack anew, which is a good part of the time that a body from
// memory takes.
func (a *ahead) reader() {
	for f := range a.jobs {
		a.fetch(f)
		close(f.ready)
	}
}

func (a *ahead) fetch(f *fetched) {
	obj, err := a.core.store.GetVersion(a.ctx, a.object, f.ID)
	if err != nil {
		f.err = err
		return
	}
	f.ETag = obj.ETag
	if a.object == a.core.prefix+logName {
		f.v, f.err = a.core.readLogVersion(f.ID, obj.Body)
	} else {
		f.v, f.err = a.core.readKeyVersion(a.ctx, a.object, f.ID, obj.Body)
	}
}
