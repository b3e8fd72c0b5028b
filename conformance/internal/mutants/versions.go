package mutants

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
)

var versionMutants = []Mutant{
	{
		Name: "body-kept", Clause: "S8",
		Habit: "keeps the slice that it was passed",
		mutate: shared(func(w *world, h *handle) {
			var kept sync.Map
			h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				v, err := w.Put(ctx, name, body, cond)
				if err == nil {
					kept.Store(v.ID, body)
				}
				return v, err
			}
			h.getVersion = func(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
				o, err := w.GetVersion(ctx, name, id)
				if body, ok := kept.Load(id); ok && err == nil {
					o.Body = append([]byte(nil), body.([]byte)...)
				}
				return o, err
			}
		}),
	},
	{
		Name: "body-shared", Clause: "S8",
		Habit: "returns the slice that it keeps",
		mutate: shared(func(w *world, h *handle) {
			var mu sync.Mutex
			cache := make(map[backend.VersionID]backend.Object)
			h.get = func(ctx context.Context, name string) (backend.Object, error) {
				mu.Lock()
				defer mu.Unlock()
				o, err := w.Get(ctx, name)
				if err != nil {
					return o, err
				}
				if _, ok := cache[o.ID]; !ok {
					cache[o.ID] = o
				}
				return cache[o.ID], nil
			}
		}),
	},
	{
		Name: "old-versions-gone", Clause: "S8",
		Habit: "returns version IDs but cannot read old versions, as Cloudflare R2",
		mutate: each(func(w *world, h *handle) {
			h.getVersion = func(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
				o, err := w.Get(ctx, name)
				if err == nil && o.ID != id {
					return backend.Object{}, &backend.Error{Op: "get version", Name: name, Version: id, Kind: backend.ErrNotFound}
				}
				return o, err
			}
		}),
	},
	{
		Name: "version-ignored", Clause: "S8",
		Habit: "ignores the version asked for, and returns the current one",
		mutate: each(func(w *world, h *handle) {
			h.getVersion = func(ctx context.Context, name string, _ backend.VersionID) (backend.Object, error) {
				return w.Get(ctx, name)
			}
		}),
	},
	{
		Name: "expiring-versions", Clause: "S8",
		Habit: "keeps the ten newest versions, as a bucket with a rule for noncurrent ones",
		mutate: each(func(w *world, h *handle) {
			h.getVersion = func(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
				for i, v := range w.versions(ctx, name) {
					if v.ID == id && i >= 10 {
						return backend.Object{}, &backend.Error{Op: "get version", Name: name, Version: id, Kind: backend.ErrNotFound}
					}
				}
				return w.GetVersion(ctx, name, id)
			}
		}),
	},
	{
		Name: "weak-etag", Clause: "S8",
		Habit: "returns another ETag for a read than for the write, as behind a proxy that compresses",
		mutate: each(func(w *world, h *handle) {
			h.head = func(ctx context.Context, name string) (backend.Version, error) {
				v, err := w.Head(ctx, name)
				if err == nil {
					v.ETag = "W/" + v.ETag
				}
				return v, err
			}
		}),
	},
	{
		Name: "ids-by-content", Clause: "S9",
		Habit: "names versions by a digest of their body, so that equal bodies share an ID",
		mutate: renumber(func(_ *renumbered, body []byte) backend.VersionID {
			return backend.VersionID(fmt.Sprintf("%x", sha256.Sum256(body)))
		}),
	},
	{
		Name: "ids-reused", Clause: "S9",
		Habit: "counts versions in memory, so that IDs are repeated after a restart",
		mutate: renumber(func(r *renumbered, _ []byte) backend.VersionID {
			r.count++
			return backend.VersionID(fmt.Sprintf("v%d", r.count))
		}),
	},
	{
		Name: "etag-from-size", Clause: "S9",
		Habit: "makes the ETag from size and time, and time is coarse",
		mutate: shared(func(w *world, h *handle) {
			size := func(v backend.Version, body []byte) backend.Version {
				v.ETag = backend.ETag(fmt.Sprintf(`"%x"`, len(body)))
				return v
			}
			h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				if o, err := w.Get(ctx, name); err == nil && size(o.Version, o.Body).ETag == cond.ETag() {
					cond = backend.IfMatch(o.ETag)
				}
				v, err := w.Put(ctx, name, body, cond)
				return size(v, body), err
			}
			h.head = func(ctx context.Context, name string) (backend.Version, error) {
				o, err := w.Get(ctx, name)
				return size(o.Version, o.Body), err
			}
		}),
	},
}

// renumbered is the state of a store that gives its versions other IDs.
type renumbered struct {
	mu    sync.Mutex
	count int
	shown map[backend.VersionID]backend.VersionID // by the true ID
}

// renumber makes a store that chooses its own version IDs.
func renumber(id func(r *renumbered, body []byte) backend.VersionID) mutation {
	return shared(func(w *world, h *handle) {
		r := &renumbered{shown: make(map[backend.VersionID]backend.VersionID)}
		w.onRestart = func(*memstore.State) { r.count = 0 }
		show := func(v backend.Version) backend.Version {
			r.mu.Lock()
			defer r.mu.Unlock()
			v.ID = r.shown[v.ID]
			return v
		}
		h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			v, err := w.Put(ctx, name, body, cond)
			if err != nil {
				return v, err
			}
			r.mu.Lock()
			r.shown[v.ID] = id(r, body)
			r.mu.Unlock()
			return show(v), nil
		}
		h.head = func(ctx context.Context, name string) (backend.Version, error) {
			v, err := w.Head(ctx, name)
			return show(v), err
		}
		h.get = func(ctx context.Context, name string) (backend.Object, error) {
			o, err := w.Get(ctx, name)
			o.Version = show(o.Version)
			return o, err
		}
		h.listVersions = func(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
			page, err := w.ListVersions(ctx, name, req)
			for i, v := range page.Versions {
				page.Versions[i] = show(v)
			}
			return page, err
		}
	})
}
