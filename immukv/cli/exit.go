package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// The exit codes of the command.
const (
	exitDone      = 0
	exitFailed    = 1
	exitUsage     = 2
	exitChanges   = 2 // of bucket plan; the plan on standard output distinguishes it from exitUsage
	exitNotFound  = 3
	exitFindings  = 4 // a verification found something, or what was read cannot be trusted
	exitCondition = 5
	exitUnknown   = 6
)

// inputError is an error in input data, such as a line of a file. It is never a usage
// error: the command line was right.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }
func (e *inputError) Unwrap() error { return e.err }

// exitCode returns the exit code for an error, nil included. The order matters: an
// unknown outcome may have any cause, and a damaged store may report that an object was
// not found. The client's error counts, not the store's: a repair, too, may have an
// unknown outcome, which does not matter.
func exitCode(err error) int {
	var input *inputError
	var usage *usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, immukv.ErrOutcomeUnknown):
		return exitUnknown
	case errors.As(err, &input):
		return exitFailed
	case errors.As(err, &usage),
		isAny(err, immukv.ErrInvalidOption, immukv.ErrInvalidKey, immukv.ErrInvalidValue, immukv.ErrValueTooLarge,
			backend.ErrInvalidURL, backend.ErrInvalidName, tlog.ErrInvalidKey):
		return exitUsage
	case errors.Is(err, errChanges):
		return exitChanges
	case isAny(err, immukv.ErrVerificationFailed, immukv.ErrMalformedEntry, immukv.ErrDiverged, immukv.ErrLogDeleted, backend.ErrDamaged, errDeviates):
		return exitFindings
	case isAny(err, immukv.ErrConditionFailed, immukv.ErrConflict, backend.ErrPreconditionFailed):
		return exitCondition
	case isAny(err, immukv.ErrNotFound, tlog.ErrNoCheckpoint):
		return exitNotFound
	}
	return exitFailed
}

func isAny(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// hint returns what the user can do about an error, or an empty text. The command is the
// one that failed, as typed. ofFile reports whether the error is about a file.
func hint(err error, command string, ofFile bool) string {
	var usage *usageError
	var unknown *immukv.OutcomeUnknownError
	switch {
	case errors.As(err, &unknown):
		return unknownHint(unknown)
	case isAny(err, immukv.ErrInvalidValue) && command == "immukv set":
		return `VALUE is JSON: a string has quotes of its own, as in '"text"'.`
	case errors.As(err, &usage):
		return fmt.Sprintf("Run '%s --help' for its usage.", command)
	case errors.Is(err, context.DeadlineExceeded):
		return "Set the time limit with --timeout."
	case isAny(err, immukv.ErrVerificationFailed, immukv.ErrMalformedEntry, immukv.ErrDiverged, backend.ErrDamaged) &&
		!ofFile && command != "immukv audit" && !strings.HasPrefix(command, "immukv tlog"):
		return "Run 'immukv audit' for a full report on the store."
	}
	return ""
}

// unknownHint says how to find out the outcome of a write.
func unknownHint(e *immukv.OutcomeUnknownError) string {
	return fmt.Sprintf(`The write may be in the log, now or later. To find out, run with the same --store and --prefix:
  immukv log --from %[1]d --write-id %[2]s
It prints the entry if it is in the log. If the log has another entry of sequence %[1]d,
the write never takes effect. If the log has no entry of that sequence yet, it still may.`, e.Sequence, e.WriteID)
}
