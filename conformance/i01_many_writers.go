package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/immukv/immukv-go/immukv"
)

// I1: an acknowledged write is in the log exactly once.
var manyWriterChecks = clause("I1",
	check{
		name: "processes", needs: []Facility{Worker}, cost: cost{fixed: 200 + 4*processSets*40},
		title: "after four processes set keys at once and one of them is killed, chain and key objects are complete, and each acknowledged write is in the log once",
		run:   checkProcesses,
	},
	check{
		name: "processes-in-batches", needs: []Facility{Worker}, cost: cost{fixed: 400 + processRacers*processBatches*120},
		title: "after four processes write batches at once and one of them is killed, each batch is complete, and each acknowledged write is in the log once",
		run:   checkProcessesInBatches,
	},
	check{
		name: "many-clients", cost: cost{fixed: 100 + 8*contendingWrites*30},
		title: "each acknowledged write of eight contending clients is in the log exactly once, and chain and key objects are complete",
		run: func(ctx context.Context, e *env) error {
			l, s, err := e.contend(ctx, 8, 1, byDefault)
			if err != nil {
				return err
			}
			return sound(ctx, s, "", l)
		},
	},
	check{
		name: "many-batching-clients", cost: cost{fixed: 200 + 4*batchCallers*contendingWrites*30},
		title: "each acknowledged write of four contending clients that batch is in the log exactly once, and chain and key objects are complete",
		run: func(ctx context.Context, e *env) error {
			l, s, err := e.contend(ctx, 4, batchCallers, batching)
			if err != nil {
				return err
			}
			return sound(ctx, s, "", l)
		},
	},
)

const processSets = 15 // of each process

func checkProcesses(ctx context.Context, e *env) error {
	return e.processesSet(ctx, processSets, func(l *ledger, w *worker, i, n int) error {
		return l.have(w, order{}, []immukv.Write[string]{{Key: fmt.Sprintf("key-%d", (i+n)%3), Value: fmt.Sprintf("process %d, write %d", i, n)}})
	})
}

const processBatches = 6 // of each process

// checkProcessesInBatches makes each process alternate between an atomic batch and
// concurrent writes of several callers.
func checkProcessesInBatches(ctx context.Context, e *env) error {
	return e.processesSet(ctx, processBatches, func(l *ledger, w *worker, i, n int) error {
		var keys []string
		for k := range batchCallers {
			keys = append(keys, fmt.Sprintf("key-%d", (i+n+k)%(2*batchCallers)))
		}
		return l.have(w, order{Atomic: n%2 == 0}, writesOf(fmt.Sprintf("process %d, write %d", i, n), keys...))
	})
}

// processesSet makes processes write concurrently, a number of times each, and kills one
// of them.
func (e *env) processesSet(ctx context.Context, times int, set func(l *ledger, w *worker, i, n int) error) error {
	s := e.stores[0]
	workers, err := e.hire(ctx, processRacers)
	if err != nil {
		return err
	}
	doomed, dies := e.rand.IntN(processRacers), 1+e.rand.IntN(times-2)
	l := &ledger{}
	var killing sync.WaitGroup
	err = together(processRacers, func(i int) error {
		for n := range times {
			if i == doomed && n == dies {
				killing.Go(workers[i].kill) // while the Set is under way, or just before or after
			}
			err := set(l, workers[i], i, n)
			if errors.Is(err, errKilled) {
				return nil
			}
			if err != nil {
				return unlike("a process to set a key", "%v", err)
			}
		}
		return nil
	})
	killing.Wait()
	if err != nil {
		return err
	}
	if err := workers[doomed].killed(); err != nil {
		return err
	}
	if err := e.dismissAll(slices.Delete(workers, doomed, doomed+1)); err != nil {
		return err
	}
	return sound(ctx, s, "", l)
}

// have asks a worker to set keys, and records the outcomes.
func (l *ledger) have(w *worker, o order, writes []immukv.Write[string]) error {
	attempts := make([]*attempt, len(writes))
	for i, write := range writes {
		attempts[i] = &attempt{key: write.Key, value: write.Value, err: immukv.ErrOutcomeUnknown}
		if o.Atomic {
			attempts[i].with = attempts
		}
		o.Set = append(o.Set, keyValue{write.Key, write.Value})
	}
	l.begin(attempts...)
	answer, err := w.ask(o)
	if err != nil {
		return err
	}
	if len(answer.Set) != len(writes) {
		return fmt.Errorf("%d answers to %d writes, which ended with: %s", len(answer.Set), len(writes), answer.Error)
	}
	var failed error
	for i, a := range answer.Set {
		var err error
		switch {
		case a.Unknown:
			continue
		case a.Error != "":
			err = errors.New(a.Error)
			failed = err
		}
		e := entry{VersionID: immukv.LogVersionID(a.ID), Sequence: a.Sequence, Hash: a.Hash}
		l.end(attempts[i:i+1], []entry{e}, err)
	}
	return failed
}
