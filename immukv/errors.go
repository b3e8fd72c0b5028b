package immukv

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// The errors of a [Client], for errors.Is. They wrap the errors of the store:
// backend.ErrAccessDenied, backend.ErrUnavailable and the SDK's own errors.
var (
	// ErrNotFound: there is no such key, or no such version.
	ErrNotFound = backend.ErrNotFound
	// ErrReadOnly: the client was opened with [WithReadOnly].
	ErrReadOnly = errors.New("client is read-only")
	// ErrConflict: other writers won every attempt that [WithMaxAttempts] allows. From
	// [Client.Settle]: another entry has the place in the log that the write was to have.
	// In both cases the entry is not in the log and never will be.
	ErrConflict = errors.New("conflict")
	// ErrConditionFailed: the condition of a write does not hold, and nothing was
	// written. The error is a [*ConditionError], which has the key's newest entry, if
	// there is one.
	ErrConditionFailed = errors.New("condition failed")
	// ErrOutcomeUnknown: the entry may be in the log, now or later. To find out, pass the
	// [*OutcomeUnknownError] to [Client.Settle].
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrMalformedEntry: a stored document cannot be read as an entry.
	ErrMalformedEntry = wire.ErrMalformedEntry
	// ErrVerificationFailed: an entry does not match its hash, or a verification has
	// findings.
	ErrVerificationFailed = errors.New("verification failed")
	// ErrInvalidKey: the key cannot be stored.
	ErrInvalidKey = wire.ErrInvalidKey
	// ErrInvalidValue: the value is not JSON, or canonical JSON cannot carry it.
	ErrInvalidValue = wire.ErrInvalidValue
	// ErrValueTooLarge: the value exceeds the limit of [WithMaxValueBytes].
	ErrValueTooLarge = errors.New("value too large")
	// ErrLogDeleted: the log has versions or delete markers but no current
	// version. Appending would start a second history, so nothing is written.
	ErrLogDeleted = errors.New("log was deleted")
	// ErrDiverged: two objects or two logs that should agree do not. From a write or a
	// repair: an entry cannot be applied. Either the key object is not as the entry
	// recorded it, and holds neither the entry nor a later one, or the store cannot hold
	// the key object. [Client.Audit] reports the details. From [Copy]: the destination
	// has other entries than the source; see [ForkError].
	ErrDiverged = errors.New("key object diverges from the log")
	// ErrClosed: the client was closed.
	ErrClosed = errors.New("client is closed")
	// ErrInvalidOption: an option has an invalid value.
	ErrInvalidOption = errors.New("invalid option")
)

// OutcomeUnknownError says that a write may have taken place or not, or may take place
// later. [Client.Settle] finds out. It is [ErrOutcomeUnknown] for errors.Is, and wraps
// the error with which the answer was lost.
type OutcomeUnknownError struct {
	Key string
	// WriteID is the write_id that the entry carries if it is in the log.
	WriteID string
	// Sequence is the place that the entry has if it is in the log.
	Sequence int64
	// Follows is the log version that the entry follows if it is in the log;
	// empty if it would be the first.
	Follows LogVersionID
	// Err is why the outcome is unknown.
	Err error

	append *proposal
	// The entries of the call are those of the proposal from this place on.
	place, entries int
}

func (e *OutcomeUnknownError) Error() string {
	return fmt.Sprintf("%v: write %s of %q may be in the log as sequence %d, now or later: %v",
		ErrOutcomeUnknown, e.WriteID, e.Key, e.Sequence, e.Err)
}

// Is makes the error [ErrOutcomeUnknown].
func (e *OutcomeUnknownError) Is(target error) bool { return target == ErrOutcomeUnknown }

// Unwrap returns the reason.
func (e *OutcomeUnknownError) Unwrap() error { return e.Err }

// ConditionError says that nothing was written because the condition does not hold, and
// which entry of the key was found. That entry was the key's newest at some moment during
// the call. It is [ErrConditionFailed] for errors.Is.
type ConditionError struct {
	Key string
	// Absent reports whether the condition was [IfAbsent]. If it is false, the condition
	// was [IfSequence] with Sequence.
	Absent   bool
	Sequence int64
	// Found is the key's newest entry, with its stored JSON as its value; nil if the key
	// has no entry. The key may have a newer entry by now.
	Found *Entry[json.RawMessage]

	found *version
}

func (e *ConditionError) Error() string {
	want := fmt.Sprintf("an entry of sequence %d", e.Sequence)
	if e.Absent {
		want = "no entry"
	}
	if e.Found == nil {
		return fmt.Sprintf("%v: want %s of %q, but it has no entry", ErrConditionFailed, want, e.Key)
	}
	return fmt.Sprintf("%v: want %s of %q, but its newest entry has sequence %d", ErrConditionFailed, want, e.Key, e.Found.Sequence)
}

// Is makes the error [ErrConditionFailed].
func (e *ConditionError) Is(target error) bool { return target == ErrConditionFailed }

// EntryError says which stored entry has a problem, and what the problem is. It is
// [ErrMalformedEntry] or [ErrVerificationFailed] for errors.Is, or the codec's own error
// where it could not decode the value.
type EntryError struct {
	Object    string            // name of the object in the store
	VersionID backend.VersionID // empty if it is the current one, and could not be read
	Sequence  int64             // -1 if it could not be read
	Err       error
}

func (e *EntryError) Error() string {
	return fmt.Sprintf("%s: %v", where(e.Object, e.VersionID, e.Sequence), e.Err)
}

// where names an entry in an error, as far as it is known.
func where(object string, id backend.VersionID, sequence int64) string {
	if id != "" {
		object += " version " + string(id)
	}
	if sequence >= 0 {
		object += fmt.Sprintf(" (sequence %d)", sequence)
	}
	return object
}

// Unwrap returns the problem.
func (e *EntryError) Unwrap() error { return e.Err }

// DivergedError says which entry cannot be applied to which key object. It is
// [ErrDiverged] for errors.Is.
type DivergedError struct {
	Object   string // name of the key object
	Sequence int64  // of the entry that cannot be applied
	Problem  string
}

func (e *DivergedError) Error() string {
	return fmt.Sprintf("%v: sequence %d cannot be applied to %s: %s; run an audit", ErrDiverged, e.Sequence, e.Object, e.Problem)
}

// Is makes the error [ErrDiverged].
func (e *DivergedError) Is(target error) bool { return target == ErrDiverged }

// ForkError says that the destination of a copy has other entries than the source. It is
// [ErrDiverged] for errors.Is.
type ForkError struct {
	Sequence int64 // the first at which the two differ
	Problem  string
}

func (e *ForkError) Error() string {
	return fmt.Sprintf("the destination does not continue the source: at sequence %d, %s", e.Sequence, e.Problem)
}

// Is makes the error [ErrDiverged].
func (e *ForkError) Is(target error) bool { return target == ErrDiverged }
