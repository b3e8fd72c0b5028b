package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// I10: a read-only client writes nothing.
var readOnlyChecks = clause("I10",
	check{
		name: "read-only", cost: cost{fixed: 400},
		title: "a read-only client finds an orphan, or several of one batch, returns them, and writes nothing",
		run:   checkReadOnly,
	},
)

// writeless fails and counts all writes.
type writeless struct {
	backend.VersionedStore
	writes atomic.Int64
}

func (w *writeless) Put(context.Context, string, []byte, backend.Condition) (backend.Version, error) {
	w.writes.Add(1)
	return backend.Version{}, &backend.Error{Op: "put", Kind: backend.ErrAccessDenied}
}

func checkReadOnly(ctx context.Context, e *env) error {
	for i, keys := range [][]string{{"key"}, batchKeys} {
		for _, update := range []bool{false, true} {
			if err := e.readOnly(ctx, fmt.Sprintf("%d-%t/", i, update), update, keys); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *env) readOnly(ctx context.Context, prefix string, update bool, keys []string) error {
	s := e.stores[0]
	l := &ledger{}
	if err := orphans(ctx, s, prefix, l, update, keys...); err != nil {
		return err
	}
	guarded := &writeless{VersionedStore: s}
	c, err := connect(ctx, guarded, prefix, immukv.WithReadOnly(), eager)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := readsOrphan(ctx, c, key, prefix+"orphan of "+key); err != nil {
			return err
		}
	}
	if _, err := c.Set(ctx, keys[0], "never written"); !errors.Is(err, immukv.ErrReadOnly) {
		return unlike("a read-only client to fail to write", "%s", outcome(err))
	}
	if err := c.Close(); err != nil {
		return err
	}
	if n := guarded.writes.Load(); n > 0 {
		return unlike("a read-only client to make no request that writes", "%d", n)
	}
	return sound(ctx, s, prefix, l)
}

// readsOrphan checks that a client returns the orphan of a key.
func readsOrphan(ctx context.Context, c *client, key, want string) error {
	got, err := c.Get(ctx, key)
	if err != nil {
		return unlike("a read-only client to return the entry of an orphan", "%v", err)
	}
	if got.Value != want {
		return unlike(fmt.Sprintf("a read-only client to return the orphan, %q", want), "%q", got.Value)
	}
	for e, err := range c.History(ctx, key) {
		if err != nil {
			return err
		}
		if e.Value != want {
			return unlike(fmt.Sprintf("a history to begin with the orphan, %q", want), "%q", e.Value)
		}
		break
	}
	return nil
}
