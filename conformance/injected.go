package conformance

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/sim"
)

// settle checks an object at the end: everything that was seen or acknowledged
// is in its one history, and nothing else.
func (w *witness) settle(ctx context.Context, s backend.VersionedStore, name string) error {
	wrote := w.wrote[name]
	list, err := listVersions(ctx, s, name, backend.VersionsRequest{}, len(wrote))
	if err != nil {
		return err
	}
	if len(list) != len(wrote) {
		return unlike(fmt.Sprintf("one version of %s for each write acknowledged, %d", show(name), len(wrote)), "%d", len(list))
	}
	for _, v := range list {
		body, ok := wrote[v.ID]
		if !ok {
			return unlike("only versions whose write was acknowledged", "version %q", v.ID)
		}
		if err := readable(ctx, s, name, backend.Object{Version: v, Body: []byte(body)}); err != nil {
			return err
		}
		delete(w.tags[name], v.ID)
	}
	for id := range w.tags[name] {
		return unlike("every version that was seen to be listed at the end", "no version %q", id)
	}
	return nil
}

// injected runs a short program once for each injection, each under a prefix
// of its own, and looks whether all is well afterwards.
func (e *env) injected(ctx context.Context, injections iter.Seq[*sim.Injection]) error {
	stores := e.stores
	n := 0
	for injection := range injections {
		n++
		prefix := fmt.Sprintf("%d/", n)
		l := &ledger{}
		_ = injection.Run(ctx, stores[0], func(ctx context.Context, s backend.VersionedStore) error { // what it is told is in the ledger
			return l.program(ctx, s, prefix)
		})
		if err := sound(ctx, stores[1], prefix, l); err != nil {
			return fmt.Errorf("%v: %w", injection, err)
		}
	}
	if n < 10 {
		return fmt.Errorf("only %d places found at which something can go wrong", n)
	}
	return nil
}

// program is the life of a client: a new key, the same again, another.
func (l *ledger) program(ctx context.Context, s backend.VersionedStore, prefix string) error {
	c, err := connect(ctx, s, prefix)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // it may be dead
	for i, key := range []string{"a", "a", "b"} {
		// A write that fails does not keep the client from the next.
		err := l.set(ctx, c, key, fmt.Sprintf("%swrite %d", prefix, i))
		if unknown, ok := errors.AsType[*immukv.OutcomeUnknownError](err); ok && ctx.Err() == nil {
			if err := l.settle(ctx, c, unknown); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle asks what became of the last write, and records the answer if there
// is one.
func (l *ledger) settle(ctx context.Context, c *client, unknown *immukv.OutcomeUnknownError) error {
	e, err := c.Settle(ctx, unknown)
	if err != nil && !errors.Is(err, immukv.ErrConflict) {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.attempts[len(l.attempts)-1]
	last.entry, last.err = e, err
	return nil
}
