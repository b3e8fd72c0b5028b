package sim

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Explorer visits every history of a small world once. Of equivalent histories, which no
// process can distinguish, it visits one. Histories are equivalent if they differ only in
// the order of adjacent requests of different processes that do not use the same object,
// or one of which is a write that fails in either order. They are also equivalent if they
// differ only in whether a write arrives late without effect, never arrives, or was lost.
type Explorer struct {
	// Faults lists the faults that a request may meet, besides no fault; nil means none.
	// Held answers, pauses and jumps are not explored.
	Faults func(Pending) []Fault
	// Budget is how many faults there can be in one history.
	Budget int
	// Workers is how many histories are made at a time.
	Workers int
	// All makes it visit equivalent histories, too.
	All bool
}

// Coverage is what an exploration visited.
type Coverage struct {
	// Histories is the number of complete, distinct histories: no two have the same hash.
	Histories int
	// Cut is the number of histories that were abandoned because every continuation was
	// equivalent to a visited one.
	Cut int
	// Steps is the number of choices in all histories, Longest that of the longest one.
	Steps, Longest int
	// Faults is how often each fault was met.
	Faults map[Fault]int
}

// Add adds the coverage of another exploration.
func (c *Coverage) Add(d Coverage) {
	c.Histories += d.Histories
	c.Cut += d.Cut
	c.Steps += d.Steps
	c.Longest = max(c.Longest, d.Longest)
	if c.Faults == nil {
		c.Faults = make(map[Fault]int)
	}
	for f, n := range d.Faults {
		c.Faults[f] += n
	}
}

// Explore makes all histories by calling run, which must make one with the given source,
// always in the same way. It ends at the first history with an error, and returns that
// history.
func (x Explorer) Explore(t *testing.T, run func(*testing.T, Source) *History) (Coverage, *History) {
	s := &search{explorer: x, seen: make(map[uint64]struct{}), todo: []*branch{{}}}
	s.changed.L = &s.mu
	s.coverage.Faults = make(map[Fault]int)
	var workers sync.WaitGroup
	for range max(1, x.Workers) {
		workers.Go(func() {
			for b := s.next(); b != nil; b = s.next() {
				w := &walk{explorer: x, path: b.path(), at: b, sleep: b.sleep}
				s.done(w, run(t, w))
			}
		})
	}
	workers.Wait()
	return s.coverage, s.failed
}

// search is the shared state of the workers of an exploration.
type search struct {
	explorer Explorer

	mu       sync.Mutex
	changed  sync.Cond
	todo     []*branch // the last is next: depth first, to keep few
	busy     int
	seen     map[uint64]struct{}
	coverage Coverage
	failed   *History
}

// next returns a branch to follow, or nil when there is none and will be none.
func (s *search) next() *branch {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.todo) == 0 && s.busy > 0 && s.failed == nil {
		s.changed.Wait()
	}
	if len(s.todo) == 0 || s.failed != nil {
		return nil
	}
	b := s.todo[len(s.todo)-1]
	s.todo = s.todo[:len(s.todo)-1]
	s.busy++
	return b
}

func (s *search) done(w *walk, h *History) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.changed.Broadcast()
	s.busy--
	for _, b := range slices.Backward(w.found) {
		s.todo = append(s.todo, b)
	}
	if errors.Is(h.Err, errSeen) {
		s.coverage.Cut++
		return
	}
	sum := h.Hash()
	key := binary.LittleEndian.Uint64(sum[:])
	if _, twice := s.seen[key]; twice && h.Err == nil {
		h.Err = errors.New("the explorer made this history twice")
	}
	if h.Skipped > 0 && h.Err == nil {
		h.Err = errors.New("the history did not repeat: a choice that was possible before no longer is")
	}
	if h.Err != nil && s.failed == nil {
		s.failed = h
	}
	s.seen[key] = struct{}{}
	s.coverage.Add(Coverage{Histories: 1, Steps: len(h.Schedule), Longest: len(h.Schedule), Faults: h.Faults()})
}

// branch is a choice to be made after those of its parents. The root has none.
type branch struct {
	parent *branch
	choice Choice
	depth  int
	sleep  []move // asleep after the choice
}

func (b *branch) path() []Choice {
	path := make([]Choice, b.depth)
	for ; b.parent != nil; b = b.parent {
		path[b.depth-1] = b.choice
	}
	return path
}

// move is a choice with what it touches.
type move struct {
	Choice
	object string
	writes bool
	all    bool // object is the prefix of all objects touched
}

