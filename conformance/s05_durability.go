package conformance

import (
	"context"
	"fmt"

	"github.com/immukv/immukv-go/backend"
)

// S5: what was acknowledged is durable. The suite cannot cut the power. It
// abandons handles, restarts the store, and checks that every acknowledged
// write is there.
var durabilityChecks = clause("S5",
	check{
		name: "nothing-lost", handles: 3, cost: cost{fixed: 120, perRound: 10},
		title: "every acknowledged write can be read through another handle, while the one that wrote it is still open",
		run:   checkNothingLost,
	},
	check{
		name: "closed-handle", cost: cost{fixed: 60, perRound: 11},
		title: "closing a handle loses no acknowledged write, and does not keep other handles from reading and writing",
		run:   checkClosedHandle,
	},
	check{
		name: "survives-restart", needs: []Facility{Restart}, cost: cost{fixed: 100},
		title: "versions, their order, IDs, ETags and bodies survive a restart of the store, and writes succeed after it",
		run:   checkSurvivesRestart,
	},
	check{
		name: "killed-writer", needs: []Facility{Worker}, cost: cost{fixed: 30, perRound: 10},
		title: "a process killed in the middle of writing loses no acknowledged write, and does not keep others from writing",
		run:   checkKilledWriter,
	},
)

func checkNothingLost(ctx context.Context, e *env) error {
	const writers = 4
	stores := e.stores
	written := make([][]backend.Object, writers)
	err := together(writers, func(i int) error {
		var err error
		written[i], err = chain(ctx, stores[i%2], fmt.Sprintf("%s-%d", object, i), 10+e.rounds())
		return err
	})
	if err != nil {
		return err
	}
	for i, chain := range written {
		if err := survived(ctx, stores[2], fmt.Sprintf("%s-%d", object, i), chain); err != nil {
			return err
		}
	}
	return nil
}

// checkClosedHandle closes handles while others are in use. A store whose
// handles share something (a database, the locks of a file) may close it for
// all of them.
func checkClosedHandle(ctx context.Context, e *env) error {
	const others = 2
	stores := e.stores[:others]
	written := make([][]backend.Object, others) // each by a handle that stays, to an object of its own
	for round := range e.rounds() {
		leaving, err := e.open(ctx)
		if err != nil {
			return err
		}
		if !closes(leaving) {
			return inapplicable("handles of the store are not io.Closers")
		}
		name := fmt.Sprintf("leaving-%d", round)
		last, err := write(ctx, leaving, name, []byte(name), backend.IfAbsent())
		if err != nil {
			return err
		}
		err = together(1+others, func(i int) error {
			if i == others {
				return e.closeHandle(leaving)
			}
			name, cond := fmt.Sprintf("%s-%d", object, i), backend.IfAbsent()
			if round > 0 {
				cond = backend.IfMatch(written[i][round-1].ETag)
			}
			o, err := write(ctx, stores[i], name, fmt.Appendf(nil, "round %d", round), cond)
			if err != nil {
				return fmt.Errorf("while another handle is closed: %w", err)
			}
			written[i] = append(written[i], o)
			return nil
		})
		if err != nil {
			return err
		}
		for i, s := range stores {
			err := current(ctx, s, fmt.Sprintf("%s-%d", object, i), written[i][round])
			if err == nil {
				err = current(ctx, s, name, last)
			}
			if err != nil {
				return fmt.Errorf("after another handle was closed: %w", err)
			}
		}
	}
	for i, chain := range written {
		if err := history(ctx, stores[1-i], fmt.Sprintf("%s-%d", object, i), chain); err != nil {
			return err
		}
	}
	return nil
}

func checkSurvivesRestart(ctx context.Context, e *env) error {
	s := e.stores[0]
	names := e.h.Limits.held([]string{object, "empty", object + "/below"})
	written := make(map[string][]backend.Object)
	for i, name := range names {
		versions, err := chain(ctx, s, name, 3+i)
		if err != nil {
			return err
		}
		written[name] = versions
	}
	last := written["empty"][len(written["empty"])-1]
	empty, err := write(ctx, s, "empty", nil, backend.IfMatch(last.ETag))
	if err != nil {
		return err
	}
	written["empty"] = append(written["empty"], empty)

	for range 2 {
		listed := make(map[string][]backend.Version)
		for _, name := range names {
			if listed[name], err = listVersions(ctx, s, name, backend.VersionsRequest{}, len(written[name])); err != nil {
				return err
			}
		}
		if s, err = e.restart(ctx); err != nil {
			return err
		}
		for _, name := range names {
			before := written[name]
			if err := survived(ctx, s, name, before); err != nil {
				return fmt.Errorf("after a restart: %w", err)
			}
			again, err := listVersions(ctx, s, name, backend.VersionsRequest{}, len(before))
			if err != nil {
				return err
			}
			if err := sameVersions(fmt.Sprintf("the versions of %s, listed before a restart and after,", show(name)), listed[name], again); err != nil {
				return err
			}
			// The ETags from before the restart work in conditions.
			if err := mustFail(ctx, s, name, []byte("again"), backend.IfAbsent()); err != nil {
				return err
			}
			if err := mustFail(ctx, s, name, []byte("again"), backend.IfMatch(before[0].ETag)); err != nil {
				return err
			}
			o, err := write(ctx, s, name, fmt.Appendf(nil, "after restart, version %d", len(before)), backend.IfMatch(before[len(before)-1].ETag))
			if err != nil {
				return err
			}
			written[name] = append(before, o)
		}
	}
	return nil
}
