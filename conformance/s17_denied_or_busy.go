package conformance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/immukv/immukv-go/backend"
)

// S17: denied access and busy servers.
var deniedOrBusyChecks = clause("S17",
	check{
		name: "denied", needs: []Facility{OpenDenied}, cost: cost{fixed: 30},
		title: "a call that is not permitted fails with access denied, without effect",
		run:   checkDenied,
	},
	check{
		name: "denied-by-status", needs: []Facility{OpenHTTP}, cost: cost{fixed: 30},
		title: "status 403 is reported as access denied",
		run:   checkDeniedByStatus,
	},
	check{
		name: "told-to-slow-down", needs: []Facility{OpenHTTP}, cost: cost{fixed: 30},
		title: "a write that the server answers with SlowDown fails as unavailable, with the wait that the server asked for",
		run:   checkSlowDown,
	},
)

func checkDenied(ctx context.Context, e *env) error {
	s, written, err := e.written(ctx, 1)
	if err != nil {
		return err
	}
	denied, err := e.openWith(ctx, "open a handle without permission", e.store.OpenDenied, nil)
	if err != nil {
		if !errors.Is(err, backend.ErrAccessDenied) {
			return unlike(fmt.Sprintf("opening without permission to end with %q, if it fails", backend.ErrAccessDenied), "%v", err)
		}
		return nil
	}
	for _, name := range []string{object, "never-written"} {
		calls := callsOnVersion(name, written[0].Version)
		for _, method := range allMethods {
			if err := calls[method](ctx, denied); !errors.Is(err, backend.ErrAccessDenied) {
				return unlike(fmt.Sprintf("%s of %q to end with %q", method, name, backend.ErrAccessDenied), "%s", outcome(err))
			}
		}
	}
	if err := absent(ctx, s, "never-written"); err != nil {
		return err
	}
	return history(ctx, s, object, written)
}

func checkDeniedByStatus(ctx context.Context, e *env) error {
	l, err := e.openLinked(ctx)
	if err != nil {
		return err
	}
	calls := callsOnVersion(object, l.written.Version)
	for _, method := range allMethods {
		err := l.link.during(answer(http.StatusForbidden, "AccessDenied"), func() error { return calls[method](ctx, l.through) })
		if !errors.Is(err, backend.ErrAccessDenied) || errors.Is(err, backend.ErrOutcomeUnknown) {
			return unlike(fmt.Sprintf("%s to end with %q after status 403", method, backend.ErrAccessDenied), "%s", outcome(err))
		}
	}
	return nil
}

func checkSlowDown(ctx context.Context, e *env) error {
	l, err := e.openLinked(ctx)
	if err != nil {
		return err
	}
	busy := answer(http.StatusServiceUnavailable, "SlowDown")
	for _, cond := range []backend.Condition{backend.IfAbsent(), backend.IfMatch(l.written.ETag)} {
		err := l.link.once(busy, func() error { return second(l.through.Put(ctx, object, []byte("busy"), cond)) })
		if !errors.Is(err, backend.ErrUnavailable) || errors.Is(err, backend.ErrOutcomeUnknown) {
			return unlike(fmt.Sprintf("a write to end with %q after status 503, SlowDown", backend.ErrUnavailable), "%s", outcome(err))
		}
		if wait := backend.RetryAfter(err); wait != retryAfter*time.Second {
			return unlike(fmt.Sprintf("the error to carry the wait that the server asked for, %ds", retryAfter), "%v", wait)
		}
	}
	return history(ctx, l.store, object, []backend.Object{l.written})
}
