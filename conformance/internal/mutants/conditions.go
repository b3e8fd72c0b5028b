package mutants

import (
	"context"
	"slices"
	"sync"

	"github.com/immukv/immukv-go/backend"
)

var conditionMutants = []Mutant{
	{
		Name: "conditions-ignored", Clause: "S1",
		Habit: "writes whatever the condition says, as S3-compatible servers did before they knew conditional writes",
		mutate: put(func(ctx context.Context, w *world, name string, body []byte, _ backend.Condition) (backend.Version, error) {
			return w.force(ctx, name, body)
		}),
	},
	{
		Name: "absent-ignored", Clause: "S1",
		Habit: "knows If-Match and ignores If-None-Match",
		mutate: put(func(ctx context.Context, w *world, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			if cond.Absent() {
				return w.force(ctx, name, body)
			}
			return w.Put(ctx, name, body, cond)
		}),
	},
	{
		Name: "empty-taken-for-absent", Clause: "S1",
		Habit: "treats an object with an empty body as absent",
		mutate: put(func(ctx context.Context, w *world, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			if o, err := w.Get(ctx, name); err == nil && len(o.Body) == 0 && cond.Absent() {
				return w.force(ctx, name, body)
			}
			return w.Put(ctx, name, body, cond)
		}),
	},
	{
		Name: "match-ignored", Clause: "S2",
		Habit: "knows If-None-Match and ignores If-Match, as gocloud's portable API would have it",
		mutate: put(func(ctx context.Context, w *world, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			if cond.Absent() {
				return w.Put(ctx, name, body, cond)
			}
			return w.force(ctx, name, body)
		}),
	},
	{
		Name: "match-ignored-on-missing", Clause: "S2",
		Habit: "answers 200 for If-Match on a key that does not exist, and makes it",
		mutate: put(func(ctx context.Context, w *world, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			if _, err := w.Head(ctx, name); err != nil {
				cond = backend.IfAbsent()
			}
			return w.Put(ctx, name, body, cond)
		}),
	},
	{
		Name: "missing-not-a-precondition", Clause: "S2",
		Habit: "answers 404 for If-Match on a key that does not exist, which is passed on as not found",
		mutate: put(func(ctx context.Context, w *world, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			if _, err := w.Head(ctx, name); err != nil && !cond.Absent() {
				return backend.Version{}, err
			}
			return w.Put(ctx, name, body, cond)
		}),
	},
	{
		Name: "conditions-ignored-on-versioned", Clause: "S2",
		Habit: "evaluates conditions on buckets without versions only: here, while the object has one version",
		mutate: put(func(ctx context.Context, w *world, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			if len(w.versions(ctx, name)) > 1 {
				return w.force(ctx, name, body)
			}
			return w.Put(ctx, name, body, cond)
		}),
	},
	{
		Name: "match-any-version", Clause: "S2",
		Habit: "accepts If-Match if any version has the ETag",
		mutate: put(func(ctx context.Context, w *world, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			if slices.ContainsFunc(w.versions(ctx, name), func(v backend.Version) bool { return v.ETag == cond.ETag() }) {
				return w.force(ctx, name, body)
			}
			return w.Put(ctx, name, body, cond)
		}),
	},
	{
		Name: "match-star", Clause: "S2",
		Habit: "forwards an ETag as it is, so that * matches anything, as in HTTP",
		mutate: put(func(ctx context.Context, w *world, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			if _, err := w.Head(ctx, name); err == nil && cond.ETag() == "*" {
				return w.force(ctx, name, body)
			}
			return w.Put(ctx, name, body, cond)
		}),
	},
	{
		Name: "match-never-on-empty", Clause: "S2",
		Habit: "loses the ETag of an empty body, so that If-Match never holds for it",
		mutate: put(func(ctx context.Context, w *world, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			if o, err := w.Get(ctx, name); err == nil && len(o.Body) == 0 {
				return failed(name)
			}
			return w.Put(ctx, name, body, cond)
		}),
	},
}

var raceMutants = []Mutant{
	{
		Name: "check-then-act", Clause: "S3",
		Habit: "checks the condition and then writes, with a window between, as gocloud's fileblob does",
		mutate: put(func(ctx context.Context, w *world, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			return w.checkThenWrite(ctx, name, body, cond)
		}),
	},
	{
		Name: "check-then-create", Clause: "S3",
		Habit: "replaces in one step but creates in two",
		mutate: put(func(ctx context.Context, w *world, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			if !cond.Absent() {
				return w.Put(ctx, name, body, cond)
			}
			return w.checkThenWrite(ctx, name, body, cond)
		}),
	},
	{
		Name: "check-then-replace", Clause: "S3",
		Habit: "creates in one step, with O_EXCL, but replaces in two",
		mutate: put(func(ctx context.Context, w *world, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			if cond.Absent() {
				return w.Put(ctx, name, body, cond)
			}
			return w.checkThenWrite(ctx, name, body, cond)
		}),
	},
	{
		Name: "lock-in-process", Clause: "S3",
		Habit: "checks and writes under a lock of its process, which does not exclude other processes",
		mutate: each(func(w *world, h *handle) {
			var mine sync.Mutex
			h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				mine.Lock()
				defer mine.Unlock()
				return w.checkThenWrite(ctx, name, body, cond)
			}
		}),
	},
	{
		Name: "nobody-wins", Clause: "S3",
		Habit: "lets all writers lose when they collide",
		mutate: shared(func(w *world, h *handle) {
			type collision struct{ writers, most int }
			var mu sync.Mutex
			under := make(map[string]*collision)
			h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				mu.Lock()
				c := under[name]
				if c == nil {
					c = &collision{}
					under[name] = c
				}
				c.writers++
				c.most = max(c.most, c.writers)
				mu.Unlock()
				dawdle()
				mu.Lock()
				defer mu.Unlock()
				if c.writers--; c.writers == 0 {
					delete(under, name)
				}
				if c.most > 1 {
					return failed(name)
				}
				return w.Put(ctx, name, body, cond)
			}
		}),
	},
}
