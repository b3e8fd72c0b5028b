package tlog

import (
	"context"
	"fmt"

	"filippo.io/torchwood"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"
)

// growth appends leaves to a tree, and writes tiles and bundles when they become full. It
// holds only those of the right edge, for any number of leaves.
type growth struct {
	log    *sealedLog
	ctx    context.Context // of the running writes
	writes *errgroup.Group
	before int64 // the number of leaves at the beginning
	size   int64
	edge   *compact.Range
	bundle []byte   // the entries of the last, partial bundle
	tiles  [][]byte // the hashes of the last, partial tile of each level
}

var rangeFactory = compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}

// grow begins with a tree of the given size. hashes reads its hashes, and leaves are the
// leaves of its last bundle if that is partial.
func (l *sealedLog) grow(ctx context.Context, size int64, hashes tlog.HashReader, leaves [][]byte) (*growth, error) {
	g := &growth{log: l, before: size, size: size}
	g.writes, g.ctx = errgroup.WithContext(ctx)
	g.writes.SetLimit(width)
	// The hashes of the edge, and then those of the last tile of each level.
	var indexes []int64
	for _, id := range compact.RangeNodes(0, uint64(size), nil) {
		indexes = append(indexes, tlog.StoredHashIndex(int(id.Level), int64(id.Index)))
	}
	edge := len(indexes)
	for level := 0; size>>(torchwood.TileHeight*level) > 0; level++ {
		for n := range g.tileAt(level).W % torchwood.TileWidth {
			indexes = append(indexes, tlog.StoredHashIndex(torchwood.TileHeight*level, g.tileAt(level).N*torchwood.TileWidth+int64(n)))
		}
	}
	found, err := hashes.ReadHashes(indexes)
	if err != nil {
		return nil, err
	}
	var nodes [][]byte
	for i := range found[:edge] {
		nodes = append(nodes, found[i][:])
	}
	rest := found[edge:]
	for level := 0; size>>(torchwood.TileHeight*level) > 0; level++ {
		w := g.tileAt(level).W % torchwood.TileWidth
		for i := range rest[:w] {
			g.keep(level, rest[i][:])
		}
		rest = rest[w:]
	}
	if g.edge, err = rangeFactory.NewRange(0, uint64(size), nodes); err != nil {
		return nil, err
	}
	for _, leaf := range leaves {
		if g.bundle, err = torchwood.AppendTileEntry(g.bundle, leaf); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// tileAt returns the last tile of a level, which must not be empty.
func (g *growth) tileAt(level int) tlog.Tile {
	hashes := g.size >> (torchwood.TileHeight * level)
	n := (hashes - 1) / torchwood.TileWidth
	return tlog.Tile{H: torchwood.TileHeight, L: level, N: n, W: int(hashes - n*torchwood.TileWidth)}
}

func (g *growth) keep(level int, hash []byte) {
	for len(g.tiles) <= level {
		g.tiles = append(g.tiles, nil)
	}
	g.tiles[level] = append(g.tiles[level], hash...)
}

// add appends a leaf. It may wait for running writes; finish returns their errors.
func (g *growth) add(leaf []byte) error {
	var err error
	if g.bundle, err = torchwood.AppendTileEntry(g.bundle, leaf); err != nil {
		return fmt.Errorf("leaf of sequence %d: %w", g.size, err)
	}
	hash := tlog.RecordHash(leaf)
	if err := g.edge.Append(hash[:], g.node); err != nil {
		return err
	}
	g.size++
	if g.size%torchwood.TileWidth == 0 {
		g.write(bundleOf(g.size-1, g.size), g.bundle)
		g.bundle = nil
	}
	return g.ctx.Err()
}

// node adds a node that has become complete.
func (g *growth) node(id compact.NodeID, hash []byte) {
	if id.Level%torchwood.TileHeight != 0 {
		return
	}
	level := int(id.Level / torchwood.TileHeight)
	g.keep(level, hash)
	if len(g.tiles[level]) == torchwood.TileWidth*tlog.HashSize {
		n := int64(id.Index / torchwood.TileWidth)
		g.write(tlog.Tile{H: torchwood.TileHeight, L: level, N: n, W: torchwood.TileWidth}, g.tiles[level])
		g.tiles[level] = nil
	}
}

func (g *growth) write(t tlog.Tile, body []byte) {
	g.writes.Go(func() error {
		err := g.log.create(g.ctx, t, body)
		if err == nil && t.L >= 0 {
			g.log.cache.put(t, body)
		}
		return err
	})
}

// finish writes the partial tiles and the partial bundle, if they have changed, waits for
// all writes, and returns the tree.
func (g *growth) finish() (tlog.Tree, error) {
	if len(g.bundle) > 0 && g.size > g.before {
		g.write(bundleOf(g.size-1, g.size), g.bundle)
	}
	for level, body := range g.tiles {
		shift := torchwood.TileHeight * level
		if len(body) > 0 && g.size>>shift > g.before>>shift {
			g.write(g.tileAt(level), body)
		}
	}
	if err := g.writes.Wait(); err != nil {
		return tlog.Tree{}, err
	}
	tree := tlog.Tree{N: g.size}
	root := rfc6962.DefaultHasher.EmptyRoot()
	if g.size > 0 {
		var err error
		if root, err = g.edge.GetRootHash(nil); err != nil {
			return tlog.Tree{}, err
		}
	}
	copy(tree.Hash[:], root)
	return tree, nil
}
