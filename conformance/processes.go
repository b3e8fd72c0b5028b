package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// What holds between operating-system processes, and when one of them is
// killed.
var processChecks = []check{
	{
		clause: "S3", name: "processes-racing", needs: []Facility{Worker}, cost: cost{fixed: 20, perRound: processRacers},
		title: "of concurrent writes by four operating-system processes under one condition exactly one applies",
		run:   checkProcessesRacing,
	},
	{
		clause: "S5", name: "killed-writer", needs: []Facility{Worker}, cost: cost{fixed: 30, perRound: 10},
		title: "a process killed in the middle of writing loses nothing that it was acknowledged, and does not keep others from writing",
		run:   checkKilledWriter,
	},
	{
		clause: "I1", name: "processes", needs: []Facility{Worker}, cost: cost{fixed: 200 + 4*processSets*40},
		title: "of four processes that set keys at once, one of which is killed, chain and key objects are whole, and each acknowledged write is there once",
		run:   checkProcesses,
	},
}

const (
	processRacers = 4
	processSets   = 15
	// afterlife is how many writes a process may be acknowledged from the time
	// on when it is to be killed, which comes within about one.
	afterlife = 200
)

func checkProcessesRacing(ctx context.Context, e *env) error {
	s, err := e.open(ctx)
	if err != nil {
		return err
	}
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

func checkKilledWriter(ctx context.Context, e *env) error {
	s, err := e.open(ctx)
	if err != nil {
		return err
	}
	for round := range e.fewRounds(4) {
		name := fmt.Sprintf("%s-%d", object, round)
		workers, err := e.hire(ctx, 1)
		if err != nil {
			return err
		}
		acknowledged, err := writeUntilKilled(workers[0], name, e.rand.IntN(8), e.rand.Float64())
		if err != nil {
			return err
		}
		if err := writeOn(ctx, s, name, acknowledged); err != nil {
			return err
		}
	}
	return nil
}

// writeOn is what comes after a process that was killed: what it was
// acknowledged is there, and at most one version more, the last. That one may
// arrive late, where the store is reached over a network.
func writeOn(ctx context.Context, s backend.VersionedStore, name string, acknowledged []backend.Object) error {
	for late := false; ; late = true {
		list, err := listVersions(ctx, s, name, backend.VersionsRequest{}, len(acknowledged)+1)
		if err != nil {
			return err
		}
		for i, o := range acknowledged {
			if !slices.Contains(list, o.Version) {
				return unlike(fmt.Sprintf("version %d, which was acknowledged before the process was killed, to be there", i), "versions %+v", list)
			}
			if err := readable(ctx, s, name, o); err != nil {
				return err
			}
		}
		if len(list) > len(acknowledged)+1 {
			return unlike("one version at most that was not acknowledged", "%d", len(list)-len(acknowledged))
		}
		cond := backend.IfAbsent()
		if len(list) > 0 {
			v, err := s.Head(ctx, name)
			if err != nil {
				return err
			}
			cond = backend.IfMatch(v.ETag)
		}
		if _, err := s.Put(ctx, name, []byte("written on"), cond); !errors.Is(err, backend.ErrPreconditionFailed) {
			return err
		}
		if late {
			return unlike("the next process to write on", "its precondition failed twice, with no other writer")
		}
	}
}

// writeUntilKilled has a worker write versions of an object, and kills it in
// the middle of one of them, though not before it was acknowledged the first.
func writeUntilKilled(w *worker, name string, writes int, moment float64) ([]backend.Object, error) {
	var acknowledged []backend.Object
	var match backend.ETag
	usual := time.Millisecond
	for i := 0; ; i++ {
		body := fmt.Appendf(nil, "version %d", i)
		if i == writes+1 {
			timer := time.AfterFunc(time.Duration(moment*float64(usual)), w.kill)
			defer timer.Stop()
		}
		began := time.Now()
		a, err := w.ask(order{Name: name, Body: body, Match: match})
		switch {
		case errors.Is(err, errKilled):
			return acknowledged, nil
		case err != nil:
			return nil, unlike("a process to write until it is killed", "%v", err)
		case i > writes+afterlife:
			return nil, unlike("a process to end when it is killed", "it writing on: what was killed may be a shell around it")
		case a.Error != "":
			return nil, unlike("a write whose condition holds to apply", "%s", a.Error)
		}
		usual, match = time.Since(began), a.ETag
		acknowledged = append(acknowledged, backend.Object{Version: a.version(), Body: body})
	}
}

func checkProcesses(ctx context.Context, e *env) error {
	s, err := e.open(ctx)
	if err != nil {
		return err
	}
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

// have has a worker set a key, and records what came of it.
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
