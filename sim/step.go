package sim

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// point returns the waiting requests and late writes, sorted.
func (w *world) point() (_ *Point, waiting, late []*call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.SortStableFunc(w.waiting, (*call).compare)
	slices.SortStableFunc(w.late, (*call).compare)
	for i, c := range w.waiting {
		c.twin = 0
		if i > 0 && c.process == w.waiting[i-1].process && c.request.compare(w.waiting[i-1].request) == 0 {
			c.twin = w.waiting[i-1].twin + 1
		}
	}
	waiting, late = slices.Clone(w.waiting), slices.Clone(w.late)
	return &Point{Waiting: w.pending(waiting), Late: w.pending(late)}, waiting, late
}

// holds reports whether a write's condition holds.
func (w *world) holds(r *Request) bool {
	if !r.Writes() {
		return false
	}
	v, err := w.Store.Head(context.Background(), r.Name)
	if err != nil {
		return r.Cond.Absent()
	}
	return v.ETag == r.Cond.ETag()
}

// compare orders requests independently of which goroutine ran first. Equal requests of
// one process are ordered by their Do and by the place in the program that made them;
// those that are still equal are interchangeable.
func (c *call) compare(d *call) int {
	if n := cmp.Compare(c.process.name, d.process.name); n != 0 {
		return n
	}
	if n := c.request.compare(d.request); n != 0 {
		return n
	}
	if n := cmp.Compare(c.name(), d.name()); n != 0 {
		return n
	}
	return slices.Compare(c.stack[:], d.stack[:])
}

// name returns the name of the running Do.
func (c *call) name() string {
	if c.doing == nil {
		return ""
	}
	return c.doing.what
}

func (w *world) pending(calls []*call) []Pending {
	list := make([]Pending, len(calls))
	nth := 0
	for i, c := range calls {
		if i > 0 && calls[i-1].process.name == c.process.name {
			nth++
		} else {
			nth = 0
		}
		list[i] = Pending{
			Process: c.process.name, Nth: nth, Request: c.request,
			Held: c.held, Copied: c.copied, Holds: !c.held && w.holds(c.request),
		}
	}
	return list
}

// take performs a choice, if it is possible.
func (w *world) take(choice Choice, waiting, late []*call) error {
	switch choice.Move {
	case Pause:
		time.Sleep(choice.By)
		return w.record(&Event{Kind: Paused, By: choice.By})
	case Jump:
		return w.jump(choice)
	case Arrive:
		if c := find(late, choice); c != nil {
			return w.arrive(c)
		}
	case Step:
		if c := find(waiting, choice); c != nil {
			at := Pending{Request: c.request, Held: c.held, Copied: c.copied}
			switch {
			case !at.canMeet(choice.Fault):
			case c.held:
				return w.release(c, choice.Fault)
			default:
				return w.step(c, choice.Fault)
			}
		}
	}
	w.history.Skipped++
	return nil
}

func find(calls []*call, choice Choice) *call {
	n := 0
	for _, c := range calls {
		if c.process.name != choice.Process {
			continue
		}
		if n == choice.Nth {
			return c
		}
		n++
	}
	return nil
}

func (w *world) jump(choice Choice) error {
	for _, p := range w.lives {
		if p.name == choice.Process {
			w.mu.Lock()
			p.skew += choice.By
			w.mu.Unlock()
			return w.record(&Event{Kind: Jumped, Process: p.name, Life: p.life, By: choice.By})
		}
	}
	w.history.Skipped++
	return nil
}

// arrive lets a late write take effect, without an answer.
func (w *world) arrive(c *call) error {
	effect := perform(context.Background(), w.Store, c.request)
	w.mu.Lock()
	w.late = without(w.late, c)
	w.mu.Unlock()
	return w.record(w.event(Arrived, c, Fault{}, &effect, nil))
}

// release delivers a held answer to its caller, or loses it.
func (w *world) release(c *call, f Fault) error {
	told := &c.reply
	if f.Answer != Own {
		told = &Reply{Err: f.Answer.err(c.request)}
	}
	return w.finish(c, f, nil, told)
}

// step lets a request take effect, and answers it, as the fault says.
func (w *world) step(c *call, f Fault) error {
	var effect *Reply
	if f.Effect == Now || f.Effect == Again || f.Effect == Copy {
		effect = new(shaped(context.Background(), w.Store, c.request, f.Answer))
	}
	if f.Effect == Later || f.Effect == Again {
		w.mu.Lock()
		w.late = append(w.late, c)
		w.mu.Unlock()
	}
	switch {
	case f.Effect == Copy:
		c.copied = true
		return w.record(w.event(Stepped, c, f, effect, nil))
	case f.Answer == Held:
		w.mu.Lock()
		c.held, c.reply = true, *effect
		w.mu.Unlock()
		return w.record(w.event(Stepped, c, f, effect, nil))
	case f.Answer == Own || f.Answer >= Short:
		return w.finish(c, f, effect, effect)
	default:
		return w.finish(c, f, effect, &Reply{Err: f.Answer.err(c.request)})
	}
}

// finish records the outcome of a request and answers its caller.
func (w *world) finish(c *call, f Fault, effect, told *Reply) error {
	e := w.event(Stepped, c, f, effect, told)
	if f.Answer == Crashed {
		e.Told = nil
	}
	err := w.record(e)
	switch f.Answer {
	case Crashed:
		w.kill(c.process)
	case Cancelled:
		w.cancel(c, *told)
	default:
		w.reply(c, *told)
	}
	return err
}

func (w *world) event(kind EventKind, c *call, f Fault, effect, told *Reply) *Event {
	return &Event{
		Kind: kind, Process: c.process.name, Life: c.process.life, What: c.name(),
		Request: c.request, Twin: c.twin, Fault: f, Effect: effect, Told: told,
	}
}

// reply answers a request that waits.
func (w *world) reply(c *call, reply Reply) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = without(w.waiting, c)
	c.reply, c.replied = reply, true
	close(c.done)
}

// cancel ends the context of the call that a request belongs to, and answers the request.
// The context ends first: otherwise the program could run on for a moment in which the
// request has failed and the context has not ended, and would do so in some runs only.
func (w *world) cancel(c *call, reply Reply) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = without(w.waiting, c)
	c.reply, c.replied = reply, true
	if c.doing != nil {
		c.doing.cancel()
	}
	close(c.done)
}

// abandon answers a request whose context has ended. If it is a write that has not
// reached the store, it may still do so.
func (w *world) abandon(c *call, cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.replied {
		return
	}
	w.waiting = without(w.waiting, c)
	c.reply, c.replied = Reply{Err: c.request.failed(cause)}, true
	if c.request.Writes() && !c.held {
		w.late = append(w.late, c)
	}
}

// kill ends a process at once: its later requests have no effect, and its code is made to
// return.
func (w *world) kill(p *Process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.dead = true
	w.waiting = slices.DeleteFunc(w.waiting, func(c *call) bool {
		if c.process != p {
			return false
		}
		c.reply, c.replied = Reply{Err: Crashed.err(c.request)}, true
		close(c.done)
		return true
	})
	w.notes = slices.DeleteFunc(w.notes, func(n *note) bool {
		if n.process != p {
			return false
		}
		close(n.done)
		return true
	})
	p.cancel()
}

// shutDown ends every process and waits for its goroutine.
func (w *world) shutDown() {
	for _, p := range w.lives {
		w.kill(p)
	}
	for _, p := range w.lives {
		<-p.ended
	}
}

func without(calls []*call, c *call) []*call {
	if i := slices.Index(calls, c); i >= 0 {
		return slices.Delete(calls, i, i+1)
	}
	return calls
}
