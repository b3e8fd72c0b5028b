package serve

import (
	"errors"
	"strconv"

	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// meanings says what each kind of finding means to whoever operates the store.
var meanings = map[immukv.FindingKind]string{
	immukv.MalformedVersion:  "Something wrote a version that no client writes, or the store lost a part of it. The entry that it held cannot be read any more.",
	immukv.HashMismatch:      "The entry is not as its writer wrote it: its key, value, time or place was changed afterwards. Do not rely on it. An export or a copy of the store may have the original.",
	immukv.NotCanonical:      "The content matches its hash, but the bytes were written by something other than a client. Nothing that the hash covers was changed.",
	immukv.BrokenLink:        "The entry does not follow the one before it. Entries between them were replaced, removed or reordered, or a part of the log was written anew.",
	immukv.SequenceGap:       "Entries that the log had are not there. Their sequence numbers are missing.",
	immukv.MissingVersion:    "A version that something refers to was removed. A lifecycle rule that expires old versions does this, and so does whoever may delete versions.",
	immukv.UnexpectedVersion: "There is a version that no entry leads to. It was inserted, or written by something other than a client.",
	immukv.DeleteMarker:      "Somebody deleted the object, or a version of it. The versions below a delete marker are still there: remove the marker to restore the object.",
	immukv.MissingBeginning:  "The log does not begin with its first entry. The oldest versions were removed, or expired.",
	immukv.NotExtended:       "The log is not a continuation of the head that was trusted: its end was cut off, or it was written anew.",
	immukv.KeyMismatch:       "The object of a key differs from the log. Reads of the key may return something that was never set. The log has the right entries.",
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

// sealMeaning says what it means that the log does not agree with its checkpoint.
func sealMeaning(err error) string {
	switch {
	case errors.Is(err, tlog.ErrNoCheckpoint):
		return "The log was never sealed, or its checkpoint was removed. Only the chain of hashes protects it."
	case errors.Is(err, tlog.ErrRolledBack):
		return "The log, or its checkpoint, is older than one that was signed or accepted before. Entries were cut off, or the store was set back."
	case errors.Is(err, tlog.ErrFork):
		return "The log has two histories. It was rewritten below a checkpoint, or somebody who holds the signing key signed another log."
	case errors.Is(err, tlog.ErrBadTile):
		return "A stored part of the tree is missing or was changed. Proofs that need it cannot be made or will not hold."
	case errors.Is(err, tlog.ErrBadCheckpoint):
		return "The checkpoint is not signed with the key that this server was given, or lacks cosignatures that its policy requires."
	case errors.Is(err, immukv.ErrVerificationFailed):
		return "The log differs from what was signed."
	}
	return "The log was not compared with its checkpoint."
}
