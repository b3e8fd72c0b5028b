package mutants

import (
	"context"
	"slices"
	"sync"

	"github.com/immukv/immukv-go/backend"
)

var freshnessMutants = []Mutant{
	{
		Name: "versions-listed-late", Clause: "S7",
		Habit: "lists versions from an index that lags behind the writes by one",
		mutate: each(func(w *world, h *handle) {
			h.listVersions = func(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
				page, err := w.ListVersions(ctx, name, req)
				if req.Token == "" && req.After == "" && len(page.Versions) > 1 {
					page.Versions = page.Versions[1:]
				}
				return page, err
			}
		}),
	},
	{
		Name: "names-listed-late", Clause: "S7",
		Habit: "lists names eventually: the last one made is missing until another is",
		mutate: shared(func(w *world, h *handle) {
			var mu sync.Mutex
			var last string
			h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				v, err := w.Put(ctx, name, body, cond)
				if err == nil && cond.Absent() {
					mu.Lock()
					defer mu.Unlock()
					last = name
				}
				return v, err
			}
			h.listNames = func(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
				page, err := w.ListNames(ctx, req)
				mu.Lock()
				defer mu.Unlock()
				page.Names = slices.DeleteFunc(page.Names, func(name string) bool { return name == last })
				return page, err
			}
		}),
	},
	{
		Name: "cached-current", Clause: "S7",
		Habit: "caches the current version of an object until it writes itself, as a caching client does",
		mutate: each(func(w *world, h *handle) {
			var cache sync.Map
			h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				cache.Delete(name)
				return w.Put(ctx, name, body, cond)
			}
			h.head = func(ctx context.Context, name string) (backend.Version, error) {
				if v, ok := cache.Load(name); ok {
					return v.(backend.Version), nil
				}
				v, err := w.Head(ctx, name)
				if err == nil {
					cache.Store(name, v)
				}
				return v, err
			}
		}),
	},
	{
		Name: "cached-absence", Clause: "S7",
		Habit: "caches for a while that an object is absent, as S3 did until 2020",
		mutate: each(func(w *world, h *handle) {
			var absent sync.Map
			h.get = func(ctx context.Context, name string) (backend.Object, error) {
				if left, ok := absent.Load(name); ok && left.(int) > 0 {
					absent.Store(name, left.(int)-1)
					return backend.Object{}, &backend.Error{Op: "get", Name: name, Kind: backend.ErrNotFound}
				}
				o, err := w.Get(ctx, name)
				if err != nil {
					absent.Store(name, 2)
				}
				return o, err
			}
		}),
	},
	{
		Name: "stale-replica", Clause: "S7",
		Habit: "reads every eighth time from a replica that lags behind by one version",
		mutate: shared(func(w *world, h *handle) {
			var mu sync.Mutex
			reads := 0
			h.get = func(ctx context.Context, name string) (backend.Object, error) {
				mu.Lock()
				reads++
				late := reads%8 == 0
				mu.Unlock()
				if versions := w.versions(ctx, name); late && len(versions) > 1 {
					return w.GetVersion(ctx, name, versions[1].ID)
				}
				return w.Get(ctx, name)
			}
		}),
	},
}
