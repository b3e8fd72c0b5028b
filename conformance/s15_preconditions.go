package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/immukv/immukv-go/backend"
)

// S15: a write that did not apply because of its condition is
// ErrPreconditionFailed, and nothing else is.
var preconditionChecks = clause("S15",
	check{
		name: "told-the-truth", cost: cost{fixed: 60, perRound: 17},
		title: "of a random sequence of writes, exactly those whose condition held are acknowledged, and those that failed left no trace",
		run:   checkToldTheTruth,
	},
	check{
		name: "losers-left-no-trace", cost: cost{fixed: 10, perRound: racers/2 + 3},
		title: "a concurrent write whose precondition failed is not a version of the object",
		run:   checkLosersLeftNoTrace,
	},
	check{
		name: "separate-objects", cost: cost{fixed: racers, perRound: racers / 4},
		title: "concurrent writes of different objects, whose conditions hold, all apply",
		run:   checkSeparateObjects,
	},
	check{
		name: "nothing-else", cost: cost{fixed: 30},
		title: "a write that fails because of its name, a missing condition or an ended context is not reported as a failed precondition",
		run:   checkNothingElse,
	},
	check{
		name: "lost-answer-is-no-failure", needs: []Facility{OpenHTTP}, cost: cost{fixed: 60},
		title: "a write that applied but whose answer was lost is not reported as a failed precondition",
		run:   checkLostAnswer,
	},
)

func checkToldTheTruth(ctx context.Context, e *env) error {
	const names = 3
	stores := e.stores
	written := make([][]backend.Object, names)
	for i := range 15 * e.rounds() {
		n := e.rand.IntN(names)
		name := fmt.Sprintf("%s-%d", object, n)
		had := written[n]
		cond := backend.IfAbsent()
		if len(had) > 0 {
			// Mostly a new one, so that about half of the conditions hold.
			old := min(e.rand.IntN(4)*e.rand.IntN(3), len(had)-1)
			cond = backend.IfMatch(had[len(had)-1-old].ETag)
		}
		if e.rand.IntN(6) == 0 {
			cond = backend.IfAbsent()
		}
		if e.rand.IntN(12) == 0 {
			cond = backend.IfMatch(`"0123456789abcdef0123456789abcdef"`)
		}
		holds := cond.Absent() && len(had) == 0 || len(had) > 0 && cond.ETag() == had[len(had)-1].ETag
		body := fmt.Appendf(nil, "write %d", i)
		if !holds {
			if err := mustFail(ctx, stores[i%2], name, body, cond); err != nil {
				return err
			}
			continue
		}
		o, err := write(ctx, stores[i%2], name, body, cond)
		if err != nil {
			return err
		}
		written[n] = append(had, o)
	}
	for n, had := range written {
		name := fmt.Sprintf("%s-%d", object, n)
		if err := history(ctx, stores[0], name, had); err != nil {
			return err
		}
	}
	return nil
}

func checkLosersLeftNoTrace(ctx context.Context, e *env) error {
	stores := e.stores
	type attempt struct {
		body string
		err  error
	}
	told := make(map[string]error)
	cond := backend.IfAbsent()
	for round := range e.rounds() {
		attempts := make([]attempt, racers/2)
		err := together(len(attempts), func(i int) error {
			a := &attempts[i]
			a.body = fmt.Sprintf("round %d, racer %d", round, i)
			_, a.err = stores[i%2].Put(ctx, object, []byte(a.body), cond)
			return nil
		})
		if err != nil {
			return err
		}
		for _, a := range attempts {
			told[a.body] = a.err
		}
		v, err := stores[0].Head(ctx, object)
		if err != nil {
			return err
		}
		cond = backend.IfMatch(v.ETag)
	}
	list, err := listVersions(ctx, stores[1], object, backend.VersionsRequest{}, len(told))
	if err != nil {
		return err
	}
	for _, v := range list {
		o, err := stores[1].GetVersion(ctx, object, v.ID)
		if err != nil {
			return err
		}
		if err := told[string(o.Body)]; errors.Is(err, backend.ErrPreconditionFailed) {
			return unlike("a write that failed its precondition to have no effect", "version %q, which it wrote", v.ID)
		}
	}
	return nil
}

func checkSeparateObjects(ctx context.Context, e *env) error {
	stores := e.stores
	for round := range e.fewRounds(4) {
		err := together(racers/2, func(i int) error {
			name := fmt.Sprintf("round-%d/%d", round, i)
			v, err := stores[i%2].Put(ctx, name, []byte(name), backend.IfAbsent())
			if err == nil {
				_, err = stores[i%2].Put(ctx, name, []byte("second"), backend.IfMatch(v.ETag))
			}
			if err != nil {
				return unlike("a write whose condition holds to apply, whatever is written elsewhere", "%v", err)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func checkNothingElse(ctx context.Context, e *env) error {
	s, written, err := e.written(ctx, 1)
	if err != nil {
		return err
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	failures := map[string]error{
		"an invalid name":      callsOn("\xff")["Put if absent"](ctx, s),
		"an empty name":        callsOn("")["Put if matching"](ctx, s),
		"a cancelled context":  callsOn(object)["Put if absent"](ended, s),
		"the lack of any":      second(s.Put(ctx, object, nil, backend.Condition{})),
		"the lack of an ETag ": second(s.Put(ctx, object, nil, backend.IfMatch(""))),
	}
	for why, err := range failures {
		if err == nil || errors.Is(err, backend.ErrPreconditionFailed) {
			return unlike(fmt.Sprintf("a write that fails for %s to end with another error than %q", why, backend.ErrPreconditionFailed), "%s", outcome(err))
		}
	}
	return history(ctx, s, object, written)
}

func checkLostAnswer(ctx context.Context, e *env) error {
	s := e.stores[0]
	through, link, err := e.openThrough(ctx)
	if err != nil {
		return err
	}
	cond := backend.IfAbsent()
	for i, fault := range slices.Repeat([]fault{loseAnswer, failAfterwards}, 3) {
		body := fmt.Appendf(nil, "lost %d", i)
		err := link.once(fault, func() error { return second(through.Put(ctx, object, body, cond)) })
		if !errors.Is(err, backend.ErrOutcomeUnknown) || errors.Is(err, backend.ErrPreconditionFailed) {
			return unlike(fmt.Sprintf("a write after %s to end with %q", fault, backend.ErrOutcomeUnknown), "%s", outcome(err))
		}
		v, err := s.Head(ctx, object)
		if err != nil {
			return err
		}
		cond = backend.IfMatch(v.ETag)
	}
	return nil
}
