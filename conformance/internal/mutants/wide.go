package mutants

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/immukv/immukv-go/backend"
)

// Batches write many key objects at once, and log versions of several lines.
// Single entries do neither. The stores of this file keep the contract while only
// single entries are written, and while 32 writers race for one object.

// room is how many requests a crowded store performs correctly side by side: more
// than a race has, and fewer than a batch.
const room = 48

// putting performs one write.
type putting func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error)

// crowd counts the calls under way. Each takes as long as a disk does, and longer while
// others begin, so that those which a caller makes at once are under way at once, even on
// a busy machine.
type crowd struct{ under, begun atomic.Int64 }

// enter begins a call, and returns how many are under way.
func (c *crowd) enter() int64 {
	c.begun.Add(1)
	return c.under.Add(1)
}

// wait returns when no call has begun for a while.
func (c *crowd) wait() {
	for begun := int64(0); begun != c.begun.Load(); {
		begun = c.begun.Load()
		time.Sleep(syncTime)
	}
}

func (c *crowd) leave() { c.under.Add(-1) }

// crowded makes a store that mishandles the writes for which it has no room.
func crowded(mishandle func(w *world, h *handle, honest putting) putting) mutation {
	return crowdedFrom(func(under int64) bool { return under > room }, mishandle)
}

// crowdedFrom makes a store that mishandles some writes, by how many are under way.
func crowdedFrom(wrong func(under int64) bool, mishandle func(w *world, h *handle, honest putting) putting) mutation {
	return shared(func(w *world, h *handle) {
		var writes crowd
		honest := putting(h.put)
		mishandled := mishandle(w, h, honest)
		h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			defer writes.leave()
			perform := honest
			if wrong(writes.enter()) && backend.CheckPut(name, body, cond) == nil && len(body) <= maxBody {
				perform = mishandled
			}
			writes.wait()
			return perform(ctx, name, body, cond)
		}
	})
}

// exchanged returns what it was given before, and keeps what it is given now.
func exchanged[T any]() func(now T) (before T, ok bool) {
	var mu sync.Mutex
	var held []T
	return func(now T) (before T, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if len(held) > 0 {
			before, ok = held[0], true
		}
		held = []T{now}
		return before, ok
	}
}

// ofBatches marks mutants.
func ofBatches(all []Mutant) []Mutant {
	for i := range all {
		all[i].OfBatches = true
	}
	return all
}

