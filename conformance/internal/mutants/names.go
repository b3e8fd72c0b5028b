package mutants

import (
	"bytes"
	"context"
	"net/url"
	"path"
	"strings"

	"github.com/immukv/immukv-go/backend"
)

// renaming makes a store that confuses names.
func renaming(f func(name string) string) mutation {
	valid := func(name string) string {
		if backend.CheckName(name) != nil {
			return name
		}
		if changed := f(name); backend.CheckName(changed) == nil {
			return changed
		}
		return name
	}
	return each(func(w *world, h *handle) {
		h.get = func(ctx context.Context, name string) (backend.Object, error) { return w.Get(ctx, valid(name)) }
		h.getVersion = func(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
			return w.GetVersion(ctx, valid(name), id)
		}
		h.head = func(ctx context.Context, name string) (backend.Version, error) { return w.Head(ctx, valid(name)) }
		h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			return w.Put(ctx, valid(name), body, cond)
		}
		h.listVersions = func(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
			return w.ListVersions(ctx, valid(name), req)
		}
	})
}

var nameMutants = []Mutant{
	{
		Name: "case-folded", Clause: "S12",
		Habit:  "treats names that differ in case as one, as the file systems of Windows and macOS",
		mutate: renaming(strings.ToLower),
	},
	{
		Name: "normalised", Clause: "S12",
		Habit:  "normalises Unicode, as HFS+: e with an accent is one, written either way",
		mutate: renaming(func(name string) string { return strings.ReplaceAll(name, "e\u0301", "é") }),
	},
	{
		Name: "path-cleaned", Clause: "S12",
		Habit:  "cleans names as paths, so that a//b and ./a/b are a/b",
		mutate: renaming(path.Clean),
	},
	{
		Name: "slash-trimmed", Clause: "S12",
		Habit:  "drops leading slashes, as many HTTP clients",
		mutate: renaming(func(name string) string { return strings.TrimLeft(name, "/") }),
	},
	{
		Name: "unescaped", Clause: "S12",
		Habit: "unescapes names twice, so that %2F is a slash",
		mutate: renaming(func(name string) string {
			if plain, err := url.PathUnescape(name); err == nil {
				return plain
			}
			return name
		}),
	},
	{
		Name: "plus-is-space", Clause: "S12",
		Habit:  "decodes names as form values, so that + is a space",
		mutate: renaming(func(name string) string { return strings.ReplaceAll(name, "+", " ") }),
	},
	{
		Name: "cut-at-255", Clause: "S12",
		Habit: "truncates names to the length of a file name",
		mutate: renaming(func(name string) string {
			if len(name) > 255 {
				return name[:255]
			}
			return name
		}),
	},
	{
		Name: "cut-at-NUL", Clause: "S12",
		Habit: "ends names at NUL, as C does",
		mutate: renaming(func(name string) string {
			before, _, _ := strings.Cut(name, "\x00")
			return before
		}),
	},
	{
		Name: "query-cut", Clause: "S12",
		Habit: "treats the text after a question mark as a query",
		mutate: renaming(func(name string) string {
			before, _, _ := strings.Cut(name, "?")
			return before
		}),
	},
	{
		Name: "invalid-names-taken", Clause: "S12",
		Habit: "replaces invalid UTF-8 in names instead of failing",
		mutate: each(func(w *world, h *handle) {
			honest := *h
			mend := func(name string) string { return strings.ToValidUTF8(name, "\ufffd") }
			h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				return honest.put(ctx, mend(name), body, cond)
			}
			h.head = func(ctx context.Context, name string) (backend.Version, error) { return honest.head(ctx, mend(name)) }
		}),
	},
	{
		Name: "directory-in-the-way", Clause: "S12",
		Habit: "cannot hold an object below or above another, as a plain directory tree",
		mutate: put(func(ctx context.Context, w *world, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			for above := path.Dir(name); above != "." && above != "/"; above = path.Dir(above) {
				if _, err := w.Head(ctx, above); err == nil {
					return backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrInvalidName}
				}
			}
			return w.Put(ctx, name, body, cond)
		}),
	},
}

// rewriting makes a store that changes bodies as it stores them.
func rewriting(f func(body []byte) []byte) mutation {
	return put(func(ctx context.Context, w *world, name string, body []byte, cond backend.Condition) (backend.Version, error) {
		return w.Put(ctx, name, f(body), cond)
	})
}

var bodyMutants = []Mutant{
	{
		Name: "newlines-converted", Clause: "S13",
		Habit:  "opens files as text, which turns line ends into its own",
		mutate: rewriting(func(body []byte) []byte { return bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")) }),
	},
	{
		Name: "text-mended", Clause: "S13",
		Habit:  "keeps bodies as strings of a language that replaces invalid UTF-8",
		mutate: rewriting(func(body []byte) []byte { return bytes.ToValidUTF8(body, []byte("\ufffd")) }),
	},
	{
		Name: "short-buffer", Clause: "S13",
		Habit: "reads at most one buffer of 64 KiB",
		mutate: rewriting(func(body []byte) []byte {
			return body[:min(len(body), 64<<10)]
		}),
	},
	{
		Name: "empty-rejected", Clause: "S13",
		Habit: "stores no empty body",
		mutate: put(func(ctx context.Context, w *world, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			if len(body) == 0 {
				body = []byte("\n")
			}
			return w.Put(ctx, name, body, cond)
		}),
	},
	{
		Name: "no-limit", Clause: "S13",
		Habit: "truncates bodies over the limit",
		mutate: each(func(w *world, h *handle) {
			honest := h.put
			h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				return honest(ctx, name, body[:min(len(body), maxBody)], cond)
			}
		}),
	},
}
