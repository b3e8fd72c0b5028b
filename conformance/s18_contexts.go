package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/immukv/immukv-go/backend"
)

// S18: contexts that end.
var contextChecks = clause("S18",
	check{
		name: "ended-before", cost: cost{fixed: 40},
		title: "a call under a context that has ended fails with the context's error, and writes nothing",
		run:   checkEndedBefore,
	},
	check{
		name: "ended-while-stalled", needs: []Facility{OpenHTTP}, cost: cost{fixed: 40},
		title: "a call whose context ends while the server does not answer returns, with the context's error",
		run:   checkEndedWhileStalled,
	},
)

func checkEndedBefore(ctx context.Context, e *env) error {
	s, written, err := e.written(ctx, 2)
	if err != nil {
		return err
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	expired, cancel := context.WithDeadline(ctx, time.Unix(0, 0))
	defer cancel()
	for _, ended := range []context.Context{cancelled, expired} {
		for _, name := range []string{object, "never-written"} {
			calls := callsOnVersion(name, written[1].Version)
			for _, method := range allMethods {
				if err := whenAvailable(ended, s, calls[method]); !errors.Is(err, ended.Err()) {
					return unlike(fmt.Sprintf("%s of %q under an ended context to end with %q", method, name, ended.Err()), "%s", outcome(err))
				}
			}
		}
	}
	if err := absent(ctx, s, "never-written"); err != nil {
		return err
	}
	return survived(ctx, s, object, written)
}

// whenAvailable makes a call under a context that has ended, and repeats it while the
// store is unavailable: a store may report that before it checks the context.
func whenAvailable(ended context.Context, s backend.VersionedStore, call call) error {
	for try := 1; ; try++ {
		err := call(ended, s)
		if try == availableTries || !errors.Is(err, backend.ErrUnavailable) || errors.Is(err, ended.Err()) {
			return err
		}
	}
}

func checkEndedWhileStalled(ctx context.Context, e *env) error {
	l, err := e.openLinked(ctx)
	if err != nil {
		return err
	}
	calls := callsOnVersion(object, l.written.Version)
	for _, method := range allMethods {
		// The call is cancelled when its request has reached the stalled
		// server. A call that does not return then exceeds the time limit of
		// the check.
		stalled, cancel := context.WithCancel(ctx)
		err := l.link.during(cancelling(cancel), func() error { return calls[method](stalled, l.through) })
		cancel()
		if !errors.Is(err, context.Canceled) {
			return unlike(fmt.Sprintf("%s, cancelled while the server stalls, to end with %q", method, context.Canceled), "%s", outcome(err))
		}
		if slices.Contains(writeMethods, method) && !errors.Is(err, backend.ErrOutcomeUnknown) {
			return unlike(fmt.Sprintf("%s, cancelled while the server stalls, to end with %q too", method, backend.ErrOutcomeUnknown), "%v", err)
		}
	}
	return nil
}
