package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/immukv/immukv-go/backend"
)

// S16: a write that may or may not have applied is ErrOutcomeUnknown.
var outcomeChecks = clause("S16",
	check{
		name: "cancelled-under-way", cost: cost{fixed: 30, perRound: 4 * cancelledWrites},
		title: "of writes cancelled while under way, those reported to have had no effect have none, then or later, and none applies twice",
		run:   checkCancelledUnderWay,
	},
	check{
		name: "unknown-is-said", needs: []Facility{OpenHTTP}, cost: cost{fixed: 60},
		title: "a write that may have applied is reported as of unknown outcome",
		run:   checkUnknownIsSaid,
	},
	check{
		name: "one-attempt", needs: []Facility{OpenHTTP}, cost: cost{fixed: 60},
		title: "each call of Put sends one request that writes, however it ends",
		run:   checkOneAttempt,
	},
)

// cancelledWrites is how many writes are cancelled in a round.
const cancelledWrites = 4

// noEffect reports whether the error of a Put promises that the write has no
// effect and will have none.
func noEffect(err error) bool {
	for _, definite := range []error{backend.ErrPreconditionFailed, backend.ErrAccessDenied, backend.ErrUnavailable, backend.ErrInvalidName,
		backend.ErrTooLarge, backend.ErrUnsupported, backend.ErrNoCondition, backend.ErrDamaged} {
		if errors.Is(err, definite) && !errors.Is(err, backend.ErrOutcomeUnknown) {
			return true
		}
	}
	return false
}

func checkCancelledUnderWay(ctx context.Context, e *env) error {
	stores := e.stores
	began := time.Now()
	written, err := chain(ctx, stores[0], object, 5)
	if err != nil {
		return err
	}
	usual := time.Since(began) / 5
	told := make(map[string]error)
	for round := range cancelledWrites * e.rounds() {
		v, err := stores[1].Head(ctx, object)
		if err != nil {
			return err
		}
		body := fmt.Sprintf("write %d", round)
		fickle, cancel := e.fickle(ctx, round%2 == 0, usual)
		_, err = stores[0].Put(fickle, object, []byte(body), backend.IfMatch(v.ETag))
		cancel()
		told[body] = err
		if err != nil && !noEffect(err) && !errors.Is(err, backend.ErrOutcomeUnknown) {
			return unlike(fmt.Sprintf("the error of a cancelled write to say whether it can have applied, with %q if it can", backend.ErrOutcomeUnknown), "%v", err)
		}
		if errors.Is(err, backend.ErrOutcomeUnknown) {
			// Whether or not it applied, sending it again applies it at most
			// once.
			if _, err := stores[1].Put(ctx, object, []byte(body), backend.IfMatch(v.ETag)); err != nil && !errors.Is(err, backend.ErrPreconditionFailed) {
				return err
			}
		}
	}
	return settled(ctx, stores[1], len(written), told)
}

// fickle returns a context that ends during a write. It ends either when it is
// checked for the n-th time, which falls between the steps of a write however
// slow the machine is, or at a random moment within the usual time of a write,
// for the steps that do not check the context.
func (e *env) fickle(ctx context.Context, byChecks bool, usual time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if byChecks {
		f := &fickleContext{Context: ctx, cancel: cancel}
		f.left.Store(1 + e.rand.Int64N(6))
		return f, cancel
	}
	timer := time.AfterFunc(time.Duration(e.rand.Int64N(int64(usual)*3/2+1)), cancel)
	return ctx, func() {
		timer.Stop()
		cancel()
	}
}

type fickleContext struct {
	context.Context
	cancel context.CancelFunc
	left   atomic.Int64 // checks until it ends
}

func (f *fickleContext) checked() {
	if f.left.Add(-1) == 0 {
		f.cancel()
	}
}

func (f *fickleContext) Done() <-chan struct{} {
	f.checked()
	return f.Context.Done()
}

func (f *fickleContext) Err() error {
	f.checked()
	return f.Context.Err()
}

