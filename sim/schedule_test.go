package sim_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/immukv/immukv-go/sim"
)

// ops are all methods of the store.
var ops = []sim.Op{sim.OpGet, sim.OpGetVersion, sim.OpHead, sim.OpPut, sim.OpListVersions, sim.OpListNames}

func drawChoice(t *rapid.T) sim.Choice {
	process := rapid.StringMatching(`[a-z][a-z0-9_-]{0,4}`).Draw(t, "process")
	by := time.Duration(rapid.Int64().Draw(t, "by"))
	switch rapid.SampledFrom([]sim.Move{sim.Step, sim.Arrive, sim.Pause, sim.Jump}).Draw(t, "move") {
	case sim.Pause:
		return sim.Choice{Move: sim.Pause, By: by}
	case sim.Jump:
		return sim.Choice{Move: sim.Jump, Process: process, By: by}
	case sim.Arrive:
		return sim.Choice{Move: sim.Arrive, Process: process, Nth: rapid.IntRange(0, 40).Draw(t, "nth")}
	}
	faults := append(sim.Faults(rapid.SampledFrom(ops).Draw(t, "op")), sim.Fault{})
	return sim.Choice{Process: process, Nth: rapid.IntRange(0, 40).Draw(t, "nth"), Fault: rapid.SampledFrom(faults).Draw(t, "fault")}
}

func TestScheduleReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want sim.Schedule
		for range rapid.IntRange(0, 8).Draw(t, "choices") {
			want = append(want, drawChoice(t))
		}
		got, err := sim.ParseSchedule(want.String())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s read back otherwise (-want +got):\n%s", want, diff)
		}
	})
}

func TestScheduleIsRefused(t *testing.T) {
	for _, text := range []string{
		"A", "1", "a.", "a.0", "a.1", "a:", "a:now", "a:now/", "a:soon/lost", "a~x", "a~1", "a@", "a@1", "pause=", "pause=1", "b=1s", "a:now/lost.2",
	} {
		if s, err := sim.ParseSchedule(text); err == nil {
			t.Errorf("%q was read as %v", text, s)
		}
	}
}
