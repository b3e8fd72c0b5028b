package conformance

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/immukv/immukv-go/backend"
)

// S3: of any number of concurrent writes under one condition one applies.
var raceChecks = clause("S3",
	check{
		name: "32-racing-creates", cost: cost{fixed: 10, perRound: racers + 4},
		title: "of 32 concurrent writes if absent exactly one applies",
		run:   racing(1, false),
	},
	check{
		name: "32-racing-updates", cost: cost{fixed: 10, perRound: racers + 4},
		title: "of 32 concurrent writes under one ETag exactly one applies",
		run:   racing(1, true),
	},
	check{
		name: "32-racing-creates-two-handles", cost: cost{fixed: 10, perRound: racers + 4},
		title: "of 32 concurrent writes if absent exactly one applies, also between processes or endpoints",
		run:   racing(2, false),
	},
	check{
		name: "32-racing-updates-two-handles", cost: cost{fixed: 10, perRound: racers + 4},
		title: "of 32 concurrent writes under one ETag exactly one applies, also between processes or endpoints",
		run:   racing(2, true),
	},
	check{
		name: "32-handles-racing", handles: racers, cost: cost{fixed: 10, perRound: racers + 4},
		title: "of 32 concurrent writes under one condition, each through a handle of its own, exactly one applies",
		run:   racing(racers, true),
	},
	check{
		name: "large-bodies-racing", cost: cost{fixed: 20, perRound: largeRacers + 4},
		title: "of eight concurrent writes of large bodies under one condition exactly one applies",
		run:   checkLargeRaces,
	},
	check{
		name: "pairs-racing", cost: cost{fixed: 10, perRound: pairsPerRound * 2},
		title: "of two writes that begin at the same moment one applies",
		run:   checkPairs,
	},
	check{
		name: "mixed-conditions-racing", cost: cost{fixed: 10, perRound: racers + 1},
		title: "when writes if absent race writes under the current ETag, one of the latter applies and none of the former",
		run:   checkMixedRace,
	},
	check{
		name: "counter", cost: cost{fixed: 10 + 2*8*8*4},
		title: "eight writers that count up by read, compare and write lose no count",
		run:   checkCounter,
	},
	check{
		name: "processes-racing", needs: []Facility{Worker}, cost: cost{fixed: 20, perRound: processRacers},
		title: "of concurrent writes by four operating-system processes under one condition exactly one applies",
		run:   checkProcessesRacing,
	},
)

// racers is how many writers race under one condition.
const racers = 32

// racing is a check that repeats a race through so many handles: each for the next
// version of one object if update is set, else for the first version of a new one.
func racing(handles int, update bool) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error { return e.raceRounds(ctx, e.stores[:handles], update) }
}

func (e *env) raceRounds(ctx context.Context, stores []backend.VersionedStore, update bool) error {
	name := object
	var written []backend.Object
	if update {
		var err error
		if written, err = chain(ctx, stores[0], name, 1); err != nil {
			return err
		}
	}
	for round := range e.rounds() {
		cond := backend.IfAbsent()
		if update {
			cond = backend.IfMatch(written[len(written)-1].ETag)
		} else {
			name, written = fmt.Sprintf("%s-%d", object, round), nil
		}
		winner, err := race(ctx, stores, racers, name, round, always(cond))
		if err != nil {
			return err
		}
		written = append(written, winner)
		if err := current(ctx, stores[len(stores)-1], name, winner); err != nil {
			return err
		}
		// The whole history is read only at the end, because it grows.
		if update && round+1 < e.rounds() {
			continue
		}
		if err := history(ctx, stores[0], name, written); err != nil {
			return err
		}
	}
	return nil
}

// race makes n concurrent writes, and returns the one that applied.
func race(ctx context.Context, stores []backend.VersionedStore, n int, name string, round int, cond func(i int) backend.Condition) (backend.Object, error) {
	winners, err := contest(ctx, stores, name, racerBodies(n, round), cond)
	if err != nil {
		return backend.Object{}, err
	}
	if len(winners) != 1 {
		return backend.Object{}, unlike(fmt.Sprintf("exactly one of %d concurrent writes of %s to be accepted", n, show(name)),
			"%d accepted in round %d", len(winners), round)
	}
	return winners[0], nil
}

// racerBodies are the bodies of n racers.
func racerBodies(n, round int) [][]byte {
	bodies := make([][]byte, n)
	for i := range bodies {
		bodies[i] = fmt.Appendf(nil, "round %d, racer %d", round, i)
	}
	return bodies
}

