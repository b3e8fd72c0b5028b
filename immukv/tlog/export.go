package tlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/sync/errgroup"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// Export writes the transparency log into a folder, as files that any web server
// may serve: checkpoint, and the tiles and entry bundles below tile. The folder is
// made if it is not there. The checkpoint is written last; files that are no part of
// the log stay. A tile that is there already must have the same bytes; it is [ErrFork]
// if not, and nothing is replaced.
func Export[V any](ctx context.Context, c *immukv.Client[V], folder string) error {
	l := sealedLogOf(c)
	// Read first: the tiles of a checkpoint are there before it is.
	signed, _, err := l.readCheckpoint(ctx)
	if err == nil {
		err = l.exportTiles(ctx, folder)
	}
	if err == nil {
		err = os.MkdirAll(folder, 0o755)
	}
	if err == nil {
		err = publishFile(filepath.Join(folder, checkpointName), signed)
	}
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

func (l *sealedLog) exportTiles(ctx context.Context, folder string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(width)
	req := backend.NamesRequest{Prefix: l.name("tile/")}
	for {
		page, err := l.store.ListNames(ctx, req)
		if err != nil {
			return errors.Join(err, group.Wait())
		}
		for _, name := range page.Names {
			path := strings.TrimPrefix(name, l.name(""))
			t, err := torchwood.ParseTilePath(path)
			if err != nil || torchwood.TilePath(t) != path {
				continue // no tile, and perhaps a path that leads elsewhere
			}
			group.Go(func() error { return l.exportTile(ctx, name, filepath.Join(folder, filepath.FromSlash(path))) })
		}
		if page.Next == "" {
			return group.Wait()
		}
		req.Token = page.Next
	}
}

func (l *sealedLog) exportTile(ctx context.Context, name, file string) error {
	obj, err := l.store.Get(ctx, name)
	if err != nil {
		return err
	}
	// A web server may be serving the file: it is never seen in part.
	switch there, err := os.ReadFile(file); {
	case err == nil && bytes.Equal(there, obj.Body):
		return nil
	case err == nil:
		return fmt.Errorf("%w: %s holds other bytes than %s of the store; it was not replaced", ErrFork, file, name)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return publishFile(file, obj.Body)
}

// publishFile writes a file whole, for everybody to read.
func publishFile(file string, content []byte) error {
	if err := replaceFile(file, content); err != nil {
		return err
	}
	return os.Chmod(file, 0o644)
}

// Handler serves the transparency log over HTTP, read-only: checkpoint, and what is
// below tile. Nothing else of the store can be reached through it.
func Handler[V any](c *immukv.Client[V]) http.Handler {
	l := sealedLogOf(c)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "read only", http.StatusMethodNotAllowed)
			return
		}
		path := strings.TrimPrefix(r.URL.Path, "/")
		if path == checkpointName {
			l.serve(w, r, path, "text/plain; charset=utf-8", "no-cache")
			return
		}
		if t, err := torchwood.ParseTilePath(path); err == nil && torchwood.TilePath(t) == path {
			l.serve(w, r, path, "application/octet-stream", "public, max-age=31536000, immutable")
			return
		}
		http.NotFound(w, r)
	})
}

func (l *sealedLog) serve(w http.ResponseWriter, r *http.Request, path, contentType, caching string) {
	obj, err := l.store.Get(r.Context(), l.name(path))
	switch {
	case errors.Is(err, backend.ErrNotFound):
		http.NotFound(w, r)
		return
	case err != nil:
		// The error may name more of the store than a stranger should know.
		http.Error(w, "the store does not answer", http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", caching)
	w.Header().Set("Content-Length", strconv.Itoa(len(obj.Body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(obj.Body)
	}
}
