package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immukv/immukv-go/backend"
)

// Config describes a history to be made.
type Config struct {
	// Store is the store that all processes share. Its methods are called one at a time.
	Store    backend.VersionedStore
	Programs []Program
	Source   Source
	// Observe, if set, is called with every event when it happens. An error ends the
	// history and becomes its Err.
	Observe func(*Event) error
	// Finally, if set, runs when all programs have ended, in the same virtual time, with
	// Store itself. Its error becomes that of the history.
	Finally func(context.Context) error
	// MaxSteps is the number of choices after which a history is considered endless:
	// 10,000 if it is zero.
	MaxSteps int
}

// Run makes one history, in its own virtual time (see testing/synctest): timers take no
// time. The programs must not use anything outside of it. A goroutine that they leave
// behind fails the test.
func Run(t *testing.T, cfg Config) *History {
	var h *History
	synctest.Test(t, func(t *testing.T) { h = newWorld(cfg).run(t.Context()) })
	return h
}

// world is one history in the making. Only the scheduler, which is the goroutine of run,
// uses the store and the history.
type world struct {
	Config
	history *History
	start   time.Time
	arrived chan struct{} // has an item if something may have changed

	mu      sync.Mutex // guards the fields below, and parts of Process and call
	lives   []*Process // the current life of each program
	waiting []*call
	late    []*call
	notes   []*note
}

func newWorld(cfg Config) *world {
	if cfg.MaxSteps == 0 {
		cfg.MaxSteps = 10_000
	}
	return &world{Config: cfg, history: newHistory(), start: time.Now(), arrived: make(chan struct{}, 1)}
}

// wake wakes the scheduler: something has changed.
func (w *world) wake() {
	select {
	case w.arrived <- struct{}{}:
	default:
	}
}

func (w *world) run(ctx context.Context) *History {
	for i, program := range w.Programs {
		w.lives = append(w.lives, nil)
		w.launch(ctx, i, program, 0, 0)
	}
	err := w.schedule(ctx)
	w.shutDown()
	if err == nil && w.Finally != nil {
		err = w.Finally(ctx)
	}
	w.history.Err = err
	return w.history
}

// launch begins a life of a program.
func (w *world) launch(ctx context.Context, i int, program Program, life int, skew time.Duration) {
	p := &Process{world: w, name: program.Name, life: life, skew: skew, ended: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(ctx)
	w.mu.Lock()
	w.lives[i] = p
	w.mu.Unlock()
	go func() {
		defer func() {
			p.cancel()
			w.mu.Lock()
			p.exited = true
			w.mu.Unlock()
			close(p.ended)
			w.wake()
		}()
		program.Run(p)
	}()
}

// schedule makes one choice after another until all programs have ended.
func (w *world) schedule(ctx context.Context) error {
	source := w.Source
	for range w.MaxSteps {
		if err := w.quiet(ctx); err != nil {
			return err
		}
		point, waiting, late := w.point()
		if len(waiting) == 0 && len(late) == 0 {
			return nil
		}
		choice, err := source.Next(point)
		switch {
		case errors.Is(err, io.EOF) && len(waiting) == 0:
			return nil
		case errors.Is(err, io.EOF):
			choice = Choice{Process: waiting[0].process.name}
		case err != nil:
			return err
		default:
			w.history.Schedule = append(w.history.Schedule, choice)
		}
		if err := w.take(choice, waiting, late); err != nil {
			return err
		}
	}
	return fmt.Errorf("the history does not end: %d choices were made", w.MaxSteps)
}

// quiet returns when every process waits for the scheduler or has ended. While one
// sleeps, time passes, and no choice is made.
func (w *world) quiet(ctx context.Context) error {
	const patience = 1000 * time.Hour
	for {
		synctest.Wait()
		progress, err := w.takeNotes(ctx)
		if err != nil {
			return err
		}
		if progress {
			continue
		}
		asleep := w.asleep()
		if asleep == nil {
			return nil
		}
		timer := time.NewTimer(patience)
		select {
		case <-w.arrived:
			timer.Stop()
		case <-timer.C:
			return fmt.Errorf("process %s is stuck: it neither makes a request nor ends", asleep.name)
		}
	}
}

// asleep returns a process that has not ended and waits for no request.
func (w *world) asleep() *Process {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.lives {
		if !p.exited && !slices.ContainsFunc(w.waiting, func(c *call) bool { return c.process == p }) {
			return p
		}
	}
	return nil
}

// takeNotes records the events that processes have passed, and restarts those that
// crashed. It reports whether there were any.
func (w *world) takeNotes(ctx context.Context) (bool, error) {
	w.mu.Lock()
	notes := w.notes
	w.notes = nil
	w.mu.Unlock()
	slices.SortStableFunc(notes, func(a, b *note) int {
		return cmp.Or(cmp.Compare(a.process.name, b.process.name), cmp.Compare(a.event.What, b.event.What))
	})
	for i, n := range notes {
		n.event.Process, n.event.Life = n.process.name, n.process.life
		if err := w.record(n.event); err != nil {
			w.mu.Lock()
			w.notes = append(w.notes, notes[i:]...) // kill answers it
			w.mu.Unlock()
			return true, err
		}
		close(n.done)
		synctest.Wait() // so that goroutines of one process do not race from here on
	}
	restarted, err := w.restart(ctx)
	return restarted || len(notes) > 0, err
}

// restart begins the next life of every process that has crashed and returned.
func (w *world) restart(ctx context.Context) (bool, error) {
	restarted := false
	for i, p := range w.lives {
		w.mu.Lock()
		due := p.dead && p.exited
		w.mu.Unlock()
		if !due {
			continue
		}
		restarted = true
		if err := w.record(&Event{Kind: Restarted, Process: p.name, Life: p.life + 1}); err != nil {
			return true, err
		}
		w.launch(ctx, i, w.Programs[i], p.life+1, p.skew)
	}
	return restarted, nil
}

func (w *world) record(e *Event) error {
	e.At = time.Since(w.start)
	w.history.record(e)
	if w.Observe == nil {
		return nil
	}
	return w.Observe(e)
}
