package tlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"github.com/immukv/immukv-go/immukv"
)

// Audit hashes the whole log anew, leaf by leaf, and checks that it has the root of
// the newest checkpoint, which it returns, and that the tiles and bundles of it are
// there as the log leads to them. Entries that were appended since are checked by the
// hash chain alone. It reads each log version, tile and bundle once, and its memory does
// not grow with the log.
//
// The key objects are immukv.Client.Audit's to check.
func Audit[V any](ctx context.Context, v *Verifier, c *immukv.Client[V]) (Checkpoint, error) {
	// The checkpoint first: the log that is read then covers it.
	latest, l, err := v.latest(ctx, sealedLogOf(c))
	if err == nil {
		err = auditLog(ctx, raw(c), l, latest)
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("audit: %w", err)
	}
	return latest, nil
}

func auditLog(ctx context.Context, db *client, l *sealedLog, c Checkpoint) error {
	head, err := newest(ctx, db)
	if err != nil {
		return err
	}
	if c.Size == 0 {
		if empty, err := tlog.TreeHash(0, nil); err != nil || empty != c.Root {
			return errors.Join(fmt.Errorf("%w: it has no entries, and not the root of an empty tree", ErrBadCheckpoint), err)
		}
		if head == nil {
			return nil
		}
	}
	switch {
	case head == nil:
		return fmt.Errorf("%w: the %v covers sequences to %d, and the log is empty", ErrRolledBack, c, c.Size-1)
	case head.Sequence < c.Size-1:
		return fmt.Errorf("%w: the %v covers sequences to %d, and the log ends with sequence %d", ErrRolledBack, c, c.Size-1, head.Sequence)
	}
	var tree rightToLeft
	published := &tileAudit{log: l, ctx: ctx, size: c.Size}
	published.reads.SetLimit(width)
	add := func(e Entry) error {
		if e.Sequence >= c.Size {
			return nil
		}
		data, err := leafOf(e)
		if err != nil {
			return err
		}
		h := tlog.RecordHash(data)
		tree.add(e.Sequence, h)
		return published.add(e.Sequence, data, h)
	}
	chainErr := readChain(ctx, db, *head, add)
	tileErr := published.reads.Wait()
	if chainErr != nil {
		return chainErr
	}
	if c.Size > 0 && tree.root() != c.Root {
		return fmt.Errorf("%w: the log's entries 0 to %d do not have the root of the %v: it was rewritten", ErrFork, c.Size-1, c)
	}
	return tileErr
}

// readChain calls visit with every entry of the log, the newest first.
func readChain(ctx context.Context, db *client, head Entry, visit func(Entry) error) error {
	if err := visit(head); err != nil {
		return err
	}
	last := head
	if err := chainBefore(ctx, db, head, 0, func(e Entry) error {
		last.PreviousHash = e.PreviousHash
		return visit(e)
	}); err != nil {
		return err
	}
	if last.PreviousHash != immukv.GenesisHash {
		return fmt.Errorf("%w: sequence 0 follows another entry", immukv.ErrVerificationFailed)
	}
	return nil
}

// tileAudit compares the tiles and bundles that are stored with those that the log leads
// to. Leaves come last first. It holds those of one tile a level.
type tileAudit struct {
	log    *sealedLog
	ctx    context.Context
	reads  errgroup.Group // which goes on after an error: where the root is another, it counts more
	size   int64
	leaves [][]byte      // of the bundle, the last first
	levels [][]tlog.Hash // of the tiles, the last first
}

// add takes in the leaf before the one added last.
func (a *tileAudit) add(sequence int64, leaf []byte, h tlog.Hash) error {
	a.leaves = append(a.leaves, leaf)
	if sequence%torchwood.TileWidth == 0 {
		slices.Reverse(a.leaves)
		var body []byte
		for _, leaf := range a.leaves {
			var err error
			if body, err = torchwood.AppendTileEntry(body, leaf); err != nil {
				return err
			}
		}
		a.leaves = a.leaves[:0]
		a.compare(bundleOf(sequence, a.size), body)
	}
	a.hash(0, sequence, h)
	return nil
}

// hash takes in the hash before the one of its level that was added last.
func (a *tileAudit) hash(level int, n int64, h tlog.Hash) {
	for len(a.levels) <= level {
		a.levels = append(a.levels, nil)
	}
	a.levels[level] = append(a.levels[level], h)
	if n%torchwood.TileWidth != 0 {
		return
	}
	hashes := a.levels[level]
	slices.Reverse(hashes)
	var body []byte
	for _, h := range hashes {
		body = append(body, h[:]...)
	}
	t := tlog.Tile{H: torchwood.TileHeight, L: level, N: n / torchwood.TileWidth, W: len(hashes)}
	a.compare(t, body)
	if t.W == torchwood.TileWidth {
		for width := t.W; width > 1; width /= 2 {
			for i := range width / 2 {
				hashes[i] = tlog.NodeHash(hashes[2*i], hashes[2*i+1])
			}
		}
		a.hash(level+1, t.N, hashes[0])
	}
	a.levels[level] = hashes[:0]
}

func (a *tileAudit) compare(t tlog.Tile, want []byte) {
	a.reads.Go(func() error {
		there, err := a.log.readTile(a.ctx, t)
		if err == nil && !bytes.Equal(there, want) {
			err = fmt.Errorf("%w: %s is not what the log leads to", ErrBadTile, a.log.tileName(t))
		}
		return err
	})
}

// rightToLeft computes the root of a Merkle tree whose leaves come last first, in
// the order in which a log is read. It holds a hash for each level.
type rightToLeft struct {
	nodes []node // complete subtrees, the leftmost last
}

type node struct {
	level int
	n     int64
	hash  tlog.Hash
}

// add adds the leaf before the one added last.
func (t *rightToLeft) add(sequence int64, h tlog.Hash) {
	left := node{n: sequence, hash: h}
	for left.n%2 == 0 && len(t.nodes) > 0 {
		right := t.nodes[len(t.nodes)-1]
		if right.level != left.level || right.n != left.n+1 {
			break
		}
		t.nodes = t.nodes[:len(t.nodes)-1]
		left = node{level: left.level + 1, n: left.n / 2, hash: tlog.NodeHash(left.hash, right.hash)}
	}
	t.nodes = append(t.nodes, left)
}

// root is the root once the leaf of sequence 0 was added.
func (t *rightToLeft) root() tlog.Hash {
	root := t.nodes[0].hash
	for _, left := range t.nodes[1:] {
		root = tlog.NodeHash(left.hash, root)
	}
	return root
}
