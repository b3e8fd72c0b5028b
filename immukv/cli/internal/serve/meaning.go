package serve

import (
	"errors"
	"strconv"

	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// meanings explains each kind of finding to the operator of the store.
var meanings = map[immukv.FindingKind]string{
	immukv.MalformedVersion:  "Something other than a client wrote this version, or the store lost a part of it. Its entry can no longer be read.",
	immukv.HashMismatch:      "The entry was changed after it was written: its key, value, time or place. Do not rely on it. An export or a copy of the store may have the original.",
	immukv.NotCanonical:      "The content matches its hash, but the bytes were written by something other than a client. Nothing that the hash covers was changed.",
	immukv.BrokenLink:        "The entry does not follow the one before it. Entries between them were replaced, removed or reordered, or a part of the log was rewritten.",
	immukv.SequenceGap:       "Entries of the log are gone: their sequence numbers are missing.",
	immukv.MissingVersion:    "A version that something refers to was removed. A lifecycle rule that expires old versions does this, and so may anyone with permission to delete versions.",
	immukv.UnexpectedVersion: "There is a version to which no entry leads. It was inserted, or written by something other than a client.",
	immukv.DeleteMarker:      "Somebody deleted the object, or a version of it. The versions before a delete marker still exist: remove the marker to restore the object.",
	immukv.MissingBeginning:  "The log does not begin with its first entry. The oldest versions were removed, or expired.",
	immukv.NotExtended:       "The log does not extend the trusted head: its end was cut off, or it was rewritten.",
	immukv.KeyMismatch:       "The object of a key differs from the log. Reads of the key may return a value that was never set. The log has the right entries.",
}

func newFindingView(f immukv.Finding) findingView {
	v := findingView{
		Kind: string(f.Kind), Object: f.Object, Version: string(f.VersionID), Sequence: f.Sequence, Detail: f.Detail, Meaning: meanings[f.Kind],
	}
	if f.Sequence >= 0 {
		v.LogURL = "/log?sequence=" + strconv.FormatInt(f.Sequence, 10)
	}
	return v
}

// sealMeaning explains why the log does not match its checkpoint.
func sealMeaning(err error) string {
	switch {
	case errors.Is(err, tlog.ErrNoCheckpoint):
		return "The log was never sealed, or its checkpoint was removed. Only the hash chain protects it."
	case errors.Is(err, tlog.ErrRolledBack):
		return "The log, or its checkpoint, is older than one that was signed or accepted before. Entries were cut off, or the store was rolled back."
	case errors.Is(err, tlog.ErrFork):
		return "The log has two histories. It was rewritten below a checkpoint, or somebody with the signing key signed another log."
	case errors.Is(err, tlog.ErrBadTile):
		return "A stored part of the tree is missing or was changed. Proofs that need it cannot be made, or are wrong."
	case errors.Is(err, tlog.ErrBadCheckpoint):
		return "The checkpoint is not signed with the key that this server was given, or lacks cosignatures that its policy requires."
	case errors.Is(err, immukv.ErrVerificationFailed):
		return "The log differs from what was signed."
	}
	return "The log was not compared with its checkpoint."
}
