package tlog

import (
	"errors"
	"fmt"

	"github.com/immukv/immukv-go/immukv"
)

// The errors of this package, for errors.Is. All but ErrNoCheckpoint, ErrNotSealed,
// ErrInvalidKey and ErrWitnesses are immukv.ErrVerificationFailed too: some data
// differs from what was signed.
var (
	// ErrRolledBack: the log, or its checkpoint, is older than one that was signed
	// or accepted before.
	ErrRolledBack = fmt.Errorf("%w: rolled back", immukv.ErrVerificationFailed)
	// ErrFork: the log has two histories. It was rewritten below a checkpoint, or two
	// checkpoints contradict each other, or a stored object of the transparency log
	// differs from what the log yields.
	ErrFork = fmt.Errorf("%w: fork", immukv.ErrVerificationFailed)
	// ErrBadCheckpoint: a checkpoint is malformed, belongs to another log, or lacks a
	// required signature.
	ErrBadCheckpoint = fmt.Errorf("%w: bad checkpoint", immukv.ErrVerificationFailed)
	// ErrBadTile: a tile or an entry bundle is missing, or differs from what the
	// checkpoint commits to.
	ErrBadTile = fmt.Errorf("%w: bad tile", immukv.ErrVerificationFailed)
	// ErrBadProof: a proof is malformed or wrong.
	ErrBadProof = fmt.Errorf("%w: bad proof", immukv.ErrVerificationFailed)
	// ErrNotIncluded: the signed tree has another entry at this sequence.
	ErrNotIncluded = fmt.Errorf("%w: not in the signed log", immukv.ErrVerificationFailed)

	// ErrNoCheckpoint: the log was never sealed, or its checkpoint was removed.
	ErrNoCheckpoint = errors.New("no checkpoint")
	// ErrNotSealed: the entry is newer than the checkpoint.
	ErrNotSealed = errors.New("not sealed yet")
	// ErrInvalidKey: a key of the transparency log, or the file that holds it,
	// cannot be used.
	ErrInvalidKey = errors.New("invalid signing or verifier key")
	// ErrWitnesses: too few witnesses cosigned. Nothing was published.
	ErrWitnesses = errors.New("too few cosignatures")
)
