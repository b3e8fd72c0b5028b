package sim_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/sim"
)

// writer puts two objects, of which one is its own.
func writer(name string) sim.Program {
	return sim.Program{Name: name, Run: func(p *sim.Process) {
		_, _ = p.Do("write", func(ctx context.Context) (any, error) {
			if _, err := p.Store().Put(ctx, name, []byte(name), backend.IfAbsent()); err != nil {
				return nil, err
			}
			_, err := p.Store().Put(ctx, "shared", []byte(name), backend.IfAbsent())
			return nil, err
		})
	}}
}

// explore returns the coverage and how often each end was reached.
func explore(t *testing.T, x sim.Explorer, programs ...sim.Program) (sim.Coverage, map[string]int) {
	t.Helper()
	results := make(chan string, 1_000_000)
	coverage, failed := x.Explore(t, func(t *testing.T, s sim.Source) *sim.History {
		store := memstore.New()
		h := sim.Run(t, sim.Config{Store: store, Programs: programs, Source: s})
		if h.Err == nil {
			// The order in which calls of two processes ended does not matter.
			words := strings.Fields(ends(h))
			slices.SortStableFunc(words, func(a, b string) int { return cmp.Compare(a[0], b[0]) })
			end := strings.Join(words, " ")
			for _, o := range store.Dump().Objects {
				for _, v := range o.Versions {
					end += " " + o.Name + "=" + v.Body
				}
			}
			results <- end
		}
		return h
	})
	if failed != nil {
		t.Fatalf("after %v: %v", failed.Schedule, failed.Err)
	}
	close(results)
	reached := make(map[string]int)
	for end := range results {
		reached[end]++
	}
	return coverage, reached
}

func TestExplorerVisitsEveryOrder(t *testing.T) {
	t.Parallel()
	// Of four requests, two of each process in their order, there are 6 orders.
	// With the requests to the processes' own objects moved to where it makes no
	// difference, there are 2: who is first at the shared object.
	coverage, _ := explore(t, sim.Explorer{All: true}, writer("a"), writer("b"))
	if coverage.Histories != 6 || coverage.Cut != 0 {
		t.Errorf("visited %d orders and cut %d, want 6 and 0", coverage.Histories, coverage.Cut)
	}
	coverage, reached := explore(t, sim.Explorer{}, writer("a"), writer("b"))
	if coverage.Histories != 2 || len(reached) != 2 {
		t.Errorf("visited %d orders to %d ends, want 2 and 2: %v", coverage.Histories, len(reached), reached)
	}
}

func TestExplorerVisitsEveryFault(t *testing.T) {
	t.Parallel()
	faults := []sim.Fault{sim.CrashBefore, {Effect: sim.Later, Answer: sim.Lost}}
	// One process, two requests. Without a fault: 1. A crash before the first or
	// second, after which it runs to its end, the second time with a failed
	// precondition: 2. The first lost, and applied never or at the end: 2. The
	// second lost, likewise: 2.
	coverage, _ := explore(t, sim.Explorer{Faults: func(sim.Pending) []sim.Fault { return faults }, Budget: 1}, writer("a"))
	if coverage.Histories != 7 {
		t.Errorf("visited %d histories, want 7", coverage.Histories)
	}
	want := map[sim.Fault]int{faults[0]: 2, faults[1]: 4}
	if diff := gocmp.Diff(want, coverage.Faults); diff != "" {
		t.Errorf("faults met (-want +got):\n%s", diff)
	}
}

// What is left out because it is the same to everybody must be the same to
// everybody: all that can come about comes about without it.
func TestExplorerMissesNothing(t *testing.T) {
	t.Parallel()
	lister := sim.Program{Name: "c", Run: func(p *sim.Process) {
		_, _ = p.Do("list", func(ctx context.Context) (any, error) {
			page, err := p.Store().ListNames(ctx, backend.NamesRequest{})
			return len(page.Names), err
		})
	}}
	for name, programs := range map[string][]sim.Program{
		"counters": {incrementer("a"), incrementer("b")},
		"writers":  {writer("a"), writer("b"), lister},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := sim.Explorer{
				Faults: func(sim.Pending) []sim.Fault {
					return []sim.Fault{sim.CrashAfter, {Effect: sim.Later, Answer: sim.Lost}, {Effect: sim.Again, Answer: sim.Own}}
				},
				Budget:  1,
				Workers: 2,
			}
			reduced, ends := explore(t, x, programs...)
			x.All = true
			full, allEnds := explore(t, x, programs...)
			if reduced.Histories >= full.Histories {
				t.Errorf("visited %d histories instead of %d", reduced.Histories, full.Histories)
			}
			t.Logf("%d histories instead of %d, to %d ends", reduced.Histories, full.Histories, len(ends))
			missed := slices.DeleteFunc(slices.Sorted(maps.Keys(allEnds)), func(end string) bool { return ends[end] > 0 })
			if len(missed) > 0 {
				t.Errorf("missed %d of %d ends: %q", len(missed), len(allEnds), missed)
			}
		})
	}
}

func TestExplorerStopsAtAnError(t *testing.T) {
	t.Parallel()
	found := errors.New("found")
	x := sim.Explorer{Faults: func(sim.Pending) []sim.Fault { return []sim.Fault{sim.CrashAfter} }, Budget: 1, Workers: 2}
	_, failed := x.Explore(t, func(t *testing.T, s sim.Source) *sim.History {
		store := memstore.New()
		return sim.Run(t, sim.Config{
			Store: store, Programs: []sim.Program{incrementer("a"), incrementer("b")}, Source: s,
			Finally: func(context.Context) error {
				if versions(store) > 2 {
					return found
				}
				return nil
			},
		})
	})
	if failed == nil || !errors.Is(failed.Err, found) {
		t.Fatalf("explorer returned %v, want the history of an increment that was made twice", failed)
	}
}
