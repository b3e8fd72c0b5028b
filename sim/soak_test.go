package sim_test

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// soakFor is set by make soak.
var soakFor = os.Getenv("IMMUKV_SOAK")

// TestSoak makes random histories until the time in IMMUKV_SOAK is up, or else a
// few of them. It says at what rate, and that it leaves nothing behind.
func TestSoak(t *testing.T) {
	const batch = 200
	var until time.Duration
	first := uint64(1 << 32)
	if soakFor != "" {
		var err error
		if until, err = time.ParseDuration(soakFor); err != nil {
			t.Fatal(err)
		}
		first = uint64(time.Now().UnixNano())
	}
	t.Logf("seeds from %d on", first)
	start, made, counts := time.Now(), 0, newTally()
	var settled usage
	for round := uint64(0); round < 3 || time.Since(start) < until; round++ {
		forSeeds(batch, func(i uint64) {
			outcome := random(t, first+round*batch+i)
			counts.add(outcome)
			if outcome.Err() != nil {
				t.Error(outcome.Reduce(t).Report())
			}
		})
		if t.Failed() {
			return
		}
		if made += batch; round == 1 {
			settled = measure()
		}
		if round%100 == 99 {
			t.Logf("%d histories, %.0f a second", made, float64(made)/time.Since(start).Seconds())
		}
	}
	end := measure()
	t.Logf("%d histories, %.0f a second; %d goroutines and %d KiB in the end, %d and %d in the beginning", made,
		float64(made)/time.Since(start).Seconds(), end.goroutines, end.heap>>10, settled.goroutines, settled.heap>>10)
	if end.goroutines > settled.goroutines || end.heap > 2*settled.heap {
		t.Error("something is left behind")
	}
	counts.wantAll(t)
}

// usage is what a process holds.
type usage struct {
	goroutines int
	heap       uint64
}

func measure() usage {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{runtime.NumGoroutine(), m.HeapAlloc}
}
