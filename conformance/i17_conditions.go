package conformance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/sim"
)

// I17: a conditional write is in the log only after a state in which its
// condition held.
var conditionChecks = clause("I17",
	check{
		name: "one-is-first", handles: 4, cost: cost{fixed: 100, perRound: conditionalClients * 25},
		title: "of eight clients that set a key if it is absent, one succeeds, and the errors of the others have its entry",
		run:   func(ctx context.Context, e *env) error { return e.oneIsFirst(ctx, "key") },
	},
	check{
		name: "one-batch-is-first", handles: 4, cost: cost{fixed: 200, perRound: conditionalClients * 60},
		title: "of eight clients that set the same keys in a batch if they are absent, one succeeds with all, and the others with none",
		run:   func(ctx context.Context, e *env) error { return e.oneIsFirst(ctx, batchKeys...) },
	},
	check{
		name: "counter", cost: cost{fixed: 200 + 2*counters*counters*counts*counts},
		title: "clients that raise a number with Update, some of which batch, lose no count",
		run:   checkUpdates,
	},
	check{
		name: "own-lost-answers", cost: cost{fixed: 3000},
		title: "a batch whose conditions hold never fails because of them, whichever answers are lost and whichever requests are applied twice",
		run:   checkOwnLostAnswers,
	},
)

const conditionalClients = 8

// oneIsFirst has clients race to set keys that are absent. Half of the clients
// batch.
func (e *env) oneIsFirst(ctx context.Context, keys ...string) error {
	for round := range e.fewRounds(4) {
		prefix := fmt.Sprintf("%d/", round)
		l := &ledger{}
		errs := make([]error, conditionalClients)
		err := together(conditionalClients, func(i int) error {
			var opts []immukv.Option
			if i%2 == 1 {
				opts = batching(i)
			}
			c, err := connect(ctx, e.stores[i%len(e.stores)], prefix, opts...)
			if err != nil {
				return err
			}
			defer c.Close() //nolint:errcheck // others read what it wrote
			errs[i] = l.setIfAbsent(ctx, c, fmt.Sprintf("%sclient %d", prefix, i), keys)
			return nil
		})
		if err != nil {
			return err
		}
		first := slices.Index(errs, nil)
		if first < 0 {
			return unlike("one of the clients to succeed", "%v", errs[0])
		}
		for i, err := range errs {
			if i == first {
				continue
			}
			failed, ok := errors.AsType[*immukv.ConditionError](err)
			if !ok {
				return unlike("all clients but one to be told that their condition does not hold", "%s", outcome(err))
			}
			want := fmt.Sprintf("%sclient %d of %s", prefix, first, failed.Key)
			if failed.Found == nil || string(failed.Found.JSON) != strconv.Quote(want) {
				return unlike(fmt.Sprintf("the client to be told of the entry %q", want), "%v", err)
			}
		}
		if err := sound(ctx, e.stores[round%2], prefix, l); err != nil {
			return err
		}
	}
	return nil
}

// setIfAbsent sets keys that must have no entry: one, or several in a batch.
func (l *ledger) setIfAbsent(ctx context.Context, c *client, value string, keys []string) error {
	writes := writesOf(value, keys...)
	if len(writes) == 1 {
		return l.set(ctx, c, writes[0].Key, writes[0].Value, immukv.IfAbsent())
	}
	for i := range writes {
		writes[i].If = []immukv.SetOption{immukv.IfAbsent()}
	}
	return l.setAll(ctx, c, writes)
}

const (
	counters = 6 // callers that raise the number
	counts   = 3 // of each
)

// checkUpdates has the callers of three clients, of which one has four, raise a
// number.
func checkUpdates(ctx context.Context, e *env) error {
	stores := e.stores
	var mu sync.Mutex
	var raised []int
	err := together(3, func(i int) error {
		callers, opts := 1, byDefault(i)
		if i == 0 {
			callers, opts = counters-2, batching(i)
		}
		return throughOne(ctx, stores[i%2], opts, callers, func(c *client, _ int) error {
			for range counts {
				e, err := c.Update(ctx, "number", func(old entry, exists bool) (string, error) {
					if !exists {
						return "1", nil
					}
					n, err := strconv.Atoi(old.Value)
					return strconv.Itoa(n + 1), err
				})
				if err != nil {
					return unlike("an update to get through", "%v", err)
				}
				n, err := strconv.Atoi(e.Value)
				if err != nil {
					return err
				}
				mu.Lock()
				raised = append(raised, n)
				mu.Unlock()
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	slices.Sort(raised)
	for i, n := range raised {
		if n != i+1 {
			return unlike(fmt.Sprintf("each number up to %d to be made by one update", counters*counts), "%v", raised)
		}
	}
	if _, err := audited(ctx, stores[1], ""); err != nil {
		return err
	}
	log, err := logOf(ctx, stores[1])
	if err != nil {
		return err
	}
	for i, e := range log {
		if e.Value != strconv.Itoa(i+1) {
			return unlike(fmt.Sprintf("entry %d of the log to have the value %d", i, i+1), "%q", e.Value)
		}
	}
	if len(log) != counters*counts {
		return unlike(fmt.Sprintf("%d entries in the log", counters*counts), "%d", len(log))
	}
	return nil
}

// ownFaults are those after which a client cannot tell at once whether its write applied
// or lost a race.
var ownFaults = []sim.Fault{
	{Effect: sim.Now, Answer: sim.Lost},
	{Effect: sim.Again, Answer: sim.Own},
	{Effect: sim.Again, Answer: sim.Lost},
	{Effect: sim.Copy, Answer: sim.Own},
}

func checkOwnLostAnswers(ctx context.Context, e *env) error {
	var told error
	err := e.injected(ctx, sim.Injections(ownFaults...), func(ctx context.Context, l *ledger, s backend.VersionedStore, prefix string) error {
		c, err := connect(ctx, s, prefix)
		if err != nil {
			return err
		}
		defer c.Close() //nolint:errcheck // others read what it wrote
		first := l.setIfAbsent(ctx, c, prefix+"first", []string{"a"})
		if err := l.settle(ctx, c, first); err != nil {
			return err
		}
		batch := writesOf(prefix+"batch", "a", "b")
		batch[0].If, batch[1].If = []immukv.SetOption{immukv.IfSequence(0)}, []immukv.SetOption{immukv.IfAbsent()}
		second := l.setAll(ctx, c, batch)
		for what, err := range map[string]error{"the first write of a key": first, "a batch": second} {
			if errors.Is(err, immukv.ErrConditionFailed) {
				told = unlike(what+", made by the only writer, not to be told that its condition does not hold", "%v", err)
			}
		}
		return l.settle(ctx, c, second)
	})
	return cmp.Or(told, err)
}
