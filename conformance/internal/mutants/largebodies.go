package mutants

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/immukv/immukv-go/backend"
)

// large is the size of the smallest body that these mutants mishandle, part the
// size of what they move at once.
const (
	large = 64 << 10
	part  = 16 << 10
	// syncTime is how long a disk takes to make a file durable.
	syncTime = 3 * time.Millisecond
)

// spooling makes a store that copies large bodies to a buffer that all writes
// share, and back. Spool does that; share guards the buffer.
func spooling(spool func(ctx context.Context, share *sync.Mutex, shared *[]byte, body []byte) []byte) mutation {
	return shared(func(w *world, h *handle) {
		var mu sync.Mutex
		var held []byte
		honest := h.put
		h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
			if len(body) >= large && len(body) <= maxBody {
				body = spool(ctx, &mu, &held, body)
			}
			return honest(ctx, name, body, cond)
		}
	})
}

// meeting makes concurrent writes of one object overlap, however slowly the machine
// runs them.
type meeting struct {
	mu    sync.Mutex
	alone map[string]chan struct{} // by object, of a write that waits; closed when another begins
}

// meetingTime is how long a write waits for another one.
const meetingTime = 100 * time.Millisecond

func newMeeting() *meeting { return &meeting{alone: make(map[string]chan struct{})} }

// wait waits until another write of the object comes, which lets the first one run
// first. It does not wait for long, because a write may be alone.
func (m *meeting) wait(name string) {
	met := make(chan struct{})
	m.mu.Lock()
	first, second := m.alone[name]
	if second {
		delete(m.alone, name)
		close(first)
	} else {
		m.alone[name] = met
	}
	m.mu.Unlock()
	if second {
		dawdle()
		return
	}
	select {
	case <-met:
	case <-time.After(meetingTime):
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.alone[name] == met {
			delete(m.alone, name)
		}
	}
}

var largeBodyMutants = []Mutant{
	{
		Name: "large-mixed-up", Clause: "S13",
		Habit: "has one buffer for large bodies, so that of two writes under way at once one gets the other's body",
		mutate: spooling(func(ctx context.Context, share *sync.Mutex, shared *[]byte, body []byte) []byte {
			share.Lock()
			*shared = bytes.Clone(body)
			share.Unlock()
			_ = delay(ctx)
			share.Lock()
			defer share.Unlock()
			return *shared
		}),
	},
	{
		Name: "large-interleaved", Clause: "S13",
		Habit: "writes large bodies part by part to one file, in which the parts of two writes mix",
		mutate: spooling(func(ctx context.Context, share *sync.Mutex, shared *[]byte, body []byte) []byte {
			for from := 0; from < len(body); from += part {
				share.Lock()
				if missing := len(body) - len(*shared); missing > 0 {
					*shared = append(*shared, make([]byte, missing)...)
				}
				copy((*shared)[from:], body[from:min(from+part, len(body))])
				share.Unlock()
				dawdle()
			}
			share.Lock()
			defer share.Unlock()
			return bytes.Clone((*shared)[:len(body)])
		}),
	},
	{
		Name: "large-raced", Clause: "S13",
		Habit: "writes large bodies to a file named for the object, so that the write that wins a race gets the body of another",
		mutate: shared(func(w *world, h *handle) {
			var spools sync.Map // of bodies, by object
			writes := newMeeting()
			honest := h.put
			h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				if len(body) >= large && len(body) <= maxBody {
					spools.Store(name, body)
					writes.wait(name)
					spooled, _ := spools.Load(name)
					body = spooled.([]byte)
				}
				return honest(ctx, name, body, cond)
			}
		}),
	},
	{
		Name: "large-cut", Clause: "S13",
		Habit: "has room for one large body at a time, and truncates a second one",
		mutate: shared(func(w *world, h *handle) {
			var under atomic.Int64
			honest := h.put
			h.put = func(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
				if len(body) < large || len(body) > maxBody {
					return honest(ctx, name, body, cond)
				}
				defer under.Add(-1)
				if under.Add(1) > 1 {
					body = body[:len(body)-part]
				}
				_ = delay(ctx)
				return honest(ctx, name, body, cond)
			}
		}),
	},
	{
		Name: "large-reads-mixed-up", Clause: "S13",
		Habit: "reads large bodies into one buffer, so that of two reads under way at once one gets the other's body",
		mutate: shared(func(w *world, h *handle) {
			var mu sync.Mutex
			var held []byte
			read := func(ctx context.Context, o backend.Object, err error) (backend.Object, error) {
				if err != nil || len(o.Body) < large {
					return o, err
				}
				mu.Lock()
				held = o.Body
				mu.Unlock()
				_ = delay(ctx)
				mu.Lock()
				defer mu.Unlock()
				o.Body = bytes.Clone(held)
				return o, nil
			}
			h.get = func(ctx context.Context, name string) (backend.Object, error) {
				o, err := w.Get(ctx, name)
				return read(ctx, o, err)
			}
			h.getVersion = func(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
				o, err := w.GetVersion(ctx, name, id)
				return read(ctx, o, err)
			}
		}),
	},
}
