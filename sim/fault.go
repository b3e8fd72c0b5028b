package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/immukv/immukv-go/backend"
)

// Effect is the effect of a request at the store.
type Effect uint8

const (
	// Now: the request takes effect when it is chosen.
	Now Effect = iota
	// Never: it does not reach the store, or the store rejects it.
	Never
	// Later: it is still under way after its caller was answered. It takes effect when
	// the scheduler chooses, or never.
	Later
	// Again: it takes effect now, and a duplicate of it is still under way.
	Again
	// Copy: a duplicate takes effect now and its answer is lost; the request itself
	// continues to wait.
	Copy
)

var effectNames = [...]string{"now", "never", "later", "again", "copy"}

// String returns the effect as schedules print it.
func (e Effect) String() string { return effectNames[e] }

// Answer is the answer that the caller gets.
type Answer uint8

const (
	// Own: the store's answer.
	Own Answer = iota
	// Held: the same, but delayed until the request is chosen once more.
	Held
	// Lost: the connection broke, or the store failed during the request. The error is
	// [backend.ErrOutcomeUnknown] for a write, and one of no kind of the contract for a
	// read.
	Lost
	// Precondition to Damaged are the errors of the contract.
	Precondition
	Denied
	Unavailable
	Unsupported
	InvalidName
	TooLarge
	Damaged
	// Cancelled: the context of the call ends. If the call belongs to a [Process.Do], the
	// whole Do is cancelled.
	Cancelled
	// Crashed: the process crashes before it gets the answer.
	Crashed
	// Short: one item and a token, whatever the requested number.
	Short
	// Hollow: an empty page with a token that continues where it began.
	Hollow
	// Disordered: versions that are neighbours in the page have changed places.
	Disordered
)

var answerNames = [...]string{
	"own", "held", "lost", "precondition", "denied", "unavailable", "unsupported",
	"invalid-name", "too-large", "damaged", "cancelled", "crashed", "short", "hollow", "disordered",
}

// String returns the answer as schedules print it.
func (a Answer) String() string { return answerNames[a] }

// Fault is the effect and the answer of a request. The zero value is no fault: the
// request takes effect now, and the answer is the store's own.
type Fault struct {
	Effect Effect
	Answer Answer
}

// String returns a fault as effect/answer: "later/lost".
func (f Fault) String() string { return f.Effect.String() + "/" + f.Answer.String() }

// ParseFault parses the output of String.
func ParseFault(s string) (Fault, error) {
	effect, answer, _ := strings.Cut(s, "/")
	e := slices.Index(effectNames[:], effect)
	a := slices.Index(answerNames[:], answer)
	if e < 0 || a < 0 {
		return Fault{}, fmt.Errorf("%q is not a fault: want effect/answer, such as later/lost", s)
	}
	return Fault{Effect(e), Answer(a)}, nil
}

var (
	readFaults = []Fault{
		{Now, Held}, {Never, Lost}, {Never, Denied}, {Never, Unavailable}, {Never, Cancelled}, {Never, Crashed},
	}
	namesFaults    = append(slices.Clone(readFaults), Fault{Now, Short}, Fault{Now, Hollow})
	versionsFaults = append(slices.Clone(namesFaults), Fault{Now, Disordered})
	writeFaults    = []Fault{
		{Now, Held},
		{Never, Lost}, {Now, Lost}, {Later, Lost},
		{Again, Own}, {Again, Lost}, {Copy, Own},
		{Never, Precondition}, {Now, Precondition},
		{Never, Denied}, {Now, Denied},
		{Never, Unavailable}, {Now, Unavailable},
		{Now, Unsupported}, {Never, Unsupported},
		{Never, InvalidName}, {Never, TooLarge}, {Never, Damaged},
		{Never, Cancelled}, {Now, Cancelled}, {Later, Cancelled},
		{Never, Crashed}, {Now, Crashed}, {Later, Crashed},
	}
)

// Faults lists every fault that a request of the given kind can meet. For a write, an
// error is listed with and without effect where both are possible; a read has no effect
// that would make a difference.
func Faults(op Op) []Fault { return slices.Clone(faultsOf(op)) }

func faultsOf(op Op) []Fault {
	switch op {
	case OpPut:
		return writeFaults
	case OpListVersions:
		return versionsFaults
	case OpListNames:
		return namesFaults
	default:
		return readFaults
	}
}

// AllFaults lists every fault there is.
func AllFaults() []Fault {
	all := slices.Clone(writeFaults)
	for _, f := range versionsFaults {
		if !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	return all
}

// fits reports whether the request can meet the fault.
func (f Fault) fits(op Op) bool {
	return f == Fault{} || slices.Contains(faultsOf(op), f)
}

// fitsHeld reports whether a held answer can meet the fault: it may be lost, or come too
// late.
func (f Fault) fitsHeld() bool {
	return f.Effect == Now && slices.Contains([]Answer{Own, Lost, Cancelled, Crashed}, f.Answer)
}

// ErrCrashed is the error of every request of a process that has crashed, for errors.Is.
// It is context.Canceled, too, so that code stops instead of retrying. Nothing that the
// code still does has any effect.
var ErrCrashed error = crashedError{}

type crashedError struct{}

func (crashedError) Error() string        { return "the process has crashed" }
func (crashedError) Is(target error) bool { return target == context.Canceled }

var errLost = errors.New("the connection broke")

// askedWait is the wait that the store asks for with [Unavailable].
const askedWait = 2 * time.Second

// err returns the error that the caller gets for an answer that is not the store's own.
func (a Answer) err(r *Request) error {
	e := r.failed(nil)
	switch a {
	case Lost:
		e.Err = errLost
	case Precondition:
		e.Kind = backend.ErrPreconditionFailed
	case Denied:
		e.Kind = backend.ErrAccessDenied
	case Unavailable:
		e.Kind, e.RetryAfter = backend.ErrUnavailable, askedWait
	case Unsupported:
		e.Kind = nil
		e.Err = &backend.UnsupportedError{Clause: "S4", Problem: "the answer has the version ID null", Remedy: "enable versioning"}
	case InvalidName:
		e.Kind = backend.ErrInvalidName
	case TooLarge:
		e.Kind = backend.ErrTooLarge
	case Damaged:
		e.Kind = backend.ErrDamaged
	case Cancelled:
		e.Err = context.Canceled
	case Crashed:
		e.Err = ErrCrashed
	}
	return e
}
