package conformance

import (
	"context"
	"fmt"

	"github.com/immukv/immukv-go/backend"
)

// checkLargeRaces races writers whose bodies take long to arrive. A store may
// check the condition when the write begins and apply it at its end.
func checkLargeRaces(ctx context.Context, e *env) error {
	stores := e.stores
	written, err := chain(ctx, stores[0], object, 1)
	if err != nil {
		return err
	}
	for round := range e.rounds() {
		size := min([]int{1 << 20, 64 << 10, 256 << 10, 64 << 10}[round%4], e.h.Limits.maxBody())
		bodies := make([][]byte, largeRacers)
		for i := range bodies {
			bodies[i] = e.noise(size)
		}
		winners, err := contest(ctx, stores, object, bodies, always(backend.IfMatch(written[len(written)-1].ETag)))
		if err != nil {
			return err
		}
		if len(winners) != 1 {
			return unlike(fmt.Sprintf("exactly one of %d concurrent writes of %d bytes to be accepted", largeRacers, size), "%d accepted in round %d", len(winners), round)
		}
		written = append(written, winners[0])
		if err := current(ctx, stores[1], object, winners[0]); err != nil {
			return err
		}
	}
	return history(ctx, stores[1], object, written)
}