// walk is the source of one history of an exploration. It follows a branch to its end.
// Then it always takes the first choice that is awake, and adds the others as branches
// for later.
//
// A choice falls asleep when it has been taken, for all that is visited later from the
// same point. It wakes when a choice is taken that it depends on: until then, taking it
// leads to visited histories. These are the sleep sets of Godefroid, "Partial-Order
// Methods for the Verification of Concurrent Systems".
type walk struct {
	explorer Explorer
	path     []Choice
	taken    int // of path
	at       *branch
	sleep    []move
	spent    int // faults
	found    []*branch
}

var errSeen = errors.New("all continuations have been visited")

// Next implements [Source].
func (w *walk) Next(p *Point) (Choice, error) {
	if w.taken < len(w.path) {
		c := w.path[w.taken]
		w.taken++
		w.spend(c)
		return c, nil
	}
	moves := w.moves(p)
	first := -1
	for i, m := range moves {
		if asleep(w.sleep, m) {
			continue
		}
		if first < 0 && len(p.Waiting) > 0 {
			first = i
			continue
		}
		b := &branch{parent: w.at, choice: m.Choice, depth: w.at.depth + 1}
		b.sleep = w.sleepAfter(m, moves[:i])
		w.found = append(w.found, b)
	}
	switch {
	case len(p.Waiting) == 0:
		return Choice{}, io.EOF
	case first < 0:
		return Choice{}, errSeen
	}
	m := moves[first]
	w.sleep = w.sleepAfter(m, moves[:first])
	w.at = &branch{parent: w.at, choice: m.Choice, depth: w.at.depth + 1}
	w.spend(m.Choice)
	return m.Choice, nil
}

func (w *walk) spend(c Choice) {
	if c.Fault != (Fault{}) {
		w.spent++
	}
}

// moves lists the possible choices: first those without a fault, then faults, then late
// arrivals.
func (w *walk) moves(p *Point) []move {
	var moves []move
	for _, at := range p.Waiting {
		moves = append(moves, step(at, Fault{}))
	}
	if w.spent < w.explorer.Budget {
		for _, at := range p.Waiting {
			for _, f := range w.explorer.faults(at) {
				moves = append(moves, step(at, f))
			}
		}
	}
	for i, at := range p.Late {
		if !at.Holds && !w.explorer.All {
			continue
		}
		if i > 0 && at.Process == p.Late[i-1].Process && at.Request.compare(p.Late[i-1].Request) == 0 {
			continue // a copy of the one before it, for which no caller waits
		}
		c := Choice{Move: Arrive, Process: at.Process, Nth: at.Nth}
		moves = append(moves, move{Choice: c, object: at.Request.Name, writes: true})
	}
	return moves
}

// faults returns the faults that lead to distinct histories.
func (x Explorer) faults(at Pending) []Fault {
	if x.Faults == nil {
		return nil
	}
	all := slices.DeleteFunc(slices.Clone(x.Faults(at)), func(f Fault) bool {
		return f.Answer == Held || f == (Fault{}) || !at.canMeet(f)
	})
	if x.All {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(f Fault) bool {
		return f.Effect == Never && slices.Contains(all, Fault{Later, f.Answer})
	})
}

func step(at Pending, f Fault) move {
	m := move{Choice: Choice{Process: at.Process, Nth: at.Nth, Fault: f}}
	if f.Effect == Never || f.Effect == Later || f.Answer == Hollow {
		return m
	}
	switch at.Request.Op {
	case OpGetVersion: // of what never changes
	case OpPut:
		// A write whose condition does not hold changes nothing at any time.
		if at.Holds {
			m.object, m.writes = at.Request.Name, true
		}
	case OpListNames:
		m.object, m.all = at.Request.Name, true
	default:
		m.object = at.Request.Name
	}
	return m
}

func asleep(sleep []move, m move) bool {
	for _, s := range sleep {
		if s.Choice == m.Choice {
			return true
		}
	}
	return false
}

// sleepAfter returns the choices that are asleep after m: of those asleep before, and of
// those taken from the same point, all that do not depend on m.
func (w *walk) sleepAfter(m move, taken []move) []move {
	if w.explorer.All {
		return nil
	}
	var after []move
	for _, list := range [][]move{w.sleep, taken} {
		for _, s := range list {
			if !s.dependsOn(m) && !asleep(after, s) {
				after = append(after, s)
			}
		}
	}
	return after
}

// dependsOn reports whether the order of two choices matters. It does for those of one
// process. It also does for a late write of a process and any later request of that
// process, because the history must show whether the earlier answer was true.
func (m move) dependsOn(n move) bool {
	if m.Process == n.Process {
		return true
	}
	if !m.writes && !n.writes {
		return false
	}
	switch {
	case m.all:
		return strings.HasPrefix(n.object, m.object)
	case n.all:
		return strings.HasPrefix(m.object, n.object)
	default:
		return m.object == n.object
	}
}
