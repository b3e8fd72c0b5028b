package conformance

import (
	"context"
	"fmt"

	"github.com/immukv/immukv-go/backend"
)

const (
	largeWriters = 8 // each of an object of its own
	largeRacers  = 8 // all of one
)

// largeSizes are the sizes of the bodies of each round: equal, for bodies that
// are swapped, or different, for calls that overtake each other.
var largeSizes = [][]int{{1 << 20}, {64 << 10, 2 << 20, 256 << 10, 1 << 20}, {64 << 10}, {2 << 20}, {256 << 10}}

// largeBodies are n random bodies for a round.
func (e *env) largeBodies(round, n int) [][]byte {
	sizes := largeSizes[round%len(largeSizes)]
	bodies := make([][]byte, n)
	for i := range bodies {
		bodies[i] = e.noise(min(sizes[i%len(sizes)], e.h.Limits.maxBody()))
	}
	return bodies
}

// largeName is the name of the object that a writer makes in a round.
func largeName(round, writer int) string { return fmt.Sprintf("%s-%d-%d", object, round, writer) }

func checkLargeSideBySide(ctx context.Context, e *env) error {
	stores := e.stores
	var before []backend.Object // what the round before wrote
	for round := range e.fewRounds(4) {
		written := make([]backend.Object, largeWriters)
		bodies := e.largeBodies(round, largeWriters)
		err := together(largeWriters+len(before), func(i int) error {
			if i >= largeWriters {
				i -= largeWriters
				got, err := stores[i%2].GetVersion(ctx, largeName(round-1, i), before[i].ID)
				return unmixed(before[i], got, err)
			}
			var err error
			written[i], err = write(ctx, stores[i%2], largeName(round, i), bodies[i], backend.IfAbsent())
			return err
		})
		if err != nil {
			return err
		}
		if err := largeComeBack(ctx, stores, round, written); err != nil {
			return err
		}
		before = written
	}
	for round := range e.rounds() {
		if err := e.raceLarge(ctx, round); err != nil {
			return err
		}
	}
	return nil
}

// raceLarge races large bodies for one object. The version of each write that
// applied must have its body; S3 checks that there is one.
func (e *env) raceLarge(ctx context.Context, round int) error {
	name := fmt.Sprintf("%s-%d", object, round)
	bodies := make([][]byte, largeRacers)
	for i := range bodies {
		bodies[i] = e.noise(min(64<<10, e.h.Limits.maxBody()))
	}
	winners, err := contest(ctx, e.stores, name, bodies, always(backend.IfAbsent()))
	if err != nil {
		return err
	}
	for _, o := range winners {
		got, err := e.stores[1].GetVersion(ctx, name, o.ID)
		if err := unmixed(o, got, err); err != nil {
			return err
		}
	}
	return nil
}

// largeComeBack reads the bodies of a round concurrently.
func largeComeBack(ctx context.Context, stores []backend.VersionedStore, round int, written []backend.Object) error {
	return together(2*len(written), func(i int) error {
		got, err := stores[i%len(stores)].Get(ctx, largeName(round, i/2))
		return unmixed(written[i/2], got, err)
	})
}

// unmixed compares the result of a read with what was written.
func unmixed(want, got backend.Object, err error) error {
	if err != nil {
		return unlike("a large body to be read while others are read or written", "%v", err)
	}
	if got.Version != want.Version {
		return unlike(fmt.Sprintf("a read of a large body to return %+v", want.Version), "%+v", got.Version)
	}
	same := 0
	for same < min(len(got.Body), len(want.Body)) && got.Body[same] == want.Body[same] {
		same++
	}
	if same < max(len(got.Body), len(want.Body)) {
		return unlike(fmt.Sprintf("the body of %d bytes that was written while others were", len(want.Body)),
			"%d bytes, which differ from byte %d on", len(got.Body), same)
	}
	return nil
}

func checkLargeByProcesses(ctx context.Context, e *env) error {
	stores := e.stores
	workers, err := e.hire(ctx, processRacers)
	if err != nil {
		return err
	}
	for round := range e.rounds() {
		written := make([]backend.Object, processRacers)
		bodies := e.largeBodies(round, processRacers)
		err := together(processRacers, func(i int) error {
			a, err := workers[i].ask(order{Name: largeName(round, i), Body: bodies[i]})
			if err == nil && a.Error != "" {
				return unlike("a write if absent of a large body to apply", "%s", a.Error)
			}
			written[i] = backend.Object{Version: a.version(), Body: bodies[i]}
			return err
		})
		if err != nil {
			return err
		}
		if err := largeComeBack(ctx, stores, round, written); err != nil {
			return err
		}
	}
	return e.dismissAll(workers)
}
