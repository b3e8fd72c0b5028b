package backend

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// The errors of a [VersionedStore], for errors.Is. The comment of each says what it
// proves.
var (
	// ErrNotFound: the object, or that version of it, does not exist (S14).
	ErrNotFound = errors.New("not found")
	// ErrPreconditionFailed: the write did not apply because its condition did not hold
	// (S15). If the caller sent the same write before, or if a proxy may repeat requests,
	// an earlier copy may have made it fail: the caller must check.
	ErrPreconditionFailed = errors.New("precondition failed")
	// ErrOutcomeUnknown: the write may have applied, may apply later, or may never apply
	// (S16). To find out, the caller sends the identical write again under the identical
	// condition, so that at most one of them can apply, and reads the object.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrAccessDenied: the store does not permit the operation (S17).
	ErrAccessDenied = errors.New("access denied")
	// ErrUnavailable: the store asks the caller to wait (S17), or the request was not
	// sent: the store could not be reached, its disk is full, or the context ended
	// before. Nothing took effect. The caller retries, after the RetryAfter of the
	// [*Error] that carries it.
	ErrUnavailable = errors.New("store unavailable")
	// ErrInvalidName: the store cannot hold an object of that name (S12).
	ErrInvalidName = errors.New("invalid object name")
	// ErrTooLarge: the body exceeds the limit of the store (S13).
	ErrTooLarge = errors.New("body too large")
	// ErrDamaged: a version no longer exists but has left a trace, or the stored data
	// cannot be what was written. Somebody changed the store by other means. This is not
	// absence, and nothing may be written over the damage.
	ErrDamaged = errors.New("store damaged")
	// ErrUnsupported: the store cannot keep the contract (S20). The
	// [*UnsupportedError] that carries it says which clause and what to do.
	ErrUnsupported = errors.New("store cannot be trusted")
	// ErrNoCondition: the write has no condition. No store performs such a write;
	// it is a mistake in the calling program.
	ErrNoCondition = errors.New("write without a condition")
	// ErrInvalidURL: [Open] cannot use the URL of a store.
	ErrInvalidURL = errors.New("invalid store URL")
)

// Error is an error of a [VersionedStore] with the operation and the object. Both its
// Kind and its cause are visible to errors.Is and errors.As.
type Error struct {
	Op      string    // the method, in lower case: "get", "put", "list versions"
	Name    string    // the object, or the prefix of a listing of names
	Version VersionID // the version, if the operation has one
	Kind    error     // one of the sentinels, or nil for any other failure
	// RetryAfter is the wait that the store asked for with ErrUnavailable; zero
	// if it named none.
	RetryAfter time.Duration
	Err        error // the cause; may be nil
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q", e.Op, e.Name)
	if e.Version != "" {
		fmt.Fprintf(&b, " version %q", e.Version)
	}
	for _, err := range e.Unwrap() {
		fmt.Fprintf(&b, ": %v", err)
	}
	return b.String()
}

// Unwrap makes the kind and the cause visible to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	var errs []error
	if e.Kind != nil {
		errs = append(errs, e.Kind)
	}
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	return errs
}

// UnsupportedError says why a store cannot be used (S20). It is [ErrUnsupported] for
// errors.Is.
type UnsupportedError struct {
	Clause  string // the clause that the store breaks: "S4"
	Problem string // what was observed, as a sentence without its full stop
	Remedy  string // what to do about it, also without a full stop
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("%v (clause %s): %s: %s", ErrUnsupported, e.Clause, e.Problem, e.Remedy)
}

// Is makes the error [ErrUnsupported].
func (e *UnsupportedError) Is(target error) bool { return target == ErrUnsupported }

// RetryAfter is the wait that a store asked for with the [ErrUnavailable] in
// err's tree, or zero.
func RetryAfter(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

// CheckName returns an error that is [ErrInvalidName] unless name is one that clause S12
// allows: valid UTF-8 of 1 to [MaxNameBytes] bytes. Implementations call it first, and
// themselves reject other names that they cannot hold.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: the name is empty", ErrInvalidName)
	case len(name) > MaxNameBytes:
		return fmt.Errorf("%w: the name has %d bytes; the limit is %d", ErrInvalidName, len(name), MaxNameBytes)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: the name is not valid UTF-8", ErrInvalidName)
	}
	return nil
}

// CheckPut returns the error for a write that no store performs: an invalid name, a body
// over [MaxBodyBytes], or no condition.
func CheckPut(name string, body []byte, cond Condition) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if len(body) > MaxBodyBytes {
		return fmt.Errorf("%w: the body has %d bytes; the limit is %d", ErrTooLarge, len(body), MaxBodyBytes)
	}
	if !cond.Valid() {
		return ErrNoCondition
	}
	return nil
}
