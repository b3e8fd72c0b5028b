package tlog

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/immukv/immukv-go/immukv"
)

// Audit hashes the whole log anew, leaf by leaf, and checks that it has the root of
// the newest checkpoint, which it returns. Entries that were appended since are
// checked by the hash chain alone. It reads each log version once, and its memory
// does not grow with the log.
//
// The key objects are immukv.Client.Audit's to check.
func Audit[V any](ctx context.Context, v *Verifier, c *immukv.Client[V]) (Checkpoint, error) {
	// The checkpoint first: the log that is read then covers it.
	latest, _, err := v.latest(ctx, sealedLogOf(c))
	if err == nil {
		err = auditLog(ctx, raw(c), latest)
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("audit: %w", err)
	}
	return latest, nil
}

func auditLog(ctx context.Context, db *client, c Checkpoint) error {
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
	add := func(e Entry) error {
		if e.Sequence >= c.Size {
			return nil
		}
		data, err := leafOf(e)
		if err == nil {
			tree.add(e.Sequence, tlog.RecordHash(data))
		}
		return err
	}
	if err := add(*head); err != nil {
		return err
	}
	last := *head
	if err := chainBefore(ctx, db, *head, 0, func(e Entry) error {
		last.PreviousHash = e.PreviousHash
		return add(e)
	}); err != nil {
		return err
	}
	if last.PreviousHash != immukv.GenesisHash {
		return fmt.Errorf("%w: sequence 0 follows another entry", immukv.ErrVerificationFailed)
	}
	if c.Size > 0 && tree.root() != c.Root {
		return fmt.Errorf("%w: the log's entries 0 to %d do not have the root of the %v: it was rewritten", ErrFork, c.Size-1, c)
	}
	return nil
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
