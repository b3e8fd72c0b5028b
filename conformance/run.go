package conformance

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"
)

// Run tests stores of one kind. Each check is a subtest, named for the clause
// it tests, with its own store. The checks of one clause run in parallel. Run
// returns when all have ended, so the caller can then stop servers that it
// started for them. A call of the store that does not return is handled as by
// [Examine].
//
// A check that is not applicable is skipped, with the reason. At the end Run
// logs how many checks passed, failed and were not applicable.
func Run(t *testing.T, h Harness) {
	t.Helper()
	s, err := newSuite(h)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var results []Result
	for checks := s.checks; len(checks) > 0; {
		clause := checks[0].clause
		n := slices.IndexFunc(checks, func(c check) bool { return c.clause != clause })
		if n < 0 {
			n = len(checks)
		}
		group := checks[:n]
		checks = checks[n:]
		t.Run(clause, func(t *testing.T) {
			for _, c := range group {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					ctx, cancel := whileTimeIsLeft(t)
					defer cancel()
					result := s.run(ctx, c)
					mu.Lock()
					results = append(results, result)
					mu.Unlock()
					tell(t, result)
				})
			}
		})
	}
	t.Log(Summarize(results))
}

// whileTimeIsLeft returns a context that ends some time before go test kills
// the program, so that the slow check is named.
func whileTimeIsLeft(t *testing.T) (context.Context, context.CancelFunc) {
	deadline, ok := t.Deadline()
	if !ok {
		return context.WithCancel(t.Context())
	}
	margin := min(2*grace, time.Until(deadline)/4)
	return context.WithDeadlineCause(t.Context(), deadline.Add(-margin), overdue("the check had not ended when go test's time limit was near"))
}

// tell reports a result to a test.
func tell(t *testing.T, r Result) {
	t.Helper()
	switch r.Outcome {
	case Fail:
		if r.Expected == "" {
			t.Errorf("%s.\nseen:     %s", r.Title, r.Seen)
		} else {
			t.Errorf("%s.\nexpected: %s\nseen:     %s", r.Title, r.Expected, r.Seen)
		}
	case NotApplicable:
		t.Skipf("not applicable: %s", r.Reason)
	case Pass:
	}
}
