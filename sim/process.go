package sim

import (
	"context"
	"runtime"
	"time"

	"github.com/immukv/immukv-go/backend"
)

// Program is the program of a process. After a crash it runs again from the beginning, in
// a new [Process] without any memory.
type Program struct {
	// Name is a lower-case letter, and then letters, digits, _ and -.
	Name string
	Run  func(*Process)
}

// Process is one life of a program. Its methods are for the program's goroutines; all of
// these must have ended when Run returns.
type Process struct {
	world  *world
	name   string
	life   int
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{} // closed when Run has returned

	// Guarded by world.mu.
	dead   bool
	exited bool
	skew   time.Duration // of its clock
}

// Name returns the name of the program.
func (p *Process) Name() string { return p.name }

// Life returns the number of crashes before this life.
func (p *Process) Life() int { return p.life }

// Context returns a context that ends when the process crashes.
func (p *Process) Context() context.Context { return p.ctx }

// Store returns the store as the process uses it: every request waits for the scheduler.
// It may be used by any number of the process's goroutines. After a crash every request
// fails with [ErrCrashed].
func (p *Process) Store() backend.VersionedStore { return handle{p} }

// Now returns the time of the process's clock, which a [Jump] changes. Timers do not use
// it: they use the virtual time.
func (p *Process) Now() time.Time {
	p.world.mu.Lock()
	defer p.world.mu.Unlock()
	return time.Now().Add(p.skew)
}

// Do runs one call of the program, and records it in the history with its description,
// its result and its error. The context of f is the one that a [Cancelled] request ends.
func (p *Process) Do(what string, f func(context.Context) (any, error)) (any, error) {
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	d := &doing{what: what, cancel: cancel}
	p.tell(&Event{Kind: Began, What: what})
	detail, err := f(context.WithValue(ctx, doingKey{}, d))
	p.tell(&Event{Kind: Ended, What: what, Detail: detail, Err: err})
	return detail, err
}

// doing is a running Do.
type doing struct {
	what   string
	cancel context.CancelFunc
}

type doingKey struct{}

// tell passes the scheduler an event, and waits until it is recorded: simultaneous events
// of two processes must not be recorded in the order in which their goroutines happen to
// run. A crashed process records nothing.
func (p *Process) tell(e *Event) {
	w := p.world
	n := &note{process: p, event: e, done: make(chan struct{})}
	w.mu.Lock()
	if p.dead {
		w.mu.Unlock()
		return
	}
	w.notes = append(w.notes, n)
	w.mu.Unlock()
	w.wake()
	<-n.done
}

// note is an event that the scheduler has not recorded yet.
type note struct {
	process *Process
	event   *Event
	done    chan struct{}
}

// call is a request that a process has made.
type call struct {
	process *Process
	doing   *doing // nil outside of a Do
	request *Request
	held    bool  // it took effect, and its answer is held
	copied  bool  // a copy of it took effect
	twin    int   // how many equal requests of the process wait before it
	reply   Reply // for the caller, once done is closed or while held
	replied bool
	done    chan struct{}
	stack   [5]uintptr // the place in the program that made the request
}

// pass implements gate: the request waits until the scheduler answers it, or
// its context ends.
func (p *Process) pass(ctx context.Context, r *Request) Reply {
	w := p.world
	c := &call{process: p, request: r, done: make(chan struct{})}
	c.doing, _ = ctx.Value(doingKey{}).(*doing)
	runtime.Callers(3, c.stack[:]) // from the caller of the store's method on

	w.mu.Lock()
	if p.dead {
		w.mu.Unlock()
		return Reply{Err: Crashed.err(r)}
	}
	if err := ctx.Err(); err != nil {
		w.mu.Unlock()
		return Reply{Err: r.failed(err)}
	}
	w.waiting = append(w.waiting, c)
	w.mu.Unlock()
	w.wake()

	select {
	case <-c.done:
	case <-ctx.Done():
		w.abandon(c, ctx.Err())
	}
	return c.reply
}
