package fleet

import (
	"strings"
	"testing"
)

// A legacy client takes a failed precondition for proof that its repair is not
// needed. Where a store answers so for another reason, it buries an orphan: its
// own weakness, and a failure that can be had to try what is made of failures.
const buries = `
client a: set j; log; get j
client b always: get k; keys
client c legacy: set k; set k; get k
schedule b b a a a a b c c c c a c:never/lost a c:never/lost pause=1s b c:never/lost a c:now/held c c:never/precondition c@1h0m0s c c
`

func TestFailureIsReducedAndReplayed(t *testing.T) {
	plan, err := ParsePlan(buries)
	if err != nil {
		t.Fatal(err)
	}
	failed := Replay(t, plan)
	if invariantOf(failed.Err()) != "I4" {
		t.Fatalf("want a violation of I4: %s", failed.Report())
	}
	small := failed.Reduce(t)
	if n := len(small.Plan.Schedule); n > 14 || len(small.Plan.Clients) > 2 || len(small.Plan.Clients[len(small.Plan.Clients)-1].Script) > 2 {
		t.Errorf("reduced to no more than\n%v", small.Plan)
	}
	if invariantOf(small.Err()) != "I4" {
		t.Errorf("reduced to something else: %s", small.Report())
	}

	report := small.Report()
	for _, text := range []string{"I4 is violated", small.Plan.String(), "log: [a.0/j c.0/k*]", "go test ./sim -run '^TestReplay$'"} {
		if !strings.Contains(report, text) {
			t.Errorf("the report does not have %q:\n%s", text, report)
		}
	}
	_, line, _ := strings.Cut(report, "IMMUKV_PLAN='")
	line, _, _ = strings.Cut(line, "'")
	again, err := ParsePlan(line)
	if err != nil {
		t.Fatal(err)
	}
	if replayed := Replay(t, again); replayed.Err().Error() != small.Err().Error() || replayed.History.Hash() != small.History.Hash() {
		t.Errorf("the line of the report makes another history: %s", replayed.Report())
	}
}
