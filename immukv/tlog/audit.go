package tlog

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"filippo.io/torchwood"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// Audit checks the whole log against the newest checkpoint and returns that checkpoint.
// It hashes every entry again, compares the root, and compares every stored tile and
// entry bundle with what the log yields. Entries that were appended after the
// checkpoint are checked by the hash chain alone. Audit reads each log version, tile
// and bundle once. Its memory does not grow with the log.
//
// Audit does not check the key objects: see [AuditStore].
func Audit[V any](ctx context.Context, v *Verifier, c *immukv.Client[V]) (Checkpoint, error) {
	// Read the checkpoint first: the log, which is read after it, covers it.
	latest, l, err := v.latest(ctx, sealedLogOf(c))
	if err == nil {
		err = auditLog(ctx, raw(c), l, latest)
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("audit: %w", err)
	}
	return latest, nil
}

// AuditStore does what immukv.Client.Audit and [Audit] do. It reads the log once for
// both, unless the options leave out a part of it. If the checkpoint cannot be read, or
// the log does not have its root, AuditStore returns the report together with an error.
// Findings in the report are not an error.
func AuditStore[V any](ctx context.Context, v *Verifier, c *immukv.Client[V], opts ...immukv.VerifyOption) (*immukv.Report, Checkpoint, error) {
	latest, l, sealErr := v.latest(ctx, sealedLogOf(c))
	a := newLogAudit(ctx, l, latest)
	if sealErr == nil {
		opts = append(opts[:len(opts):len(opts)], immukv.EachEntry(a.visit))
	}
	report, err := c.Audit(ctx, opts...)
	tileErr := a.published.reads.Wait()
	if err != nil {
		return nil, Checkpoint{}, err
	}
	switch {
	case sealErr != nil:
	case report.Valid() && report.FirstSequence > 0: // the options leave out a part
		sealErr = auditLog(ctx, raw(c), l, latest)
	default:
		sealErr = cmp.Or(a.err, a.end(), tileErr)
	}
	if sealErr != nil {
		return report, Checkpoint{}, fmt.Errorf("audit: %w", sealErr)
	}
	return report, latest, nil
}

func auditLog(ctx context.Context, db *client, l *sealedLog, c Checkpoint) error {
	a := newLogAudit(ctx, l, c)
	var err error
	// A single pass over the log: several entries may share a version.
	for e, logErr := range db.Log(ctx) {
		if err = a.entry(e, logErr); err != nil {
			break
		}
	}
	tileErr := a.published.reads.Wait()
	if err == nil {
		err = a.end()
	}
	return cmp.Or(err, tileErr) // if the root differs, the tiles differ, too
}

// logAudit checks the entries of a log, newest first.
type logAudit struct {
	checkpoint Checkpoint
	last       *Entry
	tree       rightToLeft
	published  *tileAudit
	err        error // of visit
}

func newLogAudit(ctx context.Context, l *sealedLog, c Checkpoint) *logAudit {
	a := &logAudit{checkpoint: c, published: &tileAudit{log: l, ctx: ctx, size: c.Size}}
	a.published.reads.SetLimit(width)
	return a
}

// visit checks an entry, unless there was an error before.
func (a *logAudit) visit(e Entry) {
	if a.err == nil {
		a.err = a.entry(e, nil)
	}
}

func (a *logAudit) entry(e Entry, err error) error {
	c := a.checkpoint
	switch {
	case errors.Is(err, backend.ErrNotFound) && a.last != nil:
		return fmt.Errorf("%w: the entry before sequence %d does not exist: %w", immukv.ErrVerificationFailed, a.last.Sequence, err)
	case err != nil:
		return err
	case a.last == nil && e.Sequence < c.Size-1:
		return fmt.Errorf("%w: the %v covers sequences 0 to %d, but the log ends with sequence %d", ErrRolledBack, c, c.Size-1, e.Sequence)
	case a.last != nil && (e.Sequence != a.last.Sequence-1 || e.Hash != a.last.PreviousHash):
		return fmt.Errorf("%w: sequence %d is not the entry that sequence %d names as the one before", immukv.ErrVerificationFailed, e.Sequence, a.last.Sequence)
	}
	a.last = &e
	if e.Sequence >= c.Size {
		return nil
	}
	data, err := leafOf(e)
	if err != nil {
		return err
	}
	h := tlog.RecordHash(data)
	a.tree.add(e.Sequence, h)
	return a.published.add(e.Sequence, data, h)
}

// end checks the beginning of the log and the root, after all entries were read.
func (a *logAudit) end() error {
	c := a.checkpoint
	root := tlog.Hash(rfc6962.DefaultHasher.EmptyRoot())
	if c.Size > 0 && a.last != nil {
		root = a.tree.root()
	}
	switch {
	case c.Size > 0 && a.last == nil:
		return fmt.Errorf("%w: the %v covers sequences 0 to %d, but the log is empty", ErrRolledBack, c, c.Size-1)
	case a.last != nil && a.last.Sequence != 0:
		return fmt.Errorf("%w: the log begins with sequence %d instead of 0", immukv.ErrVerificationFailed, a.last.Sequence)
	case a.last != nil && a.last.PreviousHash != immukv.GenesisHash:
		return fmt.Errorf("%w: the previous_hash of sequence 0 is not that of a first entry", immukv.ErrVerificationFailed)
	case c.Size == 0 && root != c.Root:
		return fmt.Errorf("%w: it covers no entries, but its root is not that of an empty tree", ErrBadCheckpoint)
	case root != c.Root:
		return fmt.Errorf("%w: sequences 0 to %d of the log do not have the root of the %v: the log was rewritten", ErrFork, c.Size-1, c)
	}
	return nil
}

// tileAudit compares the stored tiles and bundles with those computed from the log.
// Leaves are added last to first. It holds one tile of each level.
type tileAudit struct {
	log    *sealedLog
	ctx    context.Context
	reads  errgroup.Group // not cancelled by an error: an error about the root comes first
	size   int64
	leaves [][]byte      // of the bundle, last to first
	levels [][]tlog.Hash // of the tiles, last to first
}

// add adds the leaf that precedes the one added last.
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

// hash adds the hash that precedes the one added last on its level.
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
			err = fmt.Errorf("%w: %s differs from what the log yields", ErrBadTile, a.log.tileName(t))
		}
		return err
	})
}

// rightToLeft computes the root of a Merkle tree whose leaves are added last to first,
// the order in which a log is read. It holds one hash for each level.
type rightToLeft struct {
	nodes []node // complete subtrees, the leftmost last
}

type node struct {
	level int
	n     int64
	hash  tlog.Hash
}

// add adds the leaf that precedes the one added last.
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

// root returns the root, once the leaf of sequence 0 was added.
func (t *rightToLeft) root() tlog.Hash {
	root := t.nodes[0].hash
	for _, left := range t.nodes[1:] {
		root = tlog.NodeHash(left.hash, root)
	}
	return root
}
