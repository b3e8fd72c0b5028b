package backend

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// The errors of a [VersionedStore], for errors.Is. Its doc comment says what
// each proves.
var (
	// ErrNotFound: the object, or that version of it, does not exist (S14).
	ErrNotFound = errors.New("not found")
	// ErrPreconditionFailed: the write did not apply because its condition did not
	// hold (S15). If the caller sent the same write before, or requests may be
	// duplicated on their way, an earlier copy may be what made it fail: the caller
	// has to check.
	ErrPreconditionFailed = errors.New("precondition failed")
	// ErrOutcomeUnknown: the write may have applied, may apply later, or never
	// (S16). The caller settles it: it sends the identical write again under the
	// identical condition, so that at most one of them can apply, and reads what is
	// there.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrAccessDenied: the store does not permit the operation (S17).
	ErrAccessDenied = errors.New("access denied")
	// ErrUnavailable: the store asks the caller to wait (S17), or the request was
	// not made: the store could not be reached, its disk is full, or the context
	// ended before anything was sent. Nothing took effect. The caller retries,
	// after the RetryAfter of the [*Error] that carries it.
	ErrUnavailable = errors.New("store unavailable")
	// ErrInvalidName: the store cannot hold an object of that name (S12).
	ErrInvalidName = errors.New("invalid object name")
	// ErrTooLarge: the body exceeds what the store takes or returns (S13).
	ErrTooLarge = errors.New("body too large")
	// ErrDamaged: a version is gone and has left a trace, or what is stored cannot
	// be what was written. Somebody changed the store by other means. This is not
	// absence, and nothing may be written over the damage.
	ErrDamaged = errors.New("store damaged")
	// ErrUnsupported: the store cannot keep the contract (S20). The
	// [*UnsupportedError] that carries it says which clause and what to do.
	ErrUnsupported = errors.New("store cannot be trusted")
	// ErrNoCondition: the write has no condition. No store performs such a write;
	// it is a mistake in the calling program.
	ErrNoCondition = errors.New("write without a condition")
	// ErrInvalidURL: [Open] cannot make sense of the URL of a store.
	ErrInvalidURL = errors.New("invalid store URL")
)

// Error is an error of a [VersionedStore] with what was attempted on what. Both
// its Kind and its cause are visible to errors.Is and errors.As.
type Error struct {
	Op      string    // the method, in lower case: "get", "put", "list versions"
	Name    string    // the object, or the prefix of a listing of names
	Version VersionID // the version, where one was asked for
	Kind    error     // one of the sentinels, or nil: a failure of no promised kind
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

// UnsupportedError says why a store is refused (S20). It is [ErrUnsupported]
// for errors.Is.
type UnsupportedError struct {
	Clause  string // the clause that the store breaks: "S4"
	Problem string // what was seen, as a sentence without its full stop
	Remedy  string // what to do about it, likewise
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

// CheckName returns an error that is [ErrInvalidName] unless name is one that
// clause S12 lets a store hold: valid UTF-8 of 1 to [MaxNameBytes] bytes.
// Implementations call it before anything else; what they cannot hold beyond
// that they refuse themselves.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", ErrInvalidName)
	case len(name) > MaxNameBytes:
		return fmt.Errorf("%w: %d bytes, of which a store holds %d at most", ErrInvalidName, len(name), MaxNameBytes)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: it is not valid UTF-8", ErrInvalidName)
	}
	return nil
}

// CheckPut returns the error with which every implementation refuses a write
// that no store performs: an invalid name, a body over [MaxBodyBytes], or no
// condition.
func CheckPut(name string, body []byte, cond Condition) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if len(body) > MaxBodyBytes {
		return fmt.Errorf("%w: %d bytes, of which a store takes %d at most", ErrTooLarge, len(body), MaxBodyBytes)
	}
	if !cond.Valid() {
		return ErrNoCondition
	}
	return nil
}
