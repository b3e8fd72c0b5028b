package sim_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/immukv/immukv-go/sim"
	"github.com/immukv/immukv-go/sim/internal/fleet"
)

// sweep is which worlds are visited: the small ones, unless make sweep asks for
// all, or for the deep ones, too.
var sweep = os.Getenv("IMMUKV_SWEEP")

// fullSweep is how many histories all worlds have at least, without the deep
// ones.
const fullSweep = 1_000_000

// TestSweep visits every history of small fleets, and says what it visited.
func TestSweep(t *testing.T) {
	doc, err := os.ReadFile("../docs/simulator.md")
	if err != nil {
		t.Fatal(err)
	}
	var total sim.Coverage
	start := time.Now()
	if sweep != "" {
		// Little is alive at a time, and much is made: collect more rarely.
		defer debug.SetGCPercent(debug.SetGCPercent(800))
	}
	for _, w := range fleet.Worlds {
		if !w.Small && sweep == "" || w.Deep && sweep != "deep" {
			continue
		}
		begin := time.Now()
		coverage, failed := w.Explore(t, runtime.GOMAXPROCS(0))
		if failed != nil {
			t.Fatalf("%s: %s", w.Name, failed.Reduce(t).Report())
		}
		total.Add(coverage)
		t.Logf("%8d histories of up to %2d requests, %7d cut, %6.1f s: %s",
			coverage.Histories, coverage.Longest, coverage.Cut, time.Since(begin).Seconds(), w.Name)
		if row := fmt.Sprintf("| %s | %d |\n", w.Name, coverage.Histories); !strings.Contains(string(doc), row) {
			t.Errorf("docs/simulator.md should have the line %s", row)
		}
	}
	seconds := time.Since(start).Seconds()
	t.Logf("%8d histories of up to %2d requests, %7d cut, %6.1f s: in all, of %d requests, %.0f histories a second",
		total.Histories, total.Longest, total.Cut, seconds, total.Steps, float64(total.Histories)/seconds)
	faultsFired(t, total.Faults)
	if sweep != "" && total.Histories < fullSweep {
		t.Errorf("visited %d histories, want %d", total.Histories, fullSweep)
	}
}

// faultsFired reports how often each fault occurred. If one never did, the test has a
// gap. The explorer holds no answers, so that none can be lost then.
func faultsFired(t *testing.T, met map[sim.Fault]int) {
	t.Helper()
	for _, f := range sim.AllFaults() {
		t.Logf("%8d %v", met[f], f)
		if met[f] == 0 && f.Answer != sim.Held {
			t.Errorf("no request met %v", f)
		}
	}
}
