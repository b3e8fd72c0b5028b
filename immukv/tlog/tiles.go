package tlog

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"github.com/immukv/immukv-go/backend"
)

// width is how many requests are made at once.
const width = 16

// sealedLog is the part of a store below tlog/.
type sealedLog struct {
	store  backend.VersionedStore
	prefix string
	cache  *tileCache // of checked tiles; nil caches none
}

func (l *sealedLog) name(path string) string { return l.prefix + dir + path }

func (l *sealedLog) tileName(t tlog.Tile) string { return l.name(torchwood.TilePath(t)) }

// hashes reads the hashes of a tree from tiles. Each tile is checked against the tree's
// root.
func (l *sealedLog) hashes(ctx context.Context, tree tlog.Tree) tlog.HashReader {
	inner := torchwood.TileHashReaderWithContext(ctx, tree, l)
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		if len(indexes) == 0 {
			return nil, nil
		}
		found, err := inner.ReadHashes(indexes)
		var storeErr *backend.Error
		if err != nil && !errors.As(err, &storeErr) && ctx.Err() == nil && !errors.Is(err, ErrBadTile) {
			return nil, fmt.Errorf("%w: the tiles in %s do not have the root of size %d: %w", ErrBadTile, l.name("tile/"), tree.N, err)
		}
		return found, err
	})
}

// ReadTiles implements torchwood.TileReader.
func (l *sealedLog) ReadTiles(ctx context.Context, tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(width)
	for i, t := range tiles {
		if data[i] = l.cache.get(t); data[i] != nil {
			continue
		}
		group.Go(func() error {
			body, err := l.readTile(ctx, t)
			if err == nil && len(body) != t.W*tlog.HashSize {
				err = fmt.Errorf("%w: %s has %d bytes instead of %d", ErrBadTile, l.tileName(t), len(body), t.W*tlog.HashSize)
			}
			data[i] = body
			return err
		})
	}
	return data, group.Wait()
}

func (l *sealedLog) readTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	obj, err := l.store.Get(ctx, l.tileName(t))
	if errors.Is(err, backend.ErrNotFound) {
		return nil, fmt.Errorf("%w: %s is missing", ErrBadTile, l.tileName(t))
	}
	return obj.Body, err
}

// SaveTiles implements torchwood.TileReader.
func (l *sealedLog) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	for i, t := range tiles {
		l.cache.put(t, data[i])
	}
}

// ReadEndpoint implements torchwood.TileReader.
func (l *sealedLog) ReadEndpoint(ctx context.Context, path string) ([]byte, error) {
	obj, err := l.store.Get(ctx, l.name(path))
	return obj.Body, err
}

// bundleOf returns the entry bundle of a tree that has the leaf of a sequence.
func bundleOf(sequence, size int64) tlog.Tile {
	n := sequence / torchwood.TileWidth
	return tlog.Tile{H: torchwood.TileHeight, L: -1, N: n, W: int(min(torchwood.TileWidth, size-n*torchwood.TileWidth))}
}

// readBundle reads the leaves of a bundle and checks each against the tree.
func (l *sealedLog) readBundle(ctx context.Context, t tlog.Tile, hr tlog.HashReader) ([][]byte, error) {
	body, err := l.readTile(ctx, t)
	if err != nil {
		return nil, err
	}
	var leaves [][]byte
	var indexes []int64
	for rest := body; len(rest) > 0; {
		var one []byte
		if one, rest, err = torchwood.ReadTileEntry(rest); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrBadTile, l.tileName(t), err)
		}
		indexes = append(indexes, tlog.StoredHashIndex(0, t.N*torchwood.TileWidth+int64(len(leaves))))
		leaves = append(leaves, one)
	}
	if len(leaves) != t.W {
		return nil, fmt.Errorf("%w: %s has %d entries instead of %d", ErrBadTile, l.tileName(t), len(leaves), t.W)
	}
	hashes, err := hr.ReadHashes(indexes)
	if err != nil {
		return nil, err
	}
	for i, data := range leaves {
		if tlog.RecordHash(data) != hashes[i] {
			return nil, fmt.Errorf("%w: %s: entry %d differs from the one in the tree", ErrBadTile, l.tileName(t), t.N*torchwood.TileWidth+int64(i))
		}
	}
	return leaves, nil
}

// create writes an object whose content is a function of the log. If it exists, it must
// have the same bytes.
func (l *sealedLog) create(ctx context.Context, t tlog.Tile, body []byte) error {
	name := l.tileName(t)
	_, err := l.store.Put(ctx, name, body, backend.IfAbsent())
	if err == nil {
		return nil
	}
	if !errors.Is(err, backend.ErrPreconditionFailed) && !errors.Is(err, backend.ErrOutcomeUnknown) {
		return fmt.Errorf("write tile: %w", err)
	}
	there, getErr := l.store.Get(ctx, name)
	switch {
	case getErr != nil:
		return fmt.Errorf("write tile: %w", errors.Join(err, getErr))
	case string(there.Body) != string(body):
		return fmt.Errorf("%w: %s differs from what the log yields; it was not replaced", ErrFork, name)
	}
	return nil
}

// cachedTiles is the number of tiles in a cache: at 8 KiB each, 8 MiB.
const cachedTiles = 1024

// tileCache holds checked tiles. A nil cache is always empty.
type tileCache struct {
	mu    sync.Mutex
	tiles map[tlog.Tile][]byte
}

func (c *tileCache) get(t tlog.Tile) []byte {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tiles[t]
}

func (c *tileCache) put(t tlog.Tile, data []byte) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tiles == nil || len(c.tiles) >= cachedTiles {
		c.tiles = make(map[tlog.Tile][]byte)
	}
	c.tiles[t] = data
}
