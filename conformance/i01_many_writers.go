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
		name: "many-clients", cost: cost{fixed: 100 + 8*contendingWrites*30},
		title: "each acknowledged write of eight contending clients is in the log exactly once, and chain and key objects are complete",
		run: func(ctx context.Context, e *env) error {
			l, s, err := e.contend(ctx, 8, byDefault)
			if err != nil {
				return err
			}
			return sound(ctx, s, "", l)
		},
	},
)

const processSets = 15 // of each process

func checkProcesses(ctx context.Context, e *env) error {
	s := e.stores[0]
	workers, err := e.hire(ctx, processRacers)
	if err != nil {
		return err
	}
	doomed, dies := e.rand.IntN(processRacers), 1+e.rand.IntN(processSets-2)
	l := &ledger{}
	var killing sync.WaitGroup
	err = together(processRacers, func(i int) error {
		for n := range processSets {
			if i == doomed && n == dies {
				killing.Go(workers[i].kill) // while the Set is under way, or just before or after
			}
			err := l.have(workers[i], fmt.Sprintf("key-%d", (i+n)%3), fmt.Sprintf("process %d, write %d", i, n))
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

// have asks a worker to set a key, and records the outcome.
func (l *ledger) have(w *worker, key, value string) error {
	a := &attempt{key: key, value: value, err: immukv.ErrOutcomeUnknown}
	l.mu.Lock()
	l.attempts = append(l.attempts, a)
	l.mu.Unlock()
	answer, err := w.ask(order{Key: key, Value: value})
	switch {
	case err != nil:
		return err
	case answer.Unknown:
		return nil
	case answer.Error != "":
		a.err = errors.New(answer.Error)
		return a.err
	}
	a.err = nil
	a.entry = entry{VersionID: immukv.LogVersionID(answer.ID), Sequence: answer.Sequence, Hash: answer.Hash}
	return nil
}
