package conformance

import (
	"slices"
	"testing"
)

// Run tests stores of one kind. Each check is a subtest, named for the clause it
// tests, on a store of its own; the checks of one clause run side by side. Run
// returns when all have ended, so that what the caller started for them can
// then be stopped.
//
// What the harness declares to be lacking is logged with its reason by the
// checks that would need it.
func Run(t *testing.T, h Harness) {
	t.Helper()
	checks, err := h.selected()
	if err != nil {
		t.Fatal(err)
	}
	for len(checks) > 0 {
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
					runCheck(t, &h, c)
				})
			}
		})
	}
}

func runCheck(t *testing.T, h *Harness, c check) {
	result := h.run(t.Context(), c)
	switch result.Outcome {
	case Fail:
		if result.Expected == "" {
			t.Errorf("%s.\nseen:     %s", result.Title, result.Seen)
		} else {
			t.Errorf("%s.\nexpected: %s\nseen:     %s", result.Title, result.Expected, result.Seen)
		}
	case NotApplicable:
		t.Logf("not applicable: %s", result.Reason)
	case Pass:
	}
}
