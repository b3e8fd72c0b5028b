package fleet

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/sim"
)

func TestPlanReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, source := Random(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") }, "watch", "copy")
		drawn := source.(*sim.Drawn)
		for range rapid.IntRange(0, 5).Draw(t, "choices") {
			at := sim.Pending{Process: "a", Nth: drawn.Draw(3), Request: &sim.Request{Op: sim.OpPut}}
			want.Schedule = append(want.Schedule, sim.Choice{Process: at.Process, Nth: at.Nth, Fault: at.Faults()[drawn.Draw(20)]})
		}
		for _, text := range []string{want.String(), want.Line(), "# a comment\n\n" + want.String()} {
			got, err := ParsePlan(text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s\nread back otherwise (-want +got):\n%s", text, diff)
			}
		}
	})
}

func TestPlanIsRefused(t *testing.T) {
	for _, text := range []string{
		"a: set k",
		"client",
		"client a",
		"client A: set k",
		"client a: fly",
		"client a: set",
		"client a: log k",
		"client a: set k if",
		"client a: set k if soon",
		"client a: set k if -1",
		"client a: get k if 3",
		"client a: set k consistent",
		"client a: set k;",
		"client a: set k & ",
		"client a: watch & set k & watch",
		"client a: watch k",
		"client a: copy k",
		"client a brave: set k",
		"client a clock=late: set k",
		"client a: set k | client a: get k",
		"schedule a:never",
	} {
		if p, err := ParsePlan(text); err == nil {
			t.Errorf("%q was read as %v", text, p)
		}
	}
}

// A checker that finds nothing wrong with anything is worth nothing.
func TestCheckerOfLinearizability(t *testing.T) {
	plan, err := ParsePlan("client a: set k | client b always: get k; get k | schedule a a a a a a a b")
	if err != nil {
		t.Fatal(err)
	}
	o := Replay(t, plan)
	if o.Err() != nil {
		t.Fatal(o.Report())
	}
	if err := o.CheckLinearizable(); err != nil {
		t.Fatal(err)
	}
	gets := 0
	for _, e := range o.History.Events {
		if e.Kind == sim.Ended && e.Process == "b" {
			e.Detail.(*result).entries[0].Sequence = 7
			gets++
		}
	}
	if gets != 2 {
		t.Fatalf("the history has %d gets", gets)
	}
	if err := o.CheckLinearizable(); err == nil {
		t.Error("gets of an entry that does not exist were found to be in order")
	}
}

// So it is with conditions and consistent reads.
func TestCheckerOfConditions(t *testing.T) {
	ended := func(o *Outcome, what string) *sim.Event {
		for _, e := range o.History.Events {
			if e.Kind == sim.Ended && strings.Contains(e.What, what) {
				return e
			}
		}
		t.Fatalf("no call %s ended", what)
		return nil
	}
	for name, c := range map[string]struct {
		plan  string
		wrong func(*Outcome)
	}{
		"a condition that held": {"client a: set k; set k if 0", func(o *Outcome) { o.jobs[1].If = "absent" }},
		"a condition that failed": {"client a: set k; set k if 1", func(o *Outcome) {
			failed, _ := errors.AsType[*immukv.ConditionError](ended(o, "if 1").Err)
			failed.Found.Sequence = 1
		}},
		"a condition that failed of nothing": {"client a: set j; set k if 0", func(o *Outcome) {
			failed, _ := errors.AsType[*immukv.ConditionError](ended(o, "if 0").Err)
			failed.Found = &immukv.Entry[json.RawMessage]{}
		}},
		"an update": {"client a: set k; set k; update k", func(o *Outcome) { o.jobs[2].saw = 0 }},
		"a consistent read": {"client a: set k; set k | client b: get k consistent; get k consistent | schedule a a a a a a a", func(o *Outcome) {
			ended(o, "b.1").Detail.(*result).entries[0].Sequence = 0
		}},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := ParsePlan(c.plan)
			if err != nil {
				t.Fatal(err)
			}
			o := Replay(t, plan)
			if o.Err() != nil {
				t.Fatal(o.Report())
			}
			if err := o.CheckLinearizable(); err != nil {
				t.Fatal(err)
			}
			// A history names its calls by what they were.
			calls := make(map[string]string)
			for _, j := range o.jobs {
				calls[j.id] = j.what()
			}
			c.wrong(o)
			for _, e := range o.History.Events {
				for _, j := range o.jobs {
					if e.What == calls[j.id] {
						e.What = j.what()
					}
				}
			}
			if err := o.CheckLinearizable(); err == nil {
				t.Error("it was found to be in order when it was not")
			}
		})
	}
}
