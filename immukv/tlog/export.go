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
	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/internal/statefile"
)

// Export writes the transparency log into a folder, as files that any web server can
// serve: the file checkpoint, and the tiles and entry bundles below tile. Export
// creates the folder if it does not exist, and writes the checkpoint last. It leaves
// all other files in the folder alone.
//
// An export never undoes an earlier one. It replaces the checkpoint in the folder only
// by one that extends it. Otherwise the error is [ErrRolledBack] or [ErrFork], or
// [ErrBadCheckpoint] if the checkpoint is of a log with another name. If a tile in the
// folder has other bytes, the error is [ErrFork]. Any number of exports into one folder
// may run at once. An export that was killed can be run again. The exports share a lock
// file in the folder, .checkpoint.lock.
//
// Export does not check the log's signature, as it does not have the key. The reader of
// the folder checks it.
func Export[V any](ctx context.Context, c *immukv.Client[V], folder string) error {
	if err := export(ctx, sealedLogOf(c), folder); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

func export(ctx context.Context, l *sealedLog, folder string) error {
	l.cache = new(tileCache)
	// The published checkpoint is read first: a checkpoint read later is not older,
	// unless the log was rolled back.
	before, err := publishedCheckpoint(folder)
	if err != nil {
		return err
	}
	signed, _, err := l.readCheckpoint(ctx)
	if err != nil {
		return err
	}
	latest, err := parseCheckpoint(signed)
	if err != nil {
		return fmt.Errorf("%s: %w", l.name(checkpointName), err)
	}
	if before != nil && before.Size > latest.Size {
		return fmt.Errorf("%w: the checkpoint in %s covers %d entries, but that of the store covers %d; nothing was replaced",
			ErrRolledBack, folder, before.Size, latest.Size)
	}
	if before != nil {
		if err := l.sameLog(ctx, *before, latest); err != nil {
			return fmt.Errorf("%s: %w; nothing was replaced", filepath.Join(folder, checkpointName), err)
		}
	}
	// Tiles are written before the checkpoint that covers them.
	if err := l.exportTiles(ctx, folder); err != nil {
		return err
	}
	return l.exportCheckpoint(ctx, latest, folder)
}

// publishedCheckpoint returns the checkpoint in the folder, or nil if there is none.
func publishedCheckpoint(folder string) (*Checkpoint, error) {
	file := filepath.Join(folder, checkpointName)
	signed, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c, err := parseCheckpoint(signed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; it was not replaced", file, err)
	}
	return &c, nil
}

// sameLog returns an error unless two checkpoints are of the same history of the same
// log.
func (l *sealedLog) sameLog(ctx context.Context, shorter, longer Checkpoint) error {
	if shorter.Origin != longer.Origin {
		return fmt.Errorf("%w: the checkpoints are of two logs, %q and %q", ErrBadCheckpoint, shorter.Origin, longer.Origin)
	}
	return l.consistent(ctx, shorter, longer)
}

// exportCheckpoint writes the checkpoint into the folder, unless another export has
// written a longer one meanwhile.
func (l *sealedLog) exportCheckpoint(ctx context.Context, latest Checkpoint, folder string) (err error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	lock := flock.New(filepath.Join(folder, "."+checkpointName+".lock"), flock.SetPermissions(0o600))
	if err := lock.Lock(); err != nil {
		return fmt.Errorf("lock the folder: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	file := filepath.Join(folder, checkpointName)
	there, err := publishedCheckpoint(folder)
	switch {
	case err != nil:
		return err
	case there == nil:
		return publishFile(file, latest.Signed)
	case there.Size > latest.Size:
		err = l.sameLog(ctx, latest, *there)
	default:
		err = l.sameLog(ctx, *there, latest)
	}
	if err != nil {
		return fmt.Errorf("%s: %w; it was not replaced", file, err)
	}
	if there.Size > latest.Size {
		return nil
	}
	return publishFile(file, latest.Signed)
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
				continue // not the name of a tile; it may be a path outside the folder
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
	// A web server may be serving the file, so it is replaced atomically.
	switch there, err := os.ReadFile(file); {
	case err == nil && bytes.Equal(there, obj.Body):
		return nil
	case err == nil:
		return fmt.Errorf("%w: %s differs from %s of the store; it was not replaced", ErrFork, file, name)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return publishFile(file, obj.Body)
}

// publishFile replaces a file atomically, and makes it readable for everybody.
func publishFile(file string, content []byte) error {
	if err := statefile.Replace(file, content); err != nil {
		return err
	}
	return os.Chmod(file, 0o644)
}

// Handler serves the transparency log over HTTP, read-only: the checkpoint, and
// everything below tile. It serves no other object of the store.
func Handler[V any](c *immukv.Client[V]) http.Handler {
	l := sealedLogOf(c)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD are allowed", http.StatusMethodNotAllowed)
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
		// The error may contain details that a stranger should not know.
		http.Error(w, "reading the store failed", http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", caching)
	w.Header().Set("Content-Length", strconv.Itoa(len(obj.Body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(obj.Body)
	}
}
