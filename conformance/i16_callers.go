package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// I16: the writes of one key by one caller are in the log in the order in which
// it made them.
var callerChecks = clause("I16",
	check{
		name: "order-of-each-caller", cost: cost{fixed: 200 + 2*batchCallers*callerWrites*30},
		title: "the writes of one key by one caller of a client that batches are in the log in their order",
		run:   func(ctx context.Context, e *env) error { return e.callersInOrder(ctx, false) },
	},
	check{
		name: "order-of-callers-that-give-up", cost: cost{fixed: 200 + 2*batchCallers*callerWrites*30},
		title: "the writes of one key by one caller are in the log in their order, even if it gives up some while a batch is on its way",
		run:   func(ctx context.Context, e *env) error { return e.callersInOrder(ctx, true) },
	},
)

const callerWrites = 8 // of each caller

// callersInOrder has the callers of two clients set by turns a key of their own
// and one that they share. If they give up, some of their writes end while a
// version of the log is on its way, which may hold them or not.
func (e *env) callersInOrder(ctx context.Context, giveUp bool) error {
	const clients = 2
	l := &ledger{}
	made := make([][]string, clients*batchCallers) // values, by caller
	stores := make([]*impatience, clients)
	for i := range stores {
		stores[i] = &impatience{VersionedStore: e.stores[i], rand: rand.New(rand.NewPCG(e.rand.Uint64(), 0))}
	}
	err := together(clients, func(i int) error {
		return throughOne(ctx, stores[i], batching(i), batchCallers, func(c *client, n int) error {
			caller := i*batchCallers + n
			for n := range callerWrites {
				key := []string{fmt.Sprintf("key-%d", caller), fmt.Sprintf("shared-%d", caller%3)}[n%2]
				value := fmt.Sprintf("caller %d, write %d", caller, n)
				made[caller] = append(made[caller], value)
				during, cancel := context.WithCancel(ctx)
				if giveUp && n%3 > 0 {
					stores[i].endsWithLog(cancel)
				}
				err := l.set(during, c, key, value)
				cancel()
				if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, immukv.ErrOutcomeUnknown) {
					return unlike("a write to commit, unless its caller gives up", "%v", err)
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	if err := sound(ctx, e.stores[0], "", l); err != nil {
		return err
	}
	return inOrder(ctx, e.stores[1], made)
}

// inOrder checks that those values of each caller that are in the log are there
// in the order in which it wrote them.
func inOrder(ctx context.Context, s backend.VersionedStore, made [][]string) error {
	log, err := logOf(ctx, s)
	if err != nil {
		return err
	}
	places := make(map[string]int64)
	for _, e := range log {
		places[e.Value] = e.Sequence
	}
	for _, values := range made {
		last, before := int64(-1), ""
		for _, value := range values {
			at, there := places[value]
			if !there {
				continue
			}
			if at < last {
				return unlike(fmt.Sprintf("%q to precede %q in the log", before, value), "the former at %d and the latter at %d", last, at)
			}
			last, before = at, value
		}
	}
	return nil
}

// impatience is a store during whose writes of the log callers give up.
type impatience struct {
	backend.VersionedStore

	mu      sync.Mutex
	rand    *rand.Rand
	cancels []context.CancelFunc
}

// endsWithLog registers a context that ends at some later write of the log: before
// it, or when it was answered.
func (s *impatience) endsWithLog(cancel context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancels = append(s.cancels, cancel)
}

// end ends some of the contexts, and keeps the others.
func (s *impatience) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keep []context.CancelFunc
	for _, cancel := range s.cancels {
		if s.rand.IntN(3) == 0 {
			keep = append(keep, cancel)
			continue
		}
		cancel()
	}
	s.cancels = keep
}

func (s *impatience) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if name != "_log.json" {
		return s.VersionedStore.Put(ctx, name, body, cond)
	}
	s.end()
	v, err := s.VersionedStore.Put(ctx, name, body, cond)
	s.end()
	return v, err
}
