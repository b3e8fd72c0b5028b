package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

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
		winner, err := e.raceLargeUpdates(ctx, bodies, written[len(written)-1].ETag)
		if err != nil {
			return fmt.Errorf("bodies of %d bytes, round %d: %w", size, round, err)
		}
		written = append(written, winner)
	}
	// No other write has applied, whatever its outcome.
	return history(ctx, stores[1], object, written)
}

// raceLargeUpdates returns the version that applied. A server may answer, and close
// the connection, while it is still sent a body: the outcome of that write is
// unknown.
func (e *env) raceLargeUpdates(ctx context.Context, bodies [][]byte, tag backend.ETag) (backend.Object, error) {
	acknowledged := make([]backend.Object, len(bodies))
	unknown := make([]bool, len(bodies))
	err := together(len(bodies), func(i int) error {
		v, err := e.stores[i%len(e.stores)].Put(ctx, object, bodies[i], backend.IfMatch(tag))
		switch {
		case err == nil:
			acknowledged[i] = backend.Object{Version: v, Body: bodies[i]}
		case errors.Is(err, backend.ErrOutcomeUnknown):
			unknown[i] = true
		case !errors.Is(err, backend.ErrPreconditionFailed):
			return unlike("a racing write to apply or to fail its precondition", "%v", err)
		}
		return nil
	})
	if err != nil {
		return backend.Object{}, err
	}
	winners := slices.DeleteFunc(acknowledged, func(o backend.Object) bool { return o.ID == "" })
	if len(winners) > 1 {
		return backend.Object{}, unlike(fmt.Sprintf("exactly one of %d concurrent writes to be accepted", len(bodies)), "%d accepted", len(winners))
	}
	if len(winners) == 1 {
		return winners[0], current(ctx, e.stores[1], object, winners[0])
	}
	got, err := e.stores[1].Get(ctx, object)
	if err != nil {
		return backend.Object{}, err
	}
	i := slices.IndexFunc(bodies, func(body []byte) bool { return bytes.Equal(body, got.Body) })
	if i < 0 || !unknown[i] {
		return backend.Object{}, unlike(fmt.Sprintf("one of %d concurrent writes to apply", len(bodies)), "none")
	}
	return got, nil
}
