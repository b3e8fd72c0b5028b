package mutants

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/immukv/immukv-go/backend"
)

var outcomeMutants = []Mutant{
	{
		Name: "denied-as-absent", Clause: "S14",
		Habit: "reports an object that may not be read as not found, as S3 does without permission to list",
		mutate: shared(func(w *world, _ *handle) {
			w.onDenied = backend.ErrNotFound
		}),
	},
	{
		Name: "no-bucket-as-absent", Clause: "S14",
		Habit: "reports every object of a bucket that does not exist as not found",
		mutate: shared(func(w *world, _ *handle) {
			w.onAbsent = fmt.Errorf("no such bucket: %w", backend.ErrNotFound)
		}),
	},
	{
		Name: "version-of-another", Clause: "S14",
		Habit: "falls back to the current version when it does not know the one asked for",
		mutate: each(func(w *world, h *handle) {
			h.getVersion = func(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
				o, err := w.GetVersion(ctx, name, id)
				if errors.Is(err, backend.ErrNotFound) {
					return w.Get(ctx, name)
				}
				return o, err
			}
		}),
	},
	{
		Name: "unknown-version-an-error", Clause: "S14",
		Habit: "fails, other than by not found, on a version ID that it cannot read",
		mutate: each(func(w *world, h *handle) {
			h.getVersion = func(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
				if len(id) != 16 && backend.CheckName(name) == nil {
					return backend.Object{}, &backend.Error{Op: "get version", Name: name, Version: id, Err: errors.New("invalid version ID")}
				}
				return w.GetVersion(ctx, name, id)
			}
		}),
	},
	{
		Name: "errors-bare", Clause: "S14",
		Habit: "returns sentinels as they are, without the operation and the object",
		mutate: each(func(w *world, h *handle) {
			h.get = func(ctx context.Context, name string) (backend.Object, error) {
				o, err := w.Get(ctx, name)
				if errors.Is(err, backend.ErrNotFound) {
					err = backend.ErrNotFound
				}
				return o, err
			}
		}),
	},
	{
		Name: "own-retry-lost", Clause: "S15",
		Habit: "sends a write again when its answer was late, and reports that its own first attempt came before",
		mutate: shared(func(w *world, h *handle) {
			var writes atomic.Int64
			h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				v, err := w.Put(ctx, name, body, cond)
				if err == nil && writes.Add(1)%20 == 0 {
					return failed(name)
				}
				return v, err
			}
		}),
	},
	{
		Name: "busy-as-failed", Clause: "S15",
		Habit: "reports that it is too busy as a failed precondition",
		mutate: shared(func(w *world, h *handle) {
			var under atomic.Int64
			h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				defer under.Add(-1)
				busy := under.Add(1) > 6
				dawdle()
				if busy {
					return failed(name)
				}
				return w.Put(ctx, name, body, cond)
			}
		}),
	},
	{
		Name: "ended-as-failed", Clause: "S15",
		Habit: "reports a write under an ended context as a failed precondition",
		mutate: each(func(w *world, h *handle) {
			h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				if err := ctx.Err(); err != nil {
					return backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrPreconditionFailed, Err: err}
				}
				return w.Put(ctx, name, body, cond)
			}
		}),
	},
	{
		Name: "cancelled-as-failed", Clause: "S16",
		Habit: "reports a write that was cancelled under way as one without effect, though it applied",
		mutate: each(func(w *world, h *handle) {
			h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				v, err := w.Put(context.WithoutCancel(ctx), name, body, cond)
				if delay(ctx) != nil && err == nil {
					return backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrUnavailable, Err: ctx.Err()}
				}
				return v, err
			}
		}),
	},
	{
		Name: "late-write", Clause: "S16",
		Habit: "reports a write that timed out as one without effect, and has it applied later",
		mutate: shared(func(w *world, h *handle) {
			var mu sync.Mutex
			var late []func()
			h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				if delay(ctx) == nil {
					return w.Put(ctx, name, body, cond)
				}
				mu.Lock()
				defer mu.Unlock()
				body = append([]byte(nil), body...)
				late = append(late, func() {
					_, _ = w.Put(context.WithoutCancel(ctx), name, body, cond) // no caller waits for it
				})
				return backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrUnavailable, Err: ctx.Err()}
			}
			h.head = func(ctx context.Context, name string) (backend.Version, error) {
				v, err := w.Head(ctx, name)
				mu.Lock()
				defer mu.Unlock()
				// A late write applies just after a read of the current
				// version.
				for _, write := range late {
					write()
				}
				late = nil
				return v, err
			}
			h.listVersions = func(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
				_, _ = h.head(ctx, name) // the listing comes long after
				return w.ListVersions(ctx, name, req)
			}
		}),
	},
	{
		Name: "cancelled-unclear", Clause: "S16",
		Habit: "returns the error of the context, and no more, for a write that may have applied",
		mutate: each(func(w *world, h *handle) {
			h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				v, err := w.Put(context.WithoutCancel(ctx), name, body, cond)
				if ended := delay(ctx); ended != nil && err == nil {
					return backend.Version{}, &backend.Error{Op: "put", Name: name, Err: ended}
				}
				return v, err
			}
		}),
	},
	{
		Name: "denied-unclear", Clause: "S17",
		Habit: "reports denied access as an error of no kind",
		mutate: shared(func(w *world, _ *handle) {
			w.onDenied = errors.New("status 403")
		}),
	},
	{
		Name: "context-ignored", Clause: "S18",
		Habit: "reads without checking the context",
		mutate: each(func(w *world, h *handle) {
			h.get = func(ctx context.Context, name string) (backend.Object, error) {
				return w.Get(context.WithoutCancel(ctx), name)
			}
		}),
	},
	{
		Name: "context-error-hidden", Clause: "S18",
		Habit: "replaces the error of the context, so that errors.Is does not find it",
		mutate: each(func(w *world, h *handle) {
			h.head = func(ctx context.Context, name string) (backend.Version, error) {
				v, err := w.Head(ctx, name)
				if ctx.Err() != nil {
					err = &backend.Error{Op: "head", Name: name, Err: errors.New("request failed: " + ctx.Err().Error())}
				}
				return v, err
			}
		}),
	},
	{
		Name: "answers-mixed-up", Clause: "S19",
		Habit: "keeps the answers of all calls in one variable",
		mutate: shared(func(w *world, h *handle) {
			var mu sync.Mutex
			var answer backend.Object
			h.get = func(ctx context.Context, name string) (backend.Object, error) {
				o, err := w.Get(ctx, name)
				if err != nil {
					return o, err
				}
				mu.Lock()
				answer = o
				mu.Unlock()
				dawdle()
				mu.Lock()
				defer mu.Unlock()
				return answer, nil
			}
		}),
	},
}

// delay takes as long as a fast network, or until the context ends.
func delay(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(300 * time.Microsecond):
		return nil
	}
}
