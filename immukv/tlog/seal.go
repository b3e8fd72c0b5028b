package tlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"filippo.io/torchwood"

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
// policy requires. If there are too few, the error is [ErrWitnesses]. A witness may
// report that the log does not extend what the witness has seen. If the policy cannot
// be met without such witnesses, the error is also [ErrFork] or [ErrRolledBack].
func Witnessed(p *WitnessPolicy) SealOption { return func(o *sealOptions) { o.witnesses = p } }

// Remembering makes [Seal] check the log's last checkpoint against the one that the
// verifier remembers, before it signs a new one. Without this option, a sealer trusts
// the bucket for what was signed before.
func Remembering(v *Verifier) SealOption { return func(o *sealOptions) { o.remember = v } }

// Succeeding makes [Seal] continue from a checkpoint that a former key signed. The
// argument is the policy of the former key. Seal tries the new key's own checkpoints
// first, so the option can stay after the change of keys.
func Succeeding(former Policy) SealOption { return func(o *sealOptions) { o.former = &former } }

// Every makes [Seal] repeat, once per interval, until its context ends. Seal passes
// each result to report. It continues after an error, unless the error is
// immukv.ErrVerificationFailed: a person must look into a log that contradicts a
// checkpoint.
func Every(interval time.Duration, report func(Checkpoint, error)) SealOption {
	return func(o *sealOptions) { o.every, o.report = interval, report }
}

// maxRaces is how often a seal begins again because another sealer was faster.
const maxRaces = 16

// Seal brings the transparency log up to date with the log and signs its new head. It
// reads only the entries that are newer than the last checkpoint. If there are none, it
// writes nothing and returns the last checkpoint.
//
// Any number of sealers may run at once, on any machine, and each may be killed at any
// request. This is safe because tiles are a function of the log, and each is created
// once. The checkpoint is replaced last, under the condition of its ETag.
//
// If the log contradicts its last checkpoint, Seal signs nothing. The error is
// [ErrRolledBack] or [ErrFork], and names both sequences.
//
// Seal reads entries oldest first and writes each tile when it is full. Its memory
// grows only by the version IDs of new entries, about 40 bytes each.
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
	return Checkpoint{}, fmt.Errorf("seal: %w: other sealers replaced the checkpoint %d times; try again later", immukv.ErrConflict, maxRaces)
}

// sealer is one run of Seal.
type sealer struct {
	*sealedLog
	db      *client
	signer  *Signer
	options *sealOptions

	last     Checkpoint   // the zero Checkpoint if there is none
	etag     backend.ETag // of last; empty if there is none
	mine     bool         // this key has signed last
	lastLeaf leaf         // of last.Size-1
	growth   *growth
	hints    *hintWriter
}

func (s *sealer) seal(ctx context.Context) (Checkpoint, error) {
	if err := s.readLast(ctx); err != nil {
		return Checkpoint{}, err
	}
	head, err := newest(ctx, s.db)
	if err == nil {
		err = s.checkHead(head)
	}
	if err != nil {
		return Checkpoint{}, err
	}
	grows := head != nil && head.Sequence >= s.last.Size
	if !grows && s.mine && s.options.witnesses.check(s.last.Signed) == nil {
		return s.last, nil
	}
	if grows {
		if err := s.readNew(ctx, *head); err != nil {
			return Checkpoint{}, cmp.Or(s.growth.writes.Wait(), err) // err may only be a consequence
		}
	}
	tree, err := s.growth.finish()
	if err != nil {
		return Checkpoint{}, err
	}
	sealed, err := s.signer.sign(tree)
	if err != nil {
		return Checkpoint{}, err
	}
	if sealed.Signed, err = s.options.witnesses.cosign(ctx, sealed, s.last.Size, s.hashes(ctx, tree)); err != nil {
		return Checkpoint{}, err
	}
	return sealed, s.publish(ctx, sealed)
}

// readLast reads the last checkpoint and checks it, and the right edge of its tree.
func (s *sealer) readLast(ctx context.Context) error {
	var before *Checkpoint // read before the checkpoint, as a Verifier does
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
	return s.readEdge(ctx)
}

