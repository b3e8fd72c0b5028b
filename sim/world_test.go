package sim_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/sim"
)

const counter = "counter"

// increment adds one to a number in the store, as often as it takes to win, and
// returns what it made of it.
func increment(ctx context.Context, store backend.VersionedStore) (int, error) {
	for {
		n, cond := 0, backend.IfAbsent()
		o, err := store.Get(ctx, counter)
		if err == nil {
			n, _ = strconv.Atoi(string(o.Body))
			cond = backend.IfMatch(o.ETag)
		} else if !errors.Is(err, backend.ErrNotFound) {
			return 0, err
		}
		_, err = store.Put(ctx, counter, []byte(strconv.Itoa(n+1)), cond)
		if !errors.Is(err, backend.ErrPreconditionFailed) {
			return n + 1, err
		}
		time.Sleep(time.Millisecond)
	}
}

// incrementer is a program that increments the number once, and again in each
// further life.
func incrementer(name string) sim.Program {
	return sim.Program{Name: name, Run: func(p *sim.Process) {
		_, _ = p.Do("increment", func(ctx context.Context) (any, error) { return increment(ctx, p.Store()) })
	}}
}

func schedule(t *testing.T, text string) sim.Source {
	t.Helper()
	s, err := sim.ParseSchedule(text)
	if err != nil {
		t.Fatal(err)
	}
	return sim.Replay(s)
}

// ends tells how the calls of a history ended, in their order.
func ends(h *sim.History) string {
	var words []string
	for _, e := range h.Events {
		switch {
		case e.Kind == sim.Ended && e.Err == nil:
			words = append(words, fmt.Sprintf("%s=%v", e.Process, e.Detail))
		case e.Kind == sim.Ended:
			words = append(words, e.Process+"!")
		case e.Kind == sim.Restarted:
			words = append(words, e.Process+"+")
		}
	}
	return strings.Join(words, " ")
}

// versions is how many versions the counter has.
func versions(store *memstore.Store) int {
	for _, o := range store.Dump().Objects {
		return len(o.Versions)
	}
	return 0
}

func TestScheduleDecides(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		schedule string
		ends     string
		versions int
	}{
		{"", "a=1 b=2", 2},
		{"b b a a", "b=1 a=2", 2},
		{"a b a b", "a=1 b=2", 2},
		{"a:never/lost", "a! b=1", 1},
		{"a a:never/lost", "a! b=1", 1},
		{"a a:now/lost", "a! b=2", 2},
		{"a a:later/lost", "a! b=1", 1},
		{"a a:later/lost a~", "a! b=2", 2},
		{"a a:later/lost b b a~", "a! b=1", 1},
		{"a a:again/own a~", "a=1 b=2", 2},
		{"a a:copy/own a", "a=2 b=3", 3},
		{"a a:now/precondition", "a=2 b=3", 3},
		{"a a:never/precondition", "a=1 b=2", 2},
		{"a a:now/denied", "a! b=2", 2},
		{"a a:never/unavailable", "a! b=1", 1},
		{"a a:now/unsupported", "a! b=2", 2},
		{"a a:never/too-large", "a! b=1", 1},
		{"a a:never/damaged", "a! b=1", 1},
		{"a a:never/invalid-name", "a! b=1", 1},
		{"a:never/cancelled", "a! b=1", 1},
		{"a a:now/cancelled", "a! b=2", 2},
		{"a a:later/cancelled a~", "a! b=2", 2},
		{"a:never/crashed", "a+ a=1 b=2", 2},
		{"a a:never/crashed", "a+ a=1 b=2", 2},
		{"a a:now/crashed", "a+ a=2 b=3", 3},
		{"a a:later/crashed a~", "a+ a=2 b=3", 3},
		{"a a:later/crashed a a a~", "a+ a=1 b=2", 2},
		{"a a:now/held b b a", "b=2 a=1", 2},
		{"a a:now/held a:now/lost", "a! b=2", 2},
		{"a a:now/held a:now/cancelled", "a! b=2", 2},
		{"a a:now/held a:now/crashed", "a+ a=2 b=3", 3},
		{"a:now/held b b a", "b=1 a=2", 2},
	} {
		t.Run(test.schedule, func(t *testing.T) {
			store := memstore.New()
			h := sim.Run(t, sim.Config{
				Store:    store,
				Programs: []sim.Program{incrementer("a"), incrementer("b")},
				Source:   schedule(t, test.schedule),
			})
			if h.Err != nil {
				t.Fatal(h.Err)
			}
			if got := ends(h); got != test.ends || h.Skipped > 0 {
				t.Errorf("calls ended %q, want %q; %d choices skipped", got, test.ends, h.Skipped)
			}
			if got := versions(store); got != test.versions {
				t.Errorf("the counter has %d versions, want %d", got, test.versions)
			}
		})
	}
}

func TestImpossibleChoicesAreSkipped(t *testing.T) {
	t.Parallel()
	h := sim.Run(t, sim.Config{
		Store:    memstore.New(),
		Programs: []sim.Program{incrementer("a")},
		Source:   schedule(t, "b a.2 a~ b@1s a:now/short a:later/lost a:now/held a:now/denied a"),
	})
	if h.Err != nil || h.Skipped != 7 || ends(h) != "a=1" {
		t.Errorf("skipped %d, want 7; calls ended %q; error %v", h.Skipped, ends(h), h.Err)
	}
}

