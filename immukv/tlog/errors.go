package tlog

import (
	"errors"
	"fmt"

	"github.com/immukv/immukv-go/immukv"
)

// The errors of this package, for errors.Is. All but ErrNoCheckpoint, ErrNotSealed,
// ErrInvalidKey and ErrWitnesses are immukv.ErrVerificationFailed too: something is
// not as it was signed.
var (
	// ErrRolledBack: the log, or its checkpoint, is older than one that was signed
	// or accepted before.
	ErrRolledBack = fmt.Errorf("%w: rolled back", immukv.ErrVerificationFailed)
	// ErrFork: two histories were made of one log. It was rewritten below a
	// checkpoint, two checkpoints contradict each other, or an object of the
	// transparency log holds other bytes than the log leads to.
	ErrFork = fmt.Errorf("%w: fork", immukv.ErrVerificationFailed)
	// ErrBadCheckpoint: a checkpoint is malformed, is that of another log, or
	// lacks a signature that is required.
	ErrBadCheckpoint = fmt.Errorf("%w: bad checkpoint", immukv.ErrVerificationFailed)
	// ErrBadTile: a tile or an entry bundle is missing or is not what the
	// checkpoint commits to.
	ErrBadTile = fmt.Errorf("%w: bad tile", immukv.ErrVerificationFailed)
	// ErrBadProof: a proof does not hold.
	ErrBadProof = fmt.Errorf("%w: bad proof", immukv.ErrVerificationFailed)
	// ErrNotIncluded: an entry is not the one that the signed tree holds in its
	// place.
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