// open checks a checkpoint that this key or the former one signed.
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

// readEdge reads the right edge of the tree, to which new leaves are added.
func (s *sealer) readEdge(ctx context.Context) (err error) {
	size := s.last.Size
	s.hints = &hintWriter{log: s.sealedLog, db: s.db, size: size}
	hashes := s.hashes(ctx, s.last.tree())
	var leaves [][]byte
	if size > 0 {
		bundle := bundleOf(size-1, size)
		if leaves, err = s.readBundle(ctx, bundle, hashes); err != nil {
			return err
		}
		if s.lastLeaf, err = parseLeaf(leaves[len(leaves)-1]); err != nil {
			return err
		}
		if bundle.W == torchwood.TileWidth {
			leaves = nil
		}
	}
	s.growth, err = s.grow(ctx, size, hashes, leaves)
	return err
}

// checkHead returns an error if the log is shorter than the last checkpoint says, or has
// the same length but another newest entry.
func (s *sealer) checkHead(head *Entry) error {
	size := s.last.Size
	switch {
	case size == 0:
		return nil
	case head == nil:
		return fmt.Errorf("%w: the last checkpoint covers the log up to sequence %d, but the log is empty", ErrRolledBack, size-1)
	case head.Sequence < size-1:
		return fmt.Errorf("%w: the last checkpoint covers the log up to sequence %d, but the log ends with sequence %d", ErrRolledBack, size-1, head.Sequence)
	case head.Sequence > size-1:
		return nil
	}
	if l := s.lastLeaf; head.Hash != l.Hash || head.Key != l.Key || head.Timestamp.UnixMilli() != l.TimestampMS {
		return fmt.Errorf("%w: sequence %d of the log is not the entry that the last checkpoint has as sequence %d: the log was rewritten",
			ErrFork, head.Sequence, l.Sequence)
	}
	return nil
}

// readNew adds the entries that are newer than the last checkpoint, oldest first.
func (s *sealer) readNew(ctx context.Context, head Entry) error {
	last := Entry{Sequence: s.last.Size - 1, Hash: s.lastLeaf.Hash}
	if s.last.Size == 0 {
		last.Hash = immukv.GenesisHash
	}
	for e, err := range s.newEntries(ctx, head) {
		switch {
		case err != nil:
			return err
		case e.Sequence != last.Sequence+1:
			return fmt.Errorf("%w: the log has sequence %d where sequence %d should be", immukv.ErrVerificationFailed, e.Sequence, last.Sequence+1)
		case e.PreviousHash != last.Hash && last.Sequence == s.last.Size-1:
			return fmt.Errorf("%w: sequence %d of the log does not follow sequence %d of the last checkpoint: the log was rewritten",
				ErrFork, e.Sequence, last.Sequence)
		case e.PreviousHash != last.Hash:
			return fmt.Errorf("%w: sequence %d of the log does not follow sequence %d", immukv.ErrVerificationFailed, e.Sequence, last.Sequence)
		}
		data, err := leafOf(e)
		if err == nil {
			err = s.growth.add(data)
		}
		if err == nil {
			err = s.hints.add(ctx, s.growth, e)
		}
		if err != nil {
			return err
		}
		last = e
	}
	if last.Sequence < head.Sequence {
		return fmt.Errorf("%w: the log has sequence %[3]d, but not sequence %[2]d", immukv.ErrVerificationFailed, last.Sequence+1, head.Sequence)
	}
	return nil
}

// newEntries yields the entries after the last checkpoint, at least up to the head.
func (s *sealer) newEntries(ctx context.Context, head Entry) iter.Seq2[Entry, error] {
	if head.Sequence == s.last.Size {
		return func(yield func(Entry, error) bool) { yield(head, nil) }
	}
	return s.db.Log(ctx, immukv.From(s.last.Size), immukv.OldestFirst())
}

// publish replaces the checkpoint. backend.ErrPreconditionFailed means that another
// sealer has replaced it.
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
