package sim_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/sim/internal/fleet"
)

// TestKeptPlans makes the histories that once showed an error.
func TestKeptPlans(t *testing.T) {
	files, err := filepath.Glob("testdata/plans/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no plans are kept: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := fleet.ParsePlan(string(text))
			if err != nil {
				t.Fatal(err)
			}
			outcome := fleet.Replay(t, plan)
			if outcome.Err() != nil {
				t.Error(outcome.Report())
			}
			if n := outcome.History.Skipped; n > 0 {
				t.Errorf("%d choices of the plan are not possible any more: the clients ask otherwise than they did\n%s", n, outcome.Report())
			}
		})
	}
}
