package fleet

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/immukv/immukv-go/sim"
)

func TestPlanReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, source := Random(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") })
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
		"client a: set k;",
		"client a: set k & ",
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
