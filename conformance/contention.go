package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// The protocol under contention: clients that share nothing but the store.
var contentionChecks = []check{
	{
		clause: "I1", name: "many-clients", cost: cost{fixed: 100 + 8*contendingWrites*30},
		title: "each write that one of eight contending clients was acknowledged is in the log exactly once, and chain and key objects are whole",
		run: func(ctx context.Context, e *env) error {
			l, s, err := e.contend(ctx, 8, byDefault)
			if err != nil {
				return err
			}
			return sound(ctx, s, "", l)
		},
	},
	{
		clause: "I5", name: "mixed-fleet", cost: cost{fixed: 100 + 8*contendingWrites*30},
		title: "clients of both dialects, with and without deferred apply, and one that keeps to the algorithm of the existing clients, share one log",
		run:   checkMixedFleet,
	},
	{
		clause: "I7", name: "real-time-order", cost: cost{fixed: 100 + 4*contendingWrites*30},
		title: "a write that was acknowledged before another began precedes it in the log",
		run: func(ctx context.Context, e *env) error {
			l, _, err := e.contend(ctx, 4, byDefault)
			if err != nil {
				return err
			}
			return l.ordered()
		},
	},
	{
		clause: "I8", name: "reads-under-load", cost: cost{fixed: 100 + 4*contendingWrites*30 + 2*2*30*4},
		title: "a key read while it is set returns what the log holds, and never an older entry than before",
		run:   checkReadsUnderLoad,
	},
	{
		clause: "I11", name: "skewed-clocks", cost: cost{fixed: 100 + 4*contendingWrites*30},
		title: "clocks that disagree and run backwards change nothing but the time in the entries",
		run:   checkSkewedClocks,
	},
	{
		clause: "I14", name: "everyone-gets-through", cost: cost{fixed: 100 + 16*4*40},
		title: "each of sixteen contending writers commits all its writes",
		run:   checkEveryoneGetsThrough,
	},
}

// contendingWrites is how many writes each of contending clients makes.
const contendingWrites = 6

// contend has clients, each with its options, set few keys at once.
func (e *env) contend(ctx context.Context, clients int, opts func(i int) []immukv.Option) (*ledger, backend.VersionedStore, error) {
	stores, err := e.openAll(ctx, 2)
	if err != nil {
		return nil, nil, err
	}
	l := &ledger{}
	err = together(clients, func(i int) error {
		c, err := connect(ctx, stores[i%2], "", opts(i)...)
		if err != nil {
			return err
		}
		for n := range contendingWrites {
			key := fmt.Sprintf("key-%d", (i+n)%3)
			if err := l.set(ctx, c, key, fmt.Sprintf("client %d, write %d", i, n)); err != nil {
				return unlike("a contending write to get through", "%v", err)
			}
		}
		return c.Close()
	})
	return l, stores[1], err
}

// byDefault are the options of clients that have none.
func byDefault(int) []immukv.Option { return nil }

func checkMixedFleet(ctx context.Context, e *env) error {
	stores, err := e.openAll(ctx, 2)
	if err != nil {
		return err
	}
	options := [][]immukv.Option{
		{immukv.WithDialect(immukv.Python)},
		{immukv.WithDialect(immukv.TypeScript)},
		{immukv.WithDialect(immukv.Python), immukv.WithDeferredApply()},
		{immukv.WithDialect(immukv.TypeScript), immukv.WithDeferredApply()},
	}
	l := &ledger{}
	err = together(len(options)+1, func(i int) error {
		if i == len(options) {
			old := &oldClient{store: stores[0], ledger: l}
			for n := range contendingWrites {
				if err := old.set(ctx, fmt.Sprintf("key-%d", n%3), fmt.Sprintf("old client, write %d", n)); err != nil {
					return err
				}
			}
			return nil
		}
		c, err := connect(ctx, stores[i%2], "", options[i]...)
		if err != nil {
			return err
		}
		for n := range contendingWrites {
			if err := l.set(ctx, c, fmt.Sprintf("key-%d", (i+n)%3), fmt.Sprintf("client %d, write %d", i, n)); err != nil {
				return err
			}
		}
		return c.Close()
	})
	if err != nil {
		return err
	}
	return sound(ctx, stores[1], "", l)
}

func checkReadsUnderLoad(ctx context.Context, e *env) error {
	const readers, reads = 2, 30
	stores, err := e.openAll(ctx, 2)
	if err != nil {
		return err
	}
	writer, err := connect(ctx, stores[0], "")
	if err != nil {
		return err
	}
	defer writer.Close() //nolint:errcheck // what it wrote is looked at
	l := &ledger{}
	if err := l.set(ctx, writer, "key", "first"); err != nil {
		return err
	}
	seen := make([][]entry, readers)
	err = together(1+readers, func(worker int) error {
		if worker == readers {
			for n := range 4 * contendingWrites {
				if err := l.set(ctx, writer, "key", fmt.Sprintf("write %d", n)); err != nil {
					return err
				}
			}
			return nil
		}
		reader, err := connect(ctx, stores[worker%2], "", immukv.WithReadOnly())
		if err != nil {
			return err
		}
		defer reader.Close() //nolint:errcheck // it wrote nothing
		for range reads {
			got, err := reader.Get(ctx, "key")
			if err != nil {
				return unlike("a key that is being set to be readable", "%v", err)
			}
			seen[worker] = append(seen[worker], got)
		}
		return nil
	})
	if err != nil {
		return err
	}
	log, err := readLog(ctx, writer)
	if err != nil {
		return err
	}
	for _, entries := range seen {
		if err := neverBack(entries, log); err != nil {
			return err
		}
	}
	return l.agrees(log)
}

// neverBack checks what one reader of a key was shown against the log.
func neverBack(seen, log []entry) error {
	last := int64(-1)
	for _, got := range seen {
		if got.Sequence >= int64(len(log)) || log[got.Sequence].Value != got.Value || log[got.Sequence].Hash != got.Hash {
			return unlike("reads to return what is in the log", "%q as entry %d", got.Value, got.Sequence)
		}
		if got.Sequence < last {
			return unlike("a key that was read not to go back", "entry %d after %d", got.Sequence, last)
		}
		last = got.Sequence
	}
	return nil
}

func checkSkewedClocks(ctx context.Context, e *env) error {
	l, s, err := e.contend(ctx, 4, func(i int) []immukv.Option {
		now := time.Unix(1_700_000_000, 0).AddDate(10*i, 0, 0)
		return []immukv.Option{immukv.WithClock(func() time.Time {
			now = now.Add(-time.Hour)
			return now
		})}
	})
	if err != nil {
		return err
	}
	if err := l.ordered(); err != nil {
		return err
	}
	return sound(ctx, s, "", l)
}

func checkEveryoneGetsThrough(ctx context.Context, e *env) error {
	const writers, writes = 16, 4
	stores, err := e.openAll(ctx, 4)
	if err != nil {
		return err
	}
	l := &ledger{}
	err = together(writers, func(i int) error {
		c, err := connect(ctx, stores[i%4], "")
		if err != nil {
			return err
		}
		for n := range writes {
			err := l.set(ctx, c, "the one key", fmt.Sprintf("writer %d, write %d", i, n))
			if errors.Is(err, immukv.ErrOutcomeUnknown) {
				continue // a server may fail under load; what it then did is looked at below
			}
			if err != nil {
				return unlike("every contending writer to get through", "%v", err)
			}
		}
		return c.Close()
	})
	if err != nil {
		return err
	}
	return sound(ctx, stores[0], "", l)
}