var wideMutants = ofBatches([]Mutant{
	{
		Name: "wide-lost", Clause: "S19",
		Habit: "acknowledges a write that finds its queue full, and drops it: one of many under way at once",
		mutate: crowdedFrom(func(under int64) bool { return under == room+1 }, func(_ *world, _ *handle, _ putting) putting {
			var lost atomic.Int64
			return func(context.Context, string, []byte, backend.Condition) (backend.Version, error) {
				n := lost.Add(1)
				return backend.Version{ID: backend.VersionID(fmt.Sprintf("lost-%d", n)), ETag: backend.ETag(fmt.Sprintf("%q", fmt.Sprintf("lost-%d", n)))}, nil
			}
		}),
	},
	{
		Name: "wide-bodies-mixed-up", Clause: "S19",
		Habit: "has a fixed number of buffers for small bodies, and gives two writes the same one when more are under way",
		mutate: crowded(func(_ *world, _ *handle, honest putting) putting {
			buffer := exchanged[[]byte]()
			return func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				if before, ok := buffer(bytes.Clone(body)); ok {
					body = before
				}
				return honest(ctx, name, body, cond)
			}
		}),
	},
	{
		Name: "wide-answers-crossed", Clause: "S19",
		Habit: "has a fixed number of slots for answers, and returns the version ID and ETag of another object's write when more are under way",
		mutate: crowded(func(_ *world, _ *handle, honest putting) putting {
			slot := exchanged[backend.Version]()
			return func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				v, err := honest(ctx, name, body, cond)
				if err != nil {
					return v, err
				}
				if before, ok := slot(v); ok {
					v = before
				}
				return v, nil
			}
		}),
	},
	{
		Name: "wide-conditions-crossed", Clause: "S19",
		Habit: "checks the condition of a write on the object of another write, when many are under way at once",
		mutate: crowded(func(w *world, _ *handle, honest putting) putting {
			slot := exchanged[string]()
			return func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				other, ok := slot(name)
				switch {
				case !ok:
					return honest(ctx, name, body, cond)
				case !w.holds(ctx, other, cond):
					return failed(name)
				}
				return w.force(ctx, name, body)
			}
		}),
	},
	{
		Name: "wide-unconditional", Clause: "S19",
		Habit: "skips the check of the condition under load",
		mutate: crowded(func(w *world, _ *handle, _ putting) putting {
			return func(ctx context.Context, name string, body []byte, _ backend.Condition) (backend.Version, error) {
				return w.force(ctx, name, body)
			}
		}),
	},
	{
		Name: "wide-told-they-lost", Clause: "S19",
		Habit: "answers 409 under load, which is passed on as a failed precondition",
		mutate: crowded(func(*world, *handle, putting) putting {
			return func(_ context.Context, name string, _ []byte, _ backend.Condition) (backend.Version, error) {
				return failed(name)
			}
		}),
	},
	{
		Name: "wide-unavailable-yet-applied", Clause: "S19",
		Habit: "answers 503 under load for writes that it has applied, as a proxy does whose time is up",
		mutate: crowded(func(_ *world, _ *handle, honest putting) putting {
			return func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				v, err := honest(ctx, name, body, cond)
				if err == nil {
					v, err = backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrUnavailable}
				}
				return v, err
			}
		}),
	},
	{
		Name: "wide-names-unlisted", Clause: "S19",
		Habit: "keeps its names in an index, of which entries are lost when many objects are created at once",
		mutate: crowded(func(w *world, h *handle, honest putting) putting {
			var unlisted sync.Map
			h.listNames = func(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
				page, err := w.ListNames(ctx, req)
				page.Names = slices.DeleteFunc(page.Names, func(name string) bool { _, ok := unlisted.Load(name); return ok })
				return page, err
			}
			return func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				v, err := honest(ctx, name, body, cond)
				if err == nil && cond.Absent() {
					unlisted.Store(name, true)
				}
				return v, err
			}
		}),
	},
	{
		Name: "wide-stale-reads", Clause: "S19",
		Habit: "caches current versions, and drops the invalidations of a burst of writes that its queue does not hold",
		mutate: crowded(func(w *world, h *handle, honest putting) putting {
			var cache sync.Map
			h.get = func(ctx context.Context, name string) (backend.Object, error) {
				if o, ok := cache.Load(name); ok {
					cached := o.(backend.Object)
					cached.Body = bytes.Clone(cached.Body)
					return cached, nil
				}
				return w.Get(ctx, name)
			}
			return func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				before, absent := w.Get(ctx, name)
				v, err := honest(ctx, name, body, cond)
				if err == nil && absent == nil {
					cache.Store(name, before)
				}
				return v, err
			}
		}),
	},
	{
		Name: "wide-versions-disordered", Clause: "S19",
		Habit: "indexes versions in the background, and out of order after a burst of writes",
		mutate: crowded(func(w *world, h *handle, honest putting) putting {
			var disordered sync.Map
			h.listVersions = func(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
				page, err := w.ListVersions(ctx, name, req)
				if _, ok := disordered.Load(name); ok && len(page.Versions) > 1 {
					page.Versions[0], page.Versions[1] = page.Versions[1], page.Versions[0]
				}
				return page, err
			}
			return func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				v, err := honest(ctx, name, body, cond)
				if err == nil {
					disordered.Store(name, true)
				}
				return v, err
			}
		}),
	},
	{
		Name: "wide-heads-crossed", Clause: "S19",
		Habit: "has a fixed number of connections for HEAD, and returns another object's version when more are under way",
		mutate: shared(func(w *world, h *handle) {
			var heads crowd
			slot := exchanged[backend.Version]()
			h.head = func(ctx context.Context, name string) (backend.Version, error) {
				defer heads.leave()
				full := heads.enter() > room
				heads.wait()
				v, err := w.Head(ctx, name)
				if err != nil || !full {
					return v, err
				}
				if before, ok := slot(v); ok {
					v = before
				}
				return v, nil
			}
		}),
	},
	{
		Name: "checked-before-body", Clause: "S3",
		Habit: "checks the condition when a large write begins, and writes when all of its body has arrived",
		mutate: shared(func(w *world, h *handle) {
			arrivals := newMeeting()
			honest := h.put
			h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				switch {
				case len(body) < large || len(body) > maxBody || backend.CheckPut(name, body, cond) != nil || ctx.Err() != nil:
					return honest(ctx, name, body, cond)
				case !w.holds(ctx, name, cond):
					return failed(name)
				}
				arrivals.wait(name)
				return w.force(ctx, name, body)
			}
		}),
	},
	{
		Name: "first-document-only", Clause: "S13",
		Habit: "keeps JSON in a column for it, and of several documents in one body only the first",
		mutate: rewriting(func(body []byte) []byte {
			var first json.RawMessage
			decoder := json.NewDecoder(bytes.NewReader(body))
			if bytes.HasPrefix(body, []byte("{")) && decoder.Decode(&first) == nil && decoder.More() {
				return first
			}
			return body
		}),
	},
	{
		Name: "lines-limited", Clause: "S13",
		Habit: "takes a body for text, and keeps its first hundred lines",
		mutate: rewriting(func(body []byte) []byte {
			const limit = 100
			if lines := bytes.SplitAfter(body, []byte("\n")); utf8.Valid(body) && len(lines) > limit {
				return bytes.Join(lines[:limit], nil)
			}
			return body
		}),
	},
})
