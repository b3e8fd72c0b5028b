package mutants

import (
	"context"
	"errors"
	"runtime"

	"github.com/immukv/immukv-go/backend"
)

// handle is a store whose methods a mutant replaces one by one.
type handle struct {
	get          func(ctx context.Context, name string) (backend.Object, error)
	getVersion   func(ctx context.Context, name string, id backend.VersionID) (backend.Object, error)
	head         func(ctx context.Context, name string) (backend.Version, error)
	put          func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error)
	listVersions func(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error)
	listNames    func(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error)
}

var _ backend.VersionedStore = (*handle)(nil)

func (h *handle) Get(ctx context.Context, name string) (backend.Object, error) {
	return h.get(ctx, name)
}

func (h *handle) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	return h.getVersion(ctx, name, id)
}

func (h *handle) Head(ctx context.Context, name string) (backend.Version, error) {
	return h.head(ctx, name)
}

func (h *handle) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	return h.put(ctx, name, body, cond)
}

func (h *handle) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	return h.listVersions(ctx, name, req)
}

func (h *handle) ListNames(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
	return h.listNames(ctx, req)
}

// honest is a handle that does everything right. It looks up the store at each
// call, for a restart puts another in its place.
func (w *world) honest() *handle {
	return &handle{
		get: func(ctx context.Context, name string) (backend.Object, error) { return w.Get(ctx, name) },
		getVersion: func(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
			return w.GetVersion(ctx, name, id)
		},
		head: func(ctx context.Context, name string) (backend.Version, error) { return w.Head(ctx, name) },
		put: func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			if len(body) > maxBody {
				return backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrTooLarge}
			}
			return w.Put(ctx, name, body, cond)
		},
		listVersions: func(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
			return w.ListVersions(ctx, name, req)
		},
		listNames: func(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
			return w.ListNames(ctx, req)
		},
	}
}

// each makes every handle anew from an honest one.
func each(change func(w *world, h *handle)) func(*world) func() *handle {
	return func(w *world) func() *handle {
		return func() *handle {
			h := w.honest()
			change(w, h)
			return h
		}
	}
}

// shared makes one handle for all to use, which holds what it remembers.
func shared(change func(w *world, h *handle)) func(*world) func() *handle {
	return func(w *world) func() *handle {
		h := w.honest()
		change(w, h)
		return func() *handle { return h }
	}
}

// failing is a handle on which every call fails.
func failing(err error) *handle {
	return &handle{
		get: func(context.Context, string) (backend.Object, error) { return backend.Object{}, err },
		getVersion: func(context.Context, string, backend.VersionID) (backend.Object, error) {
			return backend.Object{}, err
		},
		head: func(context.Context, string) (backend.Version, error) { return backend.Version{}, err },
		put: func(context.Context, string, []byte, backend.Condition) (backend.Version, error) {
			return backend.Version{}, err
		},
		listVersions: func(context.Context, string, backend.VersionsRequest) (backend.VersionsPage, error) {
			return backend.VersionsPage{}, err
		},
		listNames: func(context.Context, backend.NamesRequest) (backend.NamesPage, error) {
			return backend.NamesPage{}, err
		},
	}
}

// force writes whatever the condition.
func (w *world) force(ctx context.Context, name string, body []byte) (backend.Version, error) {
	for {
		cond := backend.IfAbsent()
		if v, err := w.Head(ctx, name); err == nil {
			cond = backend.IfMatch(v.ETag)
		}
		v, err := w.Put(ctx, name, body, cond)
		if !errors.Is(err, backend.ErrPreconditionFailed) {
			return v, err
		}
	}
}

// holds reports whether a condition holds at present.
func (w *world) holds(ctx context.Context, name string, cond backend.Condition) bool {
	v, err := w.Head(ctx, name)
	if cond.Absent() {
		return err != nil
	}
	return err == nil && v.ETag == cond.ETag()
}

// versions lists all versions of an object.
func (w *world) versions(ctx context.Context, name string) []backend.Version {
	page, err := w.ListVersions(ctx, name, backend.VersionsRequest{})
	if err != nil {
		return nil
	}
	return page.Versions
}

// failed is how a write ends whose condition does not hold.
func failed() (backend.Version, error) {
	return backend.Version{}, &backend.Error{Op: "put", Kind: backend.ErrPreconditionFailed}
}

// dawdle gives others the time in which a check grows stale.
func dawdle() {
	for range 20 {
		runtime.Gosched()
	}
}
