package sim

import (
	"io"
	"math/rand/v2"
	"slices"
	"time"
)

// Source makes the choices of a history.
type Source interface {
	// Next returns the next choice. After io.EOF, processes continue without faults, one
	// after another; any other error ends the history. A choice that is not possible is
	// skipped.
	Next(*Point) (Choice, error)
}

// Point is a moment at which every process waits for a choice.
type Point struct {
	// Waiting are the waiting requests and the held answers, sorted by process and
	// request. It is empty when all programs have ended.
	Waiting []Pending
	// Late are the writes that were answered and can still arrive.
	Late []Pending
}

// Pending is a request that the scheduler can choose.
type Pending struct {
	Process string
	Nth     int // among those of the process in the same list, from 0
	Request *Request
	Held    bool // it took effect, and its answer is held
	Copied  bool // a copy of it took effect
	// Holds reports, for a write that has not taken effect, whether its condition holds
	// now. If it does not, it never will again, unless tags recur.
	Holds bool
}

// Replay returns a source that follows a schedule.
func Replay(s Schedule) Source { return &replay{s} }

type replay struct{ rest Schedule }

func (r *replay) Next(*Point) (Choice, error) {
	if len(r.rest) == 0 {
		return Choice{}, io.EOF
	}
	c := r.rest[0]
	r.rest = r.rest[1:]
	return c, nil
}

// Drawn is a source that draws every choice at random. Its faults include outages, in
// which a process loses many requests in a row, pauses, and clocks that jump.
type Drawn struct {
	// Draw returns a number from 0 to n-1. Smaller numbers mean simpler choices: 0 is the
	// first process and no fault.
	Draw func(n int) int
	// Steps is how many choices are drawn; after them, processes continue without faults.
	Steps int
	// OneIn is how rare a fault is: 0 for none, 1 for one at every step.
	OneIn int
	// Faults lists the faults that a request may meet; nil means all that fit.
	Faults func(Pending) []Fault

	outages map[string]int // how many more requests of the process are lost
}

// Seeded draws from a generator with the given seed.
func Seeded(seed uint64) func(n int) int {
	return rand.New(rand.NewPCG(seed, 0)).IntN
}

// Pauses and jumps that are drawn: some too short to matter, some longer than any
// interval of a client, and clocks that are set back.
var (
	pauses = []time.Duration{time.Second, 6 * time.Minute}
	jumps  = []time.Duration{time.Millisecond, time.Hour, -time.Hour, -365 * 24 * time.Hour}
)

// Next implements [Source].
func (d *Drawn) Next(p *Point) (Choice, error) {
	if d.Steps <= 0 {
		return Choice{}, io.EOF
	}
	d.Steps--
	n := len(p.Waiting) + len(p.Late)
	if n == 0 {
		return Choice{}, io.EOF
	}
	fault := d.OneIn > 0 && d.Draw(d.OneIn) == d.OneIn-1
	i := d.Draw(n)
	if i >= len(p.Waiting) {
		late := p.Late[i-len(p.Waiting)]
		return Choice{Move: Arrive, Process: late.Process, Nth: late.Nth}, nil
	}
	at := p.Waiting[i]
	c := Choice{Process: at.Process, Nth: at.Nth}
	switch {
	case d.outages[at.Process] > 0 && !at.Held:
		d.outages[at.Process]--
		c.Fault = d.lost(at)
	case fault:
		return d.fault(c, at), nil
	}
	return c, nil
}

// maxOutage is the largest number of requests that a process loses in a row: more than a
// client is likely to try.
const maxOutage = 25

// lost draws the way in which a request is lost.
func (d *Drawn) lost(at Pending) Fault {
	effects := []Effect{Never, Now, Later}
	if !at.Request.Writes() {
		effects = effects[:1]
	}
	return Fault{effects[d.Draw(len(effects))], Lost}
}

// fault draws a fault for the chosen request, or something else in its place: of thirteen
// times, an outage begins once, time passes once, and a clock jumps once. The smallest
// numbers are for the request, which is simpler.
func (d *Drawn) fault(c Choice, at Pending) Choice {
	switch d.Draw(13) {
	case 9:
		if d.outages == nil {
			d.outages = make(map[string]int)
		}
		d.outages[at.Process] = 1 + d.Draw(maxOutage)
		return c
	case 10:
		return Choice{Move: Pause, By: pauses[d.Draw(len(pauses))]}
	case 11:
		return Choice{Move: Jump, Process: c.Process, By: jumps[d.Draw(len(jumps))]}
	}
	meets := at.Faults
	if d.Faults != nil {
		meets = func() []Fault { return d.Faults(at) }
	}
	if faults := meets(); len(faults) > 0 {
		c.Fault = faults[d.Draw(len(faults))]
	}
	return c
}

// Faults lists the faults that the request can meet, or that its held answer can.
func (p Pending) Faults() []Fault {
	return slices.DeleteFunc(Faults(p.Request.Op), func(f Fault) bool { return !p.canMeet(f) })
}

func (p Pending) canMeet(f Fault) bool {
	switch {
	case p.Held:
		return f.fitsHeld()
	case p.Copied && f.Answer >= InvalidName && f.Answer <= Damaged:
		return false // its copy was not rejected for its content or its name
	default:
		return f.fits(p.Request.Op)
	}
}
