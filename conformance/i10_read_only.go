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
		name: "read-only", cost: cost{fixed: 200},
		title: "a read-only client finds an orphan, returns it, and writes nothing",
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
	s := e.stores[0]
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
		if _, err := c.Set(ctx, "key", "never written"); !errors.Is(err, immukv.ErrReadOnly) {
			return unlike("a read-only client to fail to write", "%s", outcome(err))
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
