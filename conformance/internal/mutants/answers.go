package mutants

import (
	"bytes"
	"context"
	"os"
	"sync"
	"sync/atomic"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
)

// answering makes a store that writes correctly, and returns something other
// than what it wrote.
func answering(change func(v *backend.Version)) mutation {
	return put(func(ctx context.Context, w *world, name string, body []byte, cond backend.Condition) (backend.Version, error) {
		v, err := w.Put(ctx, name, body, cond)
		if err == nil {
			change(&v)
		}
		return v, err
	})
}

// late makes a store whose answer to a write depends on the answer to the write
// before.
func late(answer func(now, before backend.Version) backend.Version) mutation {
	return shared(func(w *world, h *handle) {
		var mu sync.Mutex
		last := make(map[string]backend.Version)
		h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			mu.Lock()
			defer mu.Unlock()
			v, err := w.Put(ctx, name, body, cond)
			if err != nil {
				return v, err
			}
			before, ok := last[name]
			last[name] = v
			if ok {
				v = answer(v, before)
			}
			return v, nil
		}
	})
}

var answerMutants = []Mutant{
	{
		Name: "null-version", Clause: "S4",
		Habit:  "answers with the version ID null, as a bucket with suspended versioning does",
		mutate: answering(func(v *backend.Version) { v.ID = "null" }),
	},
	{
		Name: "no-version", Clause: "S4",
		Habit:  "answers without a version ID, as a bucket that never had versioning does",
		mutate: answering(func(v *backend.Version) { v.ID = "" }),
	},
	{
		Name: "no-etag", Clause: "S4",
		Habit:  "answers without an ETag",
		mutate: answering(func(v *backend.Version) { v.ETag = "" }),
	},
	{
		Name: "etag-of-before", Clause: "S4",
		Habit: "answers with the ETag of the version before",
		mutate: late(func(now, before backend.Version) backend.Version {
			return backend.Version{ID: now.ID, ETag: before.ETag}
		}),
	},
	{
		Name: "version-of-before", Clause: "S4",
		Habit:  "answers with the version before, as a cache that is filled by reads does",
		mutate: late(func(_, before backend.Version) backend.Version { return before }),
	},
	{
		Name: "lost-write", Clause: "S5",
		Habit: "reports success for one write in fifty that it never made, as a cache with a full disk does",
		mutate: shared(func(w *world, h *handle) {
			var writes atomic.Int64
			h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				if writes.Add(1)%50 == 0 && w.holds(ctx, name, cond) {
					aside := memstore.New()
					return aside.Put(ctx, name, body, backend.IfAbsent())
				}
				return w.Put(ctx, name, body, cond)
			}
		}),
	},
	{
		Name: "write-back", Clause: "S5",
		Habit: "acknowledges before it is durable, and forgets the last write of every object in a crash",
		mutate: shared(func(w *world, _ *handle) {
			w.onRestart = func(state *memstore.State) {
				for i, o := range state.Objects {
					if n := len(o.Versions); n > 1 {
						state.Objects[i].Versions = o.Versions[:n-1]
					}
				}
			}
		}),
	},
	{
		Name: "closed-for-all", Clause: "S5",
		Habit: "has one database for all handles of a process, and closes it with the first handle",
		mutate: func(w *world) func() *handle {
			var closed atomic.Bool
			w.onRestart = func(*memstore.State) { closed.Store(false) }
			return func() *handle {
				h := w.honest()
				h.close = func() { closed.Store(true) }
				put := h.put
				h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
					if closed.Load() {
						return backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrUnavailable, Err: os.ErrClosed}
					}
					return put(ctx, name, body, cond)
				}
				return h
			}
		},
	},
	{
		Name: "partial-read", Clause: "S6",
		Habit: "returns part of the body to readers while it is being written",
		mutate: shared(func(w *world, h *handle) {
			var under sync.Map
			h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				under.Store(name, bytes.Clone(body[:len(body)/2]))
				dawdle()
				defer under.Delete(name)
				return w.Put(ctx, name, body, cond)
			}
			h.get = func(ctx context.Context, name string) (backend.Object, error) {
				o, err := w.Get(ctx, name)
				if part, ok := under.Load(name); ok && err == nil {
					o.Body = bytes.Clone(part.([]byte))
				}
				return o, err
			}
		}),
	},
	{
		Name: "glimpse-of-a-create", Clause: "S6",
		Habit: "creates an empty object first, and then fills it, as a program that opens a file and writes to it",
		mutate: shared(func(w *world, h *handle) {
			var under sync.Map
			h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				if !cond.Absent() {
					return w.Put(ctx, name, body, cond)
				}
				under.Store(name, true)
				dawdle()
				defer under.Delete(name)
				return w.Put(ctx, name, body, cond)
			}
			h.get = func(ctx context.Context, name string) (backend.Object, error) {
				o, err := w.Get(ctx, name)
				if _, ok := under.Load(name); ok && err != nil {
					return backend.Object{Version: backend.Version{ID: "1", ETag: `"1"`}}, nil
				}
				return o, err
			}
		}),
	},
	{
		Name: "listed-before-readable", Clause: "S6",
		Habit: "adds a version to the listing before it can be read",
		mutate: shared(func(w *world, h *handle) {
			var under sync.Map
			h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				v, err := w.Put(ctx, name, body, cond)
				if err == nil {
					under.Store(v.ID, true)
					dawdle()
					under.Delete(v.ID)
				}
				return v, err
			}
			h.getVersion = func(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
				if _, ok := under.Load(id); ok {
					return backend.Object{}, &backend.Error{Op: "get version", Name: name, Version: id, Kind: backend.ErrNotFound}
				}
				return w.GetVersion(ctx, name, id)
			}
		}),
	},
}
