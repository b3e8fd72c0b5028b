package sim_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/sim"
)

var sensors = []string{"sensor-1", "sensor-2"}

// calibrate is the program to be tested: it sets what was not set before.
func calibrate(ctx context.Context, store backend.VersionedStore) error {
	db, err := immukv.Open[float64](ctx, store)
	if err != nil {
		return err
	}
	for _, sensor := range sensors {
		if _, err := db.Get(ctx, sensor); errors.Is(err, immukv.ErrNotFound) {
			_, err = db.Set(ctx, sensor, 0.15)
			if err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
	}
	return nil
}

// The program is killed before each of its requests and after each of its
// writes, and started again. Whenever it died, every sensor is set once.
func ExampleCrashes() {
	ctx := context.Background()
	for crash := range sim.Crashes() {
		store := memstore.New()
		_ = crash.Run(ctx, store, calibrate)          // may crash
		if err := calibrate(ctx, store); err != nil { // starts again
			log.Fatalf("%v: %v", crash, err)
		}
		for _, sensor := range sensors {
			if n := entries(ctx, store, sensor); n != 1 {
				log.Fatalf("%v: %s was set %d times", crash, sensor, n)
			}
		}
	}
	fmt.Println("set once, whenever it died")
	// Output: set once, whenever it died
}

func entries(ctx context.Context, store backend.VersionedStore, key string) int {
	db, err := immukv.Open[float64](ctx, store, immukv.WithReadOnly())
	if err != nil {
		log.Fatal(err)
	}
	n := 0
	for _, err := range db.History(ctx, key) {
		if err != nil {
			log.Fatal(err)
		}
		n++
	}
	return n
}

// Two processes run the program together, with every choice drawn from a seed:
// which process continues, which answer is lost, which process crashes. Two that read at
// the same moment both set a sensor. No sensor is left out.
func TestTogether(t *testing.T) {
	for seed := range uint64(100) {
		store := memstore.New()
		run := func(p *sim.Process) { _ = calibrate(p.Context(), p.Store()) }
		h := sim.Run(t, sim.Config{
			Store:    store,
			Programs: []sim.Program{{Name: "a", Run: run}, {Name: "b", Run: run}},
			Source:   &sim.Drawn{Draw: sim.Seeded(seed), Steps: 200, OneIn: 10},
			Finally:  func(ctx context.Context) error { return calibrate(ctx, store) },
		})
		for _, sensor := range sensors {
			if n := entries(t.Context(), store, sensor); h.Err != nil || n < 1 || n > 2 {
				t.Errorf("%s was set %d times, error %v; to see it again: sim.Replay of %v", sensor, n, h.Err, h.Schedule)
			}
		}
	}
}
