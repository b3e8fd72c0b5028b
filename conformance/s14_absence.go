package conformance

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/immukv/immukv-go/backend"
)

// S14: absence is ErrNotFound, and nothing else is.
var absenceChecks = clause("S14",
	check{
		name: "absent-is-not-found", cost: cost{fixed: 80},
		title: "an object or a version that does not exist is reported as not found",
		run:   checkAbsentIsNotFound,
	},
	check{
		name: "denied-is-not-absence", needs: []Facility{OpenDenied}, cost: cost{fixed: 30},
		title: "an object that the caller may not read is not reported as absent, whether it exists or not",
		run: func(ctx context.Context, e *env) error {
			return e.notAbsence(ctx, "open a handle that may not read", e.store.OpenDenied)
		},
	},
	check{
		name: "no-store-is-not-absence", needs: []Facility{OpenAbsent}, cost: cost{fixed: 30},
		title: "an absent store is not reported as absent objects or empty listings",
		run: func(ctx context.Context, e *env) error {
			return e.notAbsence(ctx, "open a store that is not there", e.store.OpenAbsent)
		},
	},
	check{
		name: "faults-are-not-absence", needs: []Facility{OpenHTTP}, cost: cost{fixed: 60},
		title: "denied access, errors of the server and broken connections are not reported as absence",
		run:   checkFaultsAreNotAbsence,
	},
)

func checkAbsentIsNotFound(ctx context.Context, e *env) error {
	s, written, err := e.written(ctx, 2)
	if err != nil {
		return err
	}
	// IDs are per object. Only the third ID of three cannot be one of two.
	foreign, err := chain(ctx, s, object+"-2", 3)
	if err != nil {
		return err
	}
	for _, name := range []string{"never-written", object + "/below", object + "-", "plant-7", "plant-7/", "PLANT-7/SENSOR"} {
		if e.h.Limits.refuses(name) {
			continue
		}
		if err := absent(ctx, s, name); err != nil {
			return err
		}
		if _, err := s.GetVersion(ctx, name, written[0].ID); !errors.Is(err, backend.ErrNotFound) {
			return unlike(fmt.Sprintf("GetVersion of %q, which was not written, to end with %q", name, backend.ErrNotFound), "%s", outcome(err))
		}
	}
	for _, id := range []backend.VersionID{foreign[2].ID, "made-up", "null", "", "0", "../" + written[0].ID, written[0].ID + "0"} {
		if _, err := s.GetVersion(ctx, object, id); !errors.Is(err, backend.ErrNotFound) {
			return unlike(fmt.Sprintf("GetVersion with %q, which is no version of the object, to end with %q", id, backend.ErrNotFound), "%s", outcome(err))
		}
	}
	return nil
}

// notAbsence checks that a handle that cannot reach its objects never reports
// one as absent.
func (e *env) notAbsence(ctx context.Context, opening string, open func(context.Context) (backend.VersionedStore, error)) error {
	s, written, err := e.written(ctx, 1)
	if err != nil {
		return err
	}
	blind, err := e.openWith(ctx, opening, open, func() bool { return true })
	if errors.Is(err, backend.ErrNotFound) {
		return unlike("opening to end with another error than that of absence", "%v", err)
	}
	if err != nil {
		return nil // failing to open is as good
	}
	for _, name := range []string{object, "never-written"} {
		calls := callsOnVersion(name, written[0].Version)
		for _, method := range allMethods {
			err := calls[method](ctx, blind)
			if err == nil || errors.Is(err, backend.ErrNotFound) || errors.Is(err, backend.ErrPreconditionFailed) {
				return unlike(fmt.Sprintf("%s of %q to end with an error that is neither %q nor %q", method, name, backend.ErrNotFound, backend.ErrPreconditionFailed),
					"%s", outcome(err))
			}
		}
	}
	return history(ctx, s, object, written)
}

func checkFaultsAreNotAbsence(ctx context.Context, e *env) error {
	l, err := e.openLinked(ctx)
	if err != nil {
		return err
	}
	for _, fault := range []fault{answer(http.StatusForbidden, "AccessDenied"), answer(http.StatusInternalServerError, "InternalError"),
		answer(http.StatusBadRequest, "InvalidRequest"), cut} {
		// All at once, because a store may retry for some time.
		err := l.link.during(fault, func() error {
			return together(2*len(readMethods), func(i int) error {
				name, method := []string{object, "never-written"}[i%2], readMethods[i/2]
				err := callsOnVersion(name, l.written.Version)[method](ctx, l.through)
				if err == nil || errors.Is(err, backend.ErrNotFound) {
					return unlike(fmt.Sprintf("%s of %q to end with another error than %q after %s", method, name, backend.ErrNotFound, fault), "%s", outcome(err))
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	return current(ctx, l.through, object, l.written)
}
