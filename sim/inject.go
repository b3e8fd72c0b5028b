package sim

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/immukv/immukv-go/backend"
)

// Injection lets one request of a process meet a given fault. It needs no scheduler, no
// virtual time and no testing.T.
type Injection struct {
	Fault Fault
	// At is the request that meets the fault, counted from 1.
	At int
	// Request is that request; nil if the process made fewer.
	Request *Request

	mu      sync.Mutex
	store   backend.VersionedStore
	made    int
	crashed bool
	cancel  context.CancelFunc
}

// CrashBefore and CrashAfter crash a process before and after the effect of a
// request.
var (
	CrashBefore = Fault{Never, Crashed}
	CrashAfter  = Fault{Now, Crashed}
)

// Crashes yields one injection for each place at which a process can crash: before each
// of its requests, and after each of its writes. It ends after a run that made too few
// requests to reach the next place.
//
//	for crash := range sim.Crashes() {
//		store := memstore.New()
//		crash.Run(ctx, store, enroll)                             // crashes
//		if err := enroll(ctx, store); err != nil { … }            // starts again
//	}
func Crashes() iter.Seq[*Injection] { return Injections(CrashBefore, CrashAfter) }

// Injections yields, for each request that a process makes, one injection for each fault
// that it can meet. It omits faults that need a scheduler: those whose effect is Later or
// whose answer is Held.
func Injections(faults ...Fault) iter.Seq[*Injection] {
	return func(yield func(*Injection) bool) {
		for at := 1; ; at++ {
			// The kind of the request, and so the faults that it can meet, is known once
			// a process has made it.
			var met *Request
			for _, f := range faults {
				if f.Effect == Later || f.Answer == Held || met != nil && !f.fits(met.Op) {
					continue
				}
				i := &Injection{Fault: f, At: at}
				if !yield(i) {
					return
				}
				if met = i.reached(); met == nil {
					return
				}
			}
			if met == nil {
				return // no fault is left to try
			}
		}
	}
}

func (i *Injection) reached() *Request {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.Request
}

// String names the fault and the request: "now/crashed at request 3, put _log.json if
// absent".
func (i *Injection) String() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.Request == nil {
		return fmt.Sprintf("%v at request %d, which was not made", i.Fault, i.At)
	}
	return fmt.Sprintf("%v at request %d, %v", i.Fault, i.At, i.Request)
}

// Run runs a process until it returns, and returns its error. If it crashes, its context
// ends, and none of its later requests has any effect. The process may make requests from
// any number of goroutines; the store gets them one at a time. An injection can be used
// for one run only.
func (i *Injection) Run(ctx context.Context, store backend.VersionedStore, process func(context.Context, backend.VersionedStore) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	i.store, i.cancel = store, cancel
	return process(ctx, handle{i})
}

// pass implements gate.
func (i *Injection) pass(ctx context.Context, r *Request) Reply {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.crashed {
		return Reply{Err: Crashed.err(r)}
	}
	i.made++
	if i.made == i.At {
		i.Request = r
		if i.Fault.fits(r.Op) {
			return i.meet(ctx, r)
		}
	}
	return perform(ctx, i.store, withoutMarks(r))
}

func (i *Injection) meet(ctx context.Context, r *Request) Reply {
	var effect Reply
	if i.Fault.Effect != Never {
		effect = shaped(ctx, i.store, r, i.Fault.Answer)
	}
	switch i.Fault.Effect {
	case Again:
		perform(ctx, i.store, r)
	case Copy:
		return perform(ctx, i.store, r)
	}
	switch i.Fault.Answer {
	case Own, Short, Hollow, Disordered:
		return effect
	case Crashed:
		i.crashed = true
		i.cancel()
	}
	return Reply{Err: i.Fault.Answer.err(r)}
}