// contest writes the bodies concurrently, and returns all versions that applied.
func contest(ctx context.Context, stores []backend.VersionedStore, name string, bodies [][]byte, cond func(i int) backend.Condition) ([]backend.Object, error) {
	type attempt struct {
		backend.Object
		err error
	}
	attempts := make([]attempt, len(bodies))
	err := together(len(bodies), func(i int) error {
		a := &attempts[i]
		a.Body = bodies[i]
		a.Version, a.err = stores[i%len(stores)].Put(ctx, name, a.Body, cond(i))
		if a.err != nil && !errors.Is(a.err, backend.ErrPreconditionFailed) {
			return unlike("a racing write to apply or to fail its precondition", "%v", a.err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var winners []backend.Object
	for _, a := range attempts {
		if a.err == nil {
			winners = append(winners, a.Object)
		}
	}
	return winners, nil
}

// always gives every racer the same condition.
func always(c backend.Condition) func(int) backend.Condition {
	return func(int) backend.Condition { return c }
}

// pairsPerRound is how many pairs race in one round, at about the cost of one
// race of many writers.
const pairsPerRound = 10

// checkPairs races pairs of writers. Many writers queue for the processors, and
// find that the first of them is done. Two writers run in parallel from the
// first step to the last, so that some pair hits even a narrow window between a
// check and a write.
func checkPairs(ctx context.Context, e *env) error {
	stores := e.stores
	for i := range pairsPerRound * e.rounds() {
		name := fmt.Sprintf("%s-%d", object, i)
		if _, err := race(ctx, stores, 2, name, i, always(backend.IfAbsent())); err != nil {
			return err
		}
	}
	return nil
}

func checkMixedRace(ctx context.Context, e *env) error {
	stores := e.stores
	written, err := chain(ctx, stores[0], object, 1)
	if err != nil {
		return err
	}
	for round := range e.rounds() {
		tag := written[len(written)-1].ETag
		winner, err := race(ctx, stores, racers, object, round, func(i int) backend.Condition {
			if i%4 < 2 {
				return backend.IfAbsent()
			}
			return backend.IfMatch(tag)
		})
		if err != nil {
			return err
		}
		written = append(written, winner)
	}
	return history(ctx, stores[1], object, written)
}

func checkCounter(ctx context.Context, e *env) error {
	const writers, counts = 8, 4
	stores := e.stores
	if _, err := write(ctx, stores[0], object, []byte("0"), backend.IfAbsent()); err != nil {
		return err
	}
	err := together(writers, func(i int) error {
		s := stores[i%2]
		for range counts {
			if err := countUp(ctx, s, writers*counts+1); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	end, err := stores[0].Get(ctx, object)
	if err != nil {
		return err
	}
	if want := strconv.Itoa(writers * counts); string(end.Body) != want {
		return unlike(fmt.Sprintf("%d writers to count up to %s", writers, want), "%s", showBody(end.Body))
	}
	list, err := listVersions(ctx, stores[1], object, backend.VersionsRequest{}, writers*counts+1)
	if err != nil {
		return err
	}
	if len(list) != writers*counts+1 {
		return unlike(fmt.Sprintf("one version for each count, %d", writers*counts+1), "%d", len(list))
	}
	return nil
}

// countUp adds one to the number in the object. It loses only to another
// writer's count, so the number of counts bounds how often it loses.
func countUp(ctx context.Context, s backend.VersionedStore, bound int) error {
	for range bound {
		o, err := s.Get(ctx, object)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(o.Body))
		if err != nil {
			return unlike("the object to hold a number", "%s", showBody(o.Body))
		}
		_, err = s.Put(ctx, object, strconv.AppendInt(nil, int64(n)+1, 10), backend.IfMatch(o.ETag))
		if !errors.Is(err, backend.ErrPreconditionFailed) {
			return err
		}
	}
	return unlike("a write to fail its precondition only when another applied", "%d failures", bound)
}

func checkProcessesRacing(ctx context.Context, e *env) error {
	s := e.stores[0]
	workers, err := e.hire(ctx, processRacers)
	if err != nil {
		return err
	}
	var written []backend.Object
	var match backend.ETag
	for round := range e.rounds() {
		answers := make([]answerTo, processRacers)
		err := together(processRacers, func(i int) error {
			var err error
			answers[i], err = workers[i].ask(order{Name: object, Body: fmt.Appendf(nil, "round %d, process %d", round, i), Match: match})
			if err == nil && answers[i].Error != "" && !answers[i].Lost {
				return unlike("a racing write to apply or to fail its precondition", "%s", answers[i].Error)
			}
			return err
		})
		if err != nil {
			return err
		}
		won := 0
		for i, a := range answers {
			if a.Error == "" {
				won++
				match = a.ETag
				written = append(written, backend.Object{
					Version: a.version(),
					Body:    fmt.Appendf(nil, "round %d, process %d", round, i),
				})
			}
		}
		if won != 1 {
			return unlike(fmt.Sprintf("exactly one of %d processes to have its write accepted", processRacers), "%d in round %d", won, round)
		}
	}
	if err := e.dismissAll(workers); err != nil {
		return err
	}
	return history(ctx, s, object, written)
}
