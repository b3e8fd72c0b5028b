package readahead

import (
	"context"
	"errors"
	"slices"

	"github.com/immukv/immukv-go/backend"
)

// Lister is the part of a [backend.VersionedStore] that a [Reader] calls itself.
type Lister interface {
	ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error)
}

// Config says what a [Reader] reads, and how far ahead.
type Config[T any] struct {
	// Store lists the versions of Object.
	Store  Lister
	Object string
	// After makes the reading begin with the version before (older than) this one.
	// Empty begins with the newest.
	After backend.VersionID
	// Limit is the maximum number of bodies to fetch. Zero means no limit.
	Limit int
	// Window is the maximum number of bodies that are being fetched, or waiting for the
	// consumer, at once. It must be at least 1.
	Window int
	// Fetch reads and parses one version. It is called from several goroutines, once for
	// each version, and must return soon after its context ends.
	Fetch func(context.Context, backend.Version) (T, error)
	// Slots, if not nil, bounds the bodies of all readers that share it, in addition
	// to the window of each.
	Slots Slots
	// OnMarker, if not nil, is called with each delete marker in the listing, from
	// within [Reader.Next]. Markers are not fetched and do not count.
	OnMarker func(backend.Version)
}

// Slots bounds how many bodies several readers together are fetching or holding for their
// consumers. Any number of readers and goroutines may share it.
type Slots chan struct{}

// NewSlots returns n slots.
func NewSlots(n int) Slots { return make(Slots, n) }

// Item is one version that was fetched. Value and Err are what Fetch returned.
type Item[T any] struct {
	backend.Version
	Value T
	Err   error
}

// Reader reads the versions of an object in order. It belongs to one goroutine,
// which must close it.
type Reader[T any] struct {
	cfg    Config[T]
	ctx    context.Context
	cancel context.CancelFunc

	listing backend.VersionsRequest
	listed  []backend.Version // of the current page, not yet begun
	ended   bool              // there is no further page
	failed  error             // of the listing; returned once all before it is consumed
	left    int               // bodies that may still be begun; negative: any number

	ahead []*body[T] // begun or queued, in the order of the listing
	fetchers[T]
}

// New returns a reader. It sends no request: the first call of [Reader.Next] does.
// The reader and all of its fetches end with ctx.
func New[T any](ctx context.Context, c Config[T]) *Reader[T] {
	r := &Reader[T]{cfg: c, left: -1}
	r.listing.After = c.After
	if c.Limit > 0 {
		r.left = c.Limit
		r.listing.Limit = min(c.Limit, backend.MaxPageSize)
	}
	r.ctx, r.cancel = context.WithCancel(ctx)
	return r
}

var errClosed = errors.New("readahead: the reader is closed")

// Close cancels the fetches under way and returns when all of them have returned and
// no goroutine of the reader is left. Closing again does nothing.
func (r *Reader[T]) Close() {
	r.cancel()
	r.stop()
	for range r.ahead {
		r.release()
	}
	r.ahead = nil
	r.failed = errClosed
}

// Next returns the next version in the order of the listing, or nil at the end. A
// version that could not be fetched is an item with an error, in its place. The
// error that Next itself returns is the listing's, or the context's, and is final.
func (r *Reader[T]) Next() (*Item[T], error) {
	r.fill()
	if len(r.ahead) == 0 {
		return nil, r.failed
	}
	b := r.ahead[0]
	r.ahead = r.ahead[1:]
	r.await(b)
	r.release()
	return &b.Item, nil
}

// LimitReached reports whether as many bodies were begun as the limit allows.
func (r *Reader[T]) LimitReached() bool { return r.left == 0 }

// Seek skips what is listed before the version for which at returns true, except for
// the last keep versions before it. It reports whether there is such a version; if
// not, nothing is left to read. It must be called before Next.
func (r *Reader[T]) Seek(at func(backend.Version) bool, keep int) (found bool, err error) {
	r.listing.Limit = 0 // pages of any size: most of them are skipped
	var before []backend.Version
	for {
		for len(r.listed) == 0 {
			if !r.list() {
				return false, r.failed
			}
		}
		if i := slices.IndexFunc(r.listed, at); i >= 0 {
			from := max(0, len(before)+i-keep)
			r.listed = append(before, r.listed...)[from:]
			return true, nil
		}
		before = append(before, r.listed...)
		before = slices.Clone(before[max(0, len(before)-keep):])
		r.listed = nil
	}
}

// fill starts fetches until the window is full.
func (r *Reader[T]) fill() {
	for len(r.ahead) < r.cfg.Window && r.failed == nil && r.left != 0 {
		if len(r.listed) == 0 {
			if !r.list() {
				return
			}
			continue // the page may be empty and not the last
		}
		if v := r.listed[0]; v.DeleteMarker {
			if r.cfg.OnMarker != nil {
				r.cfg.OnMarker(v)
			}
			r.listed = r.listed[1:]
			continue
		}
		if !r.acquire() {
			return
		}
		b := &body[T]{Item: Item[T]{Version: r.listed[0]}, done: make(chan struct{})}
		r.listed = r.listed[1:]
		r.left--
		r.ahead = append(r.ahead, b)
		r.begin(b)
	}
}

// list requests the next page of the listing.
func (r *Reader[T]) list() bool {
	if r.ended {
		return false
	}
	page, err := r.cfg.Store.ListVersions(r.ctx, r.cfg.Object, r.listing)
	if err != nil {
		r.failed = err
		return false
	}
	r.listed = page.Versions
	r.listing.Token = page.Next
	r.ended = page.Next == ""
	return true
}

// acquire acquires a slot. It waits only if this reader holds none: two readers that hold
// slots while they wait could wait for each other.
func (r *Reader[T]) acquire() bool {
	if r.cfg.Slots == nil {
		return true
	}
	if len(r.ahead) > 0 {
		select {
		case r.cfg.Slots <- struct{}{}:
			return true
		default:
			return false
		}
	}
	select {
	case r.cfg.Slots <- struct{}{}:
		return true
	case <-r.ctx.Done():
		r.failed = r.ctx.Err()
		return false
	}
}

func (r *Reader[T]) release() {
	if r.cfg.Slots != nil {
		<-r.cfg.Slots
	}
}
