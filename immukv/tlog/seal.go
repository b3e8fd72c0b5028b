package tlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// SealOption is an option of [Seal].
type SealOption func(*sealOptions)

type sealOptions struct {
	witnesses *WitnessPolicy
	remember  *Verifier
	former    *Policy
	every     time.Duration
	report    func(Checkpoint, error)
}

// Witnessed makes [Seal] publish a checkpoint only with the cosignatures that the
// policy asks for; if there are too few, the error is [ErrWitnesses]. A witness may
// say that the log does not extend what it has seen. The error is [ErrFork] or
// [ErrRolledBack], too, once the policy cannot be met without those that say so.
func Witnessed(p *WitnessPolicy) SealOption { return func(o *sealOptions) { o.witnesses = p } }

// Remembering makes [Seal] check the log's last checkpoint against the one that the
// verifier remembers, before it signs another. Without it a sealer knows of the
// past only what the bucket says.
func Remembering(v *Verifier) SealOption { return func(o *sealOptions) { o.remember = v } }

// Succeeding makes [Seal] go on from a checkpoint that another key signed, by the
// policy of that key. The new key's own checkpoints are looked for first, so that the
// option may stay.
func Succeeding(former Policy) SealOption { return func(o *sealOptions) { o.former = &former } }

// Every makes [Seal] go on, once per interval, until its context ends. Each result
// is given to report. An error that is immukv.ErrVerificationFailed ends it: what
// contradicts a checkpoint is for a person to look at.
func Every(interval time.Duration, report func(Checkpoint, error)) SealOption {
	return func(o *sealOptions) { o.every, o.report = interval, report }
}

// maxRaces is how often a seal begins anew because another one was faster.
const maxRaces = 16

// Seal brings the transparency log up to date with the log and signs its new head.
// It reads only the entries that are newer than the last checkpoint. If there are
// none, it writes nothing and returns the last checkpoint.
//
// It may run anywhere, any number of times at once, and be killed at any request:
// tiles are a function of the log, each is created once, and the checkpoint is
// replaced last, under the condition of its ETag.
//
// It refuses to sign a log that contradicts its last checkpoint, [ErrRolledBack] or
// [ErrFork]; the error names both sequences.
//
// Memory grows by the leaf and about two hashes of each entry that is new.
func Seal[V any](ctx context.Context, c *immukv.Client[V], s *Signer, opts ...SealOption) (Checkpoint, error) {
	var o sealOptions
	for _, opt := range opts {
		opt(&o)
	}
	if c.ReadOnly() {
		return Checkpoint{}, fmt.Errorf("seal: %w", immukv.ErrReadOnly)
	}
	if o.every <= 0 {
		return sealOnce(ctx, raw(c), s, &o)
	}
	ticker := time.NewTicker(o.every)
	defer ticker.Stop()
	for {
		sealed, err := sealOnce(ctx, raw(c), s, &o)
		if o.report != nil && ctx.Err() == nil {
			o.report(sealed, err)
		}
		if errors.Is(err, immukv.ErrVerificationFailed) {
			return sealed, err
		}
		select {
		case <-ctx.Done():
			return sealed, ctx.Err()
		case <-ticker.C:
		}
	}
}

func sealOnce(ctx context.Context, db *client, s *Signer, o *sealOptions) (Checkpoint, error) {
	for range maxRaces {
		sl := &sealer{sealedLog: sealedLogOf(db), db: db, signer: s, options: o}
		sl.cache = new(tileCache)
		sealed, err := sl.seal(ctx)
		if errors.Is(err, backend.ErrPreconditionFailed) {
			continue // another sealer replaced the checkpoint
		}
		if err == nil && o.remember != nil {
			err = o.remember.remember(ctx, sl.sealedLog, sealed)
		}
		if err != nil {
			err = fmt.Errorf("seal: %w", err)
		}
		return sealed, err
	}
	return Checkpoint{}, fmt.Errorf("seal: %w: other sealers replaced the checkpoint %d times meanwhile", immukv.ErrConflict, maxRaces)
}