// settled compares the errors of writes with the versions of the object.
func settled(ctx context.Context, s backend.VersionedStore, before int, told map[string]error) error {
	list, err := listVersions(ctx, s, object, backend.VersionsRequest{}, before+len(told))
	if err != nil {
		return err
	}
	found := make(map[string]int)
	for _, v := range list {
		o, err := s.GetVersion(ctx, object, v.ID)
		if err != nil {
			return err
		}
		found[string(o.Body)]++
	}
	for body, err := range told {
		switch n := found[body]; {
		case n > 1:
			return unlike("a write to apply once", "%q in %d versions", body, n)
		case n == 0 && err == nil:
			return unlike("a write that was acknowledged to be there", "%q in no version", body)
		case n == 0 && !noEffect(err):
			return unlike("a write sent again after its outcome was unknown to be there", "%q in no version", body)
		case n == 1 && noEffect(err):
			return unlike("a write to have no effect, as its error says", "%q, which ended with %q, in a version", body, err)
		}
	}
	return nil
}

func checkUnknownIsSaid(ctx context.Context, e *env) error {
	l, err := e.openLinked(ctx)
	if err != nil {
		return err
	}
	faults := []fault{loseAnswer, failAfterwards, cut, answer(http.StatusInternalServerError, "InternalError"),
		answer(http.StatusBadGateway, "BadGateway"), answer(http.StatusGatewayTimeout, "GatewayTimeout")}
	for i, fault := range faults {
		v, err := l.store.Head(ctx, object)
		if err != nil {
			return err
		}
		for _, c := range []struct {
			name string
			cond backend.Condition
		}{{object, backend.IfMatch(v.ETag)}, {fmt.Sprintf("new-%d", i), backend.IfAbsent()}} {
			body := fmt.Appendf(nil, "fault %d", i)
			err := l.link.once(fault, func() error { return second(l.through.Put(ctx, c.name, body, c.cond)) })
			if !errors.Is(err, backend.ErrOutcomeUnknown) || errors.Is(err, backend.ErrNotFound) {
				return unlike(fmt.Sprintf("a write %v after %s to end with %q", c.cond, fault, backend.ErrOutcomeUnknown), "%s", outcome(err))
			}
			n, err := applications(ctx, l.store, c.name, 2*len(faults), body)
			if err != nil {
				return err
			}
			if n > 1 {
				return unlike("a write to apply once at most", "%d versions of it", n)
			}
		}
	}
	return readable(ctx, l.through, object, l.written)
}

// applications counts the versions of an object that have the given body, by
// reading them all. There are at most bound versions if each write applied once.
func applications(ctx context.Context, s backend.VersionedStore, name string, bound int, body []byte) (int, error) {
	versions, err := listVersions(ctx, s, name, backend.VersionsRequest{}, bound)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, v := range versions {
		o, err := s.GetVersion(ctx, name, v.ID)
		if err != nil {
			return 0, err
		}
		if bytes.Equal(o.Body, body) {
			n++
		}
	}
	return n, nil
}

func checkOneAttempt(ctx context.Context, e *env) error {
	l, err := e.openLinked(ctx)
	if err != nil {
		return err
	}
	faults := []fault{{name: "no fault"}, loseAnswer, failAfterwards, cut, answer(http.StatusInternalServerError, "InternalError"),
		answer(http.StatusServiceUnavailable, "SlowDown"), answer(http.StatusConflict, "ConditionalRequestConflict"),
		answer(http.StatusTooManyRequests, "SlowDown"), answer(http.StatusBadRequest, "RequestTimeout")}
	for i, fault := range faults {
		v, err := l.store.Head(ctx, object)
		if err != nil {
			return err
		}
		l.link.count()
		_ = l.link.once(fault, func() error { // only the number of requests matters
			return second(l.through.Put(ctx, object, fmt.Appendf(nil, "fault %d", i), backend.IfMatch(v.ETag)))
		})
		if _, writes := l.link.count(); writes != 1 {
			return unlike(fmt.Sprintf("one request that writes in a call of Put, after %s", fault), "%d", writes)
		}
	}
	return nil
}
