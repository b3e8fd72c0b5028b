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
	close        func() // nil: nothing to do
}

var _ backend.Store = (*handle)(nil)

func (h *handle) Close() error {
	if h.close != nil {
		h.close()
	}
	return nil
}

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

// honest returns a correct handle. It reads w.Store at each call, because a
// restart replaces it.
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

// mutation turns a correct store into a function that opens handles of a
// mutant.
type mutation func(w *world) (open func() *handle)

// each changes every handle separately.
func each(change func(w *world, h *handle)) mutation {
	return func(w *world) func() *handle {
		return func() *handle {
			h := w.honest()
			change(w, h)
			return h
		}
	}
}

// shared makes one handle that all users share, with its state.
func shared(change func(w *world, h *handle)) mutation {
	return func(w *world) func() *handle {
		h := w.honest()
		change(w, h)
		return func() *handle { return h }
	}
}

// put makes mutants that change only Put.
func put(f func(ctx context.Context, w *world, name string, body []byte, cond backend.Condition) (backend.Version, error)) mutation {
	return each(func(w *world, h *handle) {
		honest := h.put
		h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			// What no store may perform is rejected as usual.
			if backend.CheckPut(name, body, cond) != nil || len(body) > maxBody || ctx.Err() != nil {
				return honest(ctx, name, body, cond)
			}
			return f(ctx, w, name, body, cond)
		}
	})
}

// failing is a handle on which every call fails.
func failing(cause error) *handle {
	fail := func(op, name string) error { return &backend.Error{Op: op, Name: name, Err: cause} }
	return &handle{
		get: func(_ context.Context, name string) (backend.Object, error) {
			return backend.Object{}, fail("get", name)
		},
		getVersion: func(_ context.Context, name string, _ backend.VersionID) (backend.Object, error) {
			return backend.Object{}, fail("get version", name)
		},
		head: func(_ context.Context, name string) (backend.Version, error) {
			return backend.Version{}, fail("head", name)
		},
		put: func(_ context.Context, name string, _ []byte, _ backend.Condition) (backend.Version, error) {
			return backend.Version{}, fail("put", name)
		},
		listVersions: func(_ context.Context, name string, _ backend.VersionsRequest) (backend.VersionsPage, error) {
			return backend.VersionsPage{}, fail("list versions", name)
		},
		listNames: func(_ context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
			return backend.NamesPage{}, fail("list names", req.Prefix)
		},
	}
}

// force writes without a condition.
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

// checkThenWrite checks the condition and then writes. Others may do the same
// in between.
func (w *world) checkThenWrite(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if !w.holds(ctx, name, cond) {
		return failed(name)
	}
	dawdle()
	return w.force(ctx, name, body)
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
func failed(name string) (backend.Version, error) {
	return backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrPreconditionFailed}
}

// dawdle lets other goroutines run.
func dawdle() {
	for range 20 {
		runtime.Gosched()
	}
}