// sealer is one seal.
type sealer struct {
	*sealedLog
	db      *client
	signer  *Signer
	options *sealOptions

	last     Checkpoint   // the zero Checkpoint if there is none
	etag     backend.ETag // of last; empty if there is none
	mine     bool         // last is signed with this key
	old      tlog.HashReader
	leaves   [][]byte // of the bundle that last ends in, then the new ones
	first    int64    // the sequence of leaves[0]
	lastLeaf leaf     // of last.Size-1

	stored  []tlog.Hash // the stored hashes from StoredHashCount(last.Size) on
	newTree tlog.Tree
}

func (s *sealer) seal(ctx context.Context) (Checkpoint, error) {
	if err := s.readLast(ctx); err != nil {
		return Checkpoint{}, err
	}
	if err := s.readNew(ctx); err != nil {
		return Checkpoint{}, err
	}
	if s.newTree.N == s.last.Size && s.mine && s.options.witnesses.check(s.last.Signed) == nil {
		return s.last, nil
	}
	if err := s.hash(); err != nil {
		return Checkpoint{}, err
	}
	if err := s.writeTiles(ctx); err != nil {
		return Checkpoint{}, err
	}
	sealed, err := s.signer.sign(s.newTree)
	if err != nil {
		return Checkpoint{}, err
	}
	if sealed.Signed, err = s.options.witnesses.cosign(ctx, sealed, s.last.Size, s); err != nil {
		return Checkpoint{}, err
	}
	return sealed, s.publish(ctx, sealed)
}

// readLast reads the last checkpoint and checks it, and the leaves that the next
// bundle begins with.
func (s *sealer) readLast(ctx context.Context) error {
	var before *Checkpoint // read first, as by a Verifier
	if v := s.options.remember; v != nil {
		var err error
		if before, err = v.remembered(); err != nil {
			return err
		}
	}
	signed, etag, err := s.readCheckpoint(ctx)
	if errors.Is(err, ErrNoCheckpoint) {
		signed, err = nil, nil
	}
	if err != nil {
		return err
	}
	if signed != nil {
		if s.last, err = s.open(signed); err != nil {
			return fmt.Errorf("%s: %w", s.name(checkpointName), err)
		}
		s.etag = etag
	}
	if v := s.options.remember; v != nil {
		if err := v.extends(ctx, s.sealedLog, before, s.last); err != nil {
			return err
		}
	}
	s.newTree = s.last.tree()
	if s.last.Size == 0 {
		return nil
	}
	s.old = s.hashes(ctx, s.last.tree())
	bundle := bundleOf(s.last.Size-1, s.last.Size)
	leaves, err := s.readBundle(ctx, bundle, s.old)
	if err != nil {
		return err
	}
	if s.lastLeaf, err = parseLeaf(leaves[len(leaves)-1]); err != nil {
		return err
	}
	s.first = s.last.Size
	if bundle.W < torchwood.TileWidth {
		s.first, s.leaves = bundle.N*torchwood.TileWidth, leaves
	}
	return nil
}

// open checks a checkpoint that this key signed, or the one before it.
func (s *sealer) open(signed []byte) (Checkpoint, error) {
	c, err := (Policy{Log: s.signer.verifier}).Open(signed)
	if s.mine = err == nil; s.mine || s.options.former == nil {
		return c, err
	}
	if c, formerErr := s.options.former.Open(signed); formerErr == nil {
		return c, nil
	}
	return Checkpoint{}, err
}

// readNew reads the entries that are newer than the last checkpoint.
func (s *sealer) readNew(ctx context.Context) error {
	head, err := newest(ctx, s.db)
	if err != nil {
		return err
	}
	size := s.last.Size
	switch {
	case head == nil && size == 0:
		return nil
	case head == nil:
		return fmt.Errorf("%w: the last checkpoint covers the log up to sequence %d, and the log is empty", ErrRolledBack, size-1)
	case head.Sequence < size-1:
		return fmt.Errorf("%w: the last checkpoint covers the log up to sequence %d, and the log ends with sequence %d", ErrRolledBack, size-1, head.Sequence)
	case head.Sequence == size-1:
		return s.checkLastLeaf(*head)
	}
	added := make([][]byte, head.Sequence-size+1)
	oldest := *head
	add := func(e Entry) (err error) {
		added[e.Sequence-size], err = leafOf(e)
		oldest = e
		return err
	}
	if err := add(*head); err != nil {
		return err
	}
	if err := chainBefore(ctx, s.db, *head, size, add); err != nil {
		return err
	}
	before := immukv.GenesisHash
	if size > 0 {
		before = s.lastLeaf.Hash
	}
	if oldest.PreviousHash != before {
		return fmt.Errorf("%w: sequence %d of the log does not follow sequence %d as the last checkpoint covers it: the log was rewritten",
			ErrFork, oldest.Sequence, size-1)
	}
	s.leaves = append(s.leaves, added...)
	s.newTree.N = head.Sequence + 1
	return nil
}

