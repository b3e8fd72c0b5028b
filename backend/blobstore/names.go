package blobstore

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/immukv/immukv-go/backend"
)

// ListNames implements [backend.VersionedStore].
func (s *Store) ListNames(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
	const op = "list names"
	if err := ctx.Err(); err != nil {
		return backend.NamesPage{}, failure(op, req.Prefix, "", err)
	}
	w, err := newWalk(s.medium, req)
	if err != nil {
		return backend.NamesPage{}, failure(op, req.Prefix, "", err)
	}
	if w == nil {
		return backend.NamesPage{}, nil
	}
	more, err := w.descend(ctx, 0)
	if err != nil {
		return backend.NamesPage{}, failure(op, req.Prefix, "", err)
	}
	page := backend.NamesPage{Names: w.names}
	if more {
		page.Next = w.token()
	}
	return page, nil
}

// walk visits the paths of objects in order. Most have one part; the parts of long ones
// form a tree.
type walk struct {
	medium medium
	base   []string // the parts that begin all paths
	prefix string   // how the next part begins
	at     []level  // the position of the walk, below base
	limit  int
	names  []string
}

// level is the position of a walk among the parts with the same parent.
type level struct {
	// Page is the current page of the medium's listing.
	Page []byte `json:"p,omitempty"`
	// Last is the part visited last. If there is a deeper level, the walk is still below
	// it; otherwise the part is done.
	Last string `json:"l"`
}

// newWalk returns a walk from the starting point of a request, or nil if no names can
// follow.
func newWalk(m medium, req backend.NamesRequest) (*walk, error) {
	if len(req.Prefix) > backend.MaxNameBytes {
		return nil, nil
	}
	w := &walk{medium: m, limit: pageSize(req.Limit)}
	w.base, w.prefix = cut(encode(req.Prefix))
	if req.Token != "" {
		return w, w.resume(req.Token)
	}
	if req.After == "" {
		return w, nil
	}
	// No name is longer than this, so none sorts between After and the shortened one.
	path := pathOf(req.After[:min(len(req.After), backend.MaxNameBytes)])
	for _, begin := range append(slices.Clone(w.base), w.prefix) {
		switch part := path[0]; {
		case strings.HasPrefix(part, begin):
			path = path[1:]
			w.at = append(w.at, level{Last: part})
		case part < begin: // all names with the prefix come after After
			w.at = nil
			return w, nil
		default:
			return nil, nil
		}
	}
	w.at = w.at[len(w.base):]
	for _, part := range path {
		w.at = append(w.at, level{Last: part})
	}
	return w, nil
}

// token returns the token for a page that continues the walk.
func (w *walk) token() backend.PageToken {
	text, _ := json.Marshal(w.at) // strings and bytes can always be encoded
	return backend.PageToken(text)
}

func (w *walk) resume(token backend.PageToken) error {
	if err := json.Unmarshal([]byte(token), &w.at); err != nil {
		return errBadToken
	}
	// Parts become paths of files: none may lead outside the store.
	for _, l := range w.at {
		if !isPart(l.Last) {
			return errBadToken
		}
	}
	return nil
}

// descend continues the walk below the parts visited last at the levels above depth. It
// returns true if the page is full and there may be more.
func (w *walk) descend(ctx context.Context, depth int) (more bool, err error) {
	if depth == len(w.at) {
		w.at = append(w.at, level{})
	}
	if depth+1 < len(w.at) {
		if more, err := w.descend(ctx, depth+1); more || err != nil {
			return more, err
		}
		w.at = w.at[:depth+1]
	}
	var parent, prefix string
	if path := w.path(depth); len(path) > 0 {
		parent = joinPath(path) + "/"
	}
	if depth == 0 {
		prefix = w.prefix
	}
	for {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		l := w.at[depth]
		parts, next, err := w.medium.children(ctx, parent, prefix, l.Last, l.Page, max(1, w.limit-len(w.names)))
		if err != nil {
			return false, err
		}
		for _, part := range parts {
			if part <= l.Last || !isPart(part) {
				continue
			}
			if len(w.names) == w.limit {
				return true, nil
			}
			w.at[depth].Last = part
			if more, err := w.visit(ctx, depth, part); more || err != nil {
				return more, err
			}
		}
		if next == nil {
			return false, nil
		}
		w.at[depth].Page = next
		if len(w.names) == w.limit {
			return true, nil
		}
	}
}

// visit adds the object that a path ends with, or walks over all objects below it.
func (w *walk) visit(ctx context.Context, depth int, part string) (more bool, err error) {
	if !isFinal(part) {
		if more, err := w.descend(ctx, depth+1); more || err != nil {
			return more, err
		}
		w.at = w.at[:depth+1]
		return false, nil
	}
	path := w.path(depth + 1)
	name, ok := nameOf(path)
	if !ok {
		return false, nil
	}
	if ok, err = w.medium.holds(ctx, joinPath(path)); ok {
		w.names = append(w.names, name)
	}
	return false, err
}

// path returns the path of the parts visited last at the levels above depth.
func (w *walk) path(depth int) []string {
	path := slices.Clone(w.base)
	for _, l := range w.at[:depth] {
		path = append(path, l.Last)
	}
	return path
}

func joinPath(parts []string) string { return strings.Join(parts, "/") }
