package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/sim"
)

// The protocol at an orphan: those who repair it, and those who may not.
var orphanChecks = []check{
	{
		clause: "I9", name: "crash-in-repair", cost: cost{fixed: 800},
		title: "a client that dies at any request of a repair leaves an orphan that another can repair",
		run:   checkCrashInRepair,
	},
	{
		clause: "I9", name: "repairers-racing", cost: cost{fixed: 70, perRound: 45},
		title: "an orphan that eight clients repair at once gets one version of its key object",
		run:   checkRepairersRacing,
	},
	{
		clause: "I10", name: "read-only", cost: cost{fixed: 200},
		title: "a read-only client finds an orphan, returns it, and writes nothing",
		run:   checkReadOnly,
	},
}

// orphan leaves an orphan at the head: of a new key, or of one that has an
// entry already.
func orphan(ctx context.Context, s backend.VersionedStore, prefix, key string, l *ledger, update bool) error {
	before := "another"
	if update {
		before = key
	}
	for _, step := range []struct {
		store      backend.VersionedStore
		key, value string
	}{{s, before, prefix + "before"}, {&keyless{VersionedStore: s, prefix: prefix}, key, prefix + "orphan"}} {
		c, err := connect(ctx, step.store, prefix)
		if err != nil {
			return err
		}
		defer c.Close() //nolint:errcheck // what it wrote is looked at
		if err := l.set(ctx, c, step.key, step.value); err != nil {
			return unlike("a write to succeed once its entry is in the log", "%v", err)
		}
	}
	report, err := audited(ctx, s, prefix)
	if err != nil {
		return err
	}
	if len(report.Orphans) == 0 || report.Orphans[0].Key != key {
		return unlike("a write that is not applied to leave an orphan", "%+v", report.Orphans)
	}
	return nil
}

// keyless denies the apply of every write.
type keyless struct {
	backend.VersionedStore
	prefix string
}

func (k *keyless) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if strings.HasPrefix(name, k.prefix+"keys/") {
		return backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrAccessDenied}
	}
	return k.VersionedStore.Put(ctx, name, body, cond)
}

func checkCrashInRepair(ctx context.Context, e *env) error {
	stores, err := e.openAll(ctx, 2)
	if err != nil {
		return err
	}
	for _, update := range []bool{false, true} {
		n := 0
		for injection := range sim.Crashes() {
			n++
			prefix := fmt.Sprintf("%t-%d/", update, n)
			l := &ledger{}
			if err := orphan(ctx, stores[0], prefix, "key", l, update); err != nil {
				return err
			}
			_ = injection.Run(ctx, stores[0], func(ctx context.Context, s backend.VersionedStore) error { // it dies, or not
				c, err := connect(ctx, s, prefix)
				if err != nil {
					return err
				}
				defer c.Close() //nolint:errcheck // it may be dead
				_, err = c.Repair(ctx)
				return err
			})
			if err := sound(ctx, stores[1], prefix, l); err != nil {
				return fmt.Errorf("%v: %w", injection, err)
			}
		}
	}
	return nil
}

func checkRepairersRacing(ctx context.Context, e *env) error {
	const repairers = 8
	stores, err := e.openAll(ctx, 2)
	if err != nil {
		return err
	}
	for round := range e.fewRounds(2) {
		prefix := fmt.Sprintf("%d/", round)
		l := &ledger{}
		if err := orphan(ctx, stores[0], prefix, "key", l, round%2 == 1); err != nil {
			return err
		}
		err := together(repairers, func(i int) error {
			c, err := connect(ctx, stores[i%2], prefix)
			if err != nil {
				return err
			}
			defer c.Close() //nolint:errcheck // what it wrote is looked at
			_, err = c.Repair(ctx)
			return err
		})
		if err != nil {
			return err
		}
		report, err := audited(ctx, stores[0], prefix)
		if err != nil {
			return err
		}
		if len(report.Orphans) > 0 {
			return unlike("no orphan after eight repairs", "entry %d", report.Orphans[0].Sequence)
		}
		if err := sound(ctx, stores[1], prefix, l); err != nil {
			return err
		}
	}
	return nil
}

// writeless fails the writes of a client that must make none.
type writeless struct {
	backend.VersionedStore
	writes atomic.Int64
}

func (w *writeless) Put(context.Context, string, []byte, backend.Condition) (backend.Version, error) {
	w.writes.Add(1)
	return backend.Version{}, &backend.Error{Op: "put", Kind: backend.ErrAccessDenied}
}

func checkReadOnly(ctx context.Context, e *env) error {
	s, err := e.open(ctx)
	if err != nil {
		return err
	}
	for _, update := range []bool{false, true} {
		prefix := fmt.Sprintf("%t/", update)
		l := &ledger{}
		if err := orphan(ctx, s, prefix, "key", l, update); err != nil {
			return err
		}
		want := l.attempts[len(l.attempts)-1].value
		guarded := &writeless{VersionedStore: s}
		c, err := connect(ctx, guarded, prefix, immukv.WithReadOnly(), eager)
		if err != nil {
			return err
		}
		got, err := c.Get(ctx, "key")
		if err != nil {
			return unlike("a read-only client to return the entry of an orphan", "%v", err)
		}
		if got.Value != want {
			return unlike(fmt.Sprintf("a read-only client to return the orphan, %q", want), "%q", got.Value)
		}
		for e, err := range c.History(ctx, "key") {
			if err != nil {
				return err
			}
			if e.Value != want {
				return unlike(fmt.Sprintf("a history to begin with the orphan, %q", want), "%q", e.Value)
			}
			break
		}
		if _, err := c.Set(ctx, "key", "refused"); !errors.Is(err, immukv.ErrReadOnly) {
			return unlike("a read-only client to refuse to write", "%s", outcome(err))
		}
		if err := c.Close(); err != nil {
			return err
		}
		if n := guarded.writes.Load(); n > 0 {
			return unlike("a read-only client to make no request that writes", "%d", n)
		}
		if err := sound(ctx, s, prefix, l); err != nil {
			return err
		}
	}
	return nil
}