// checkLastLeaf checks that the newest entry is the one that was sealed.
func (s *sealer) checkLastLeaf(head Entry) error {
	if l := s.lastLeaf; head.Hash != l.Hash || head.Key != l.Key || head.Timestamp.UnixMilli() != l.TimestampMS {
		return fmt.Errorf("%w: sequence %d of the log is not the entry that the last checkpoint covers as sequence %d: the log was rewritten",
			ErrFork, head.Sequence, l.Sequence)
	}
	return nil
}

// hash computes the hashes of the new part of the tree.
func (s *sealer) hash() error {
	for n := s.last.Size; n < s.newTree.N; n++ {
		hashes, err := tlog.StoredHashes(n, s.leaves[n-s.first], s)
		if err != nil {
			return err
		}
		s.stored = append(s.stored, hashes...)
	}
	root, err := tlog.TreeHash(s.newTree.N, s)
	s.newTree.Hash = root
	return err
}

// ReadHashes implements tlog.HashReader: old hashes come from tiles, checked, and
// new ones from memory.
func (s *sealer) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	known := tlog.StoredHashCount(s.last.Size)
	hashes := make([]tlog.Hash, len(indexes))
	var ask []int64
	var places []int
	for i, index := range indexes {
		if index >= known {
			hashes[i] = s.stored[index-known]
			continue
		}
		ask = append(ask, index)
		places = append(places, i)
	}
	if len(ask) == 0 {
		return hashes, nil
	}
	found, err := s.old.ReadHashes(ask)
	if err != nil {
		return nil, err
	}
	for i, place := range places {
		hashes[place] = found[i]
	}
	return hashes, nil
}

// writeTiles writes the bundles and tiles that the new tree has and the old one had
// not.
func (s *sealer) writeTiles(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(width)
	for n := s.last.Size / torchwood.TileWidth; n*torchwood.TileWidth < s.newTree.N; n++ {
		t := bundleOf(n*torchwood.TileWidth, s.newTree.N)
		if n*torchwood.TileWidth+int64(t.W) <= s.last.Size {
			continue
		}
		var body []byte
		for i := range int64(t.W) {
			var err error
			if body, err = torchwood.AppendTileEntry(body, s.leaves[n*torchwood.TileWidth+i-s.first]); err != nil {
				return errors.Join(fmt.Errorf("leaf of sequence %d: %w", n*torchwood.TileWidth+i, err), group.Wait())
			}
		}
		group.Go(func() error { return s.create(ctx, t, body) })
	}
	for _, t := range tlog.NewTiles(torchwood.TileHeight, s.last.Size, s.newTree.N) {
		body, err := tlog.ReadTileData(t, s)
		if err != nil {
			return errors.Join(err, group.Wait())
		}
		group.Go(func() error { return s.create(ctx, t, body) })
	}
	return group.Wait()
}

// publish replaces the checkpoint. backend.ErrPreconditionFailed means that somebody
// else did.
func (s *sealer) publish(ctx context.Context, sealed Checkpoint) error {
	cond := backend.IfAbsent()
	if s.etag != "" {
		cond = backend.IfMatch(s.etag)
	}
	_, err := s.store.Put(ctx, s.name(checkpointName), sealed.Signed, cond)
	if errors.Is(err, backend.ErrOutcomeUnknown) {
		if there, _, readErr := s.readCheckpoint(ctx); readErr == nil && string(there) == string(sealed.Signed) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("publish the checkpoint: %w", err)
	}
	return nil
}