func TestListingsAreShaped(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	cond := backend.IfAbsent()
	for i := range 4 {
		v, err := store.Put(t.Context(), "x", []byte{byte(i)}, cond)
		if err != nil {
			t.Fatal(err)
		}
		cond = backend.IfMatch(v.ETag)
	}
	list := func(p *sim.Process) {
		_, _ = p.Do("list", func(ctx context.Context) (any, error) {
			var sizes []int
			var order string
			req := backend.VersionsRequest{}
			for {
				page, err := p.Store().ListVersions(ctx, "x", req)
				if err != nil {
					return nil, err
				}
				sizes = append(sizes, len(page.Versions))
				for _, v := range page.Versions {
					o, err := store.GetVersion(ctx, "x", v.ID)
					if err != nil {
						return nil, err
					}
					order += string('0' + o.Body[0])
				}
				if page.Next == "" {
					return fmt.Sprint(sizes, " ", order), nil
				}
				req.Token = page.Next
			}
		})
	}
	for _, test := range []struct{ schedule, want string }{
		{"a", "a=[4] 3210"},
		{"a:now/disordered", "a=[4] 1230"},
		{"a:now/short a:now/short a", "a=[1 1 2] 3210"},
		{"a:now/hollow a:now/hollow a:now/short a:now/hollow a", "a=[0 0 1 0 3] 3210"},
		{"a:now/short a:now/disordered", "a=[1 3] 3012"},
	} {
		h := sim.Run(t, sim.Config{Store: store, Programs: []sim.Program{{Name: "a", Run: list}}, Source: schedule(t, test.schedule)})
		if got := ends(h); got != test.want || h.Err != nil {
			t.Errorf("%s: listed %q, want %q; error %v", test.schedule, got, test.want, h.Err)
		}
	}
}

func TestTimeIsVirtual(t *testing.T) {
	t.Parallel()
	var seen []time.Duration
	program := sim.Program{Name: "a", Run: func(p *sim.Process) {
		start, local := time.Now(), p.Now()
		_, _ = p.Store().Head(p.Context(), "x")
		time.Sleep(time.Hour)
		seen = append(seen, time.Since(start), p.Now().Sub(local))
	}}
	h := sim.Run(t, sim.Config{
		Store: memstore.New(), Programs: []sim.Program{program}, Source: schedule(t, "pause=10m a@-3h a"),
	})
	if h.Err != nil || len(seen) != 2 || seen[0] != 70*time.Minute || seen[1] != 70*time.Minute-3*time.Hour {
		t.Errorf("timers saw %v pass and the clock %v; error %v", seen[0], seen[1], h.Err)
	}
}

func TestObserverEndsHistory(t *testing.T) {
	t.Parallel()
	found := errors.New("found")
	for kind := sim.Began; kind <= sim.Jumped; kind++ {
		finally := false
		h := sim.Run(t, sim.Config{
			Store:    memstore.New(),
			Programs: []sim.Program{incrementer("a"), incrementer("b")},
			Source:   schedule(t, "a a:later/crashed a~ pause=1s a@1s a"),
			Observe: func(e *sim.Event) error {
				if e.Kind == kind {
					return found
				}
				return nil
			},
			Finally: func(context.Context) error { finally = true; return nil },
		})
		if !errors.Is(h.Err, found) || finally {
			t.Errorf("observer found something at event kind %d: history's error is %v, finally=%t", kind, h.Err, finally)
		}
	}
}

func TestHistoriesThatDoNotEnd(t *testing.T) {
	t.Parallel()
	stuck := sim.Program{Name: "a", Run: func(p *sim.Process) { <-p.Context().Done() }}
	busy := sim.Program{Name: "a", Run: func(p *sim.Process) {
		for p.Context().Err() == nil {
			_, _ = p.Store().Head(p.Context(), "x")
		}
	}}
	for want, program := range map[string]sim.Program{"is stuck": stuck, "does not end": busy} {
		h := sim.Run(t, sim.Config{Store: memstore.New(), Programs: []sim.Program{program}, Source: sim.Replay(nil), MaxSteps: 100})
		if h.Err == nil || !strings.Contains(h.Err.Error(), want) {
			t.Errorf("error is %v, want one that says %q", h.Err, want)
		}
	}
}

// Equal requests that two goroutines of a process make at the same time are
// distinguished by their place in the code, so that a choice among them means the same
// every time.
func TestEqualRequestsAreToldApart(t *testing.T) {
	t.Parallel()
	run := func() [2]bool {
		var failed [2]bool
		program := sim.Program{Name: "a", Run: func(p *sim.Process) {
			done := make(chan bool)
			go func() {
				_, err := p.Store().Head(p.Context(), "x")
				failed[0] = errors.Is(err, backend.ErrAccessDenied)
				done <- true
			}()
			_, err := p.Store().Head(p.Context(), "x")
			failed[1] = errors.Is(err, backend.ErrAccessDenied)
			<-done
		}}
		sim.Run(t, sim.Config{Store: memstore.New(), Programs: []sim.Program{program}, Source: schedule(t, "a.2:never/denied")})
		return failed
	}
	first := run()
	if first[0] == first[1] {
		t.Fatalf("one of two requests should have been denied: %v", first)
	}
	for range 100 {
		if again := run(); again != first {
			t.Fatalf("the same choice met first %v and then %v", first, again)
		}
	}
}
