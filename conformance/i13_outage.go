package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/immukv/immukv-go/backend"
)

// I13: after a failure the next write commits, and leaves no orphan.
var outageChecks = clause("I13",
	check{
		name: "after-an-outage", cost: cost{fixed: 60},
		title: "a client that was open during an outage succeeds with its next write, and leaves no orphan",
		run:   checkAfterOutage,
	},
	check{
		name: "after-an-outage-of-batches", cost: cost{fixed: 1200},
		title: "a client that batches and was open during an outage succeeds with the next writes of all callers, and leaves no orphan",
		run:   checkBatchesAfterOutage,
	},
)

// outage is a store that can be down.
type outage struct {
	backend.VersionedStore
	down   atomic.Bool
	failed func() // called when a request gets no answer
}

var errOutage = errors.New("no answer: the store is down")

func (o *outage) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if o.down.Load() {
		o.failed()
		return backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrOutcomeUnknown, Err: errOutage}
	}
	return o.VersionedStore.Put(ctx, name, body, cond)
}

func (o *outage) Get(ctx context.Context, name string) (backend.Object, error) {
	if o.down.Load() {
		o.failed()
		return backend.Object{}, &backend.Error{Op: "get", Name: name, Err: errOutage}
	}
	return o.VersionedStore.Get(ctx, name)
}

func (o *outage) Head(ctx context.Context, name string) (backend.Version, error) {
	if o.down.Load() {
		o.failed()
		return backend.Version{}, &backend.Error{Op: "head", Name: name, Err: errOutage}
	}
	return o.VersionedStore.Head(ctx, name)
}

func checkAfterOutage(ctx context.Context, e *env) error {
	s := e.stores[0]
	weak := &outage{VersionedStore: s}
	c, err := connect(ctx, weak, "")
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // others read what it wrote
	l := &ledger{}
	for i := range 3 {
		if err := l.set(ctx, c, "key", fmt.Sprintf("before outage %d", i)); err != nil {
			return unlike("a write to commit after an outage", "%v", err)
		}
		// The write is given up when it has met the outage.
		during, cancel := context.WithCancel(ctx)
		weak.failed = cancel
		weak.down.Store(true)
		if err := l.set(during, c, "key", fmt.Sprintf("during outage %d", i)); err == nil {
			return unlike("a write to fail while the store is down", "success")
		}
		weak.down.Store(false)
		cancel()
	}
	return sound(ctx, s, "", l)
}

// checkBatchesAfterOutage has several callers of one client meet an outage.
func checkBatchesAfterOutage(ctx context.Context, e *env) error {
	s := e.stores[0]
	weak := &outage{VersionedStore: s}
	c, err := connect(ctx, weak, "", batching(0)...)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // others read what it wrote
	l := &ledger{}
	for i := range 3 {
		err := together(batchCallers, func(caller int) error {
			return l.set(ctx, c, fmt.Sprintf("key-%d", caller), fmt.Sprintf("before outage %d, caller %d", i, caller))
		})
		if err != nil {
			return unlike("the writes of all callers to commit after an outage", "%v", err)
		}
		during, cancel := context.WithCancel(ctx)
		weak.failed = cancel
		weak.down.Store(true)
		err = together(batchCallers, func(caller int) error {
			if err := l.set(during, c, fmt.Sprintf("key-%d", caller), fmt.Sprintf("during outage %d, caller %d", i, caller)); err == nil {
				return unlike("a write to fail while the store is down", "success")
			}
			return nil
		})
		weak.down.Store(false)
		cancel()
		if err != nil {
			return err
		}
	}
	return sound(ctx, s, "", l)
}
