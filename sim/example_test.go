package sim_test

import (
	"context"
	"errors"
	"fmt"
	"log"

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
		_ = crash.Run(ctx, store, calibrate)          // dies on its way
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
