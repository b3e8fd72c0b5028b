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
	exitChanges   = 2 // of bucket plan, whose plan on standard output tells it from usage
	exitNotFound  = 3
	exitFindings  = 4 // a verification found something, or what was read cannot be trusted
	exitCondition = 5
	exitUnknown   = 6
)

// inputError is a fault in data that a command was given to work on, such as a
// line of a file. Whatever the fault is, the command line was right.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }
func (e *inputError) Unwrap() error { return e.err }

// exitCode is the exit code for an error, nil included. The order matters: an
// outcome that is unknown may have any reason, and a store that is damaged says
// of what is lost that it was not found. It is the client's word that counts, not
// the store's: of a repair the outcome may be unknown too, and matters to nobody.
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

// hint is what can be done about an error, or empty. The command is the one that
// failed, as a person would type it; ofFile tells that it is about a file.
func hint(err error, command string, ofFile bool) string {
	var usage *usageError
	var unknown *immukv.OutcomeUnknownError
	switch {
	case errors.As(err, &unknown):
		return unknownHint(unknown)
	case isAny(err, immukv.ErrInvalidValue) && command == "immukv set":
		return `VALUE is JSON: a string has quotes of its own, as in '"text"'.`
	case errors.As(err, &usage):
		return fmt.Sprintf("Run '%s --help' for how it is used.", command)
	case errors.Is(err, context.DeadlineExceeded):
		return "The time allowed is set with --timeout."
	case isAny(err, immukv.ErrVerificationFailed, immukv.ErrMalformedEntry, immukv.ErrDiverged, backend.ErrDamaged) &&
		!ofFile && command != "immukv audit" && !strings.HasPrefix(command, "immukv tlog"):
		return "Run 'immukv audit' for everything that is wrong with the store."
	}
	return ""
}

// unknownHint says how to find out what became of a write.
func unknownHint(e *immukv.OutcomeUnknownError) string {
	return fmt.Sprintf(`The write may be in the log, now or later. To find out, with the same --store and --prefix:
  immukv log --from %[1]d --write-id %[2]s
prints its entry if it is there. If it is not there and the log has another entry
of sequence %[1]d, the write never will be; as long as it has none, it may still come.`, e.Sequence, e.WriteID)
}
