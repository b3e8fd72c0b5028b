package conformance

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/immukv/immukv-go/backend"
)

// env is the environment of a check.
type env struct {
	h     *Harness
	store Store
	rand  *rand.Rand // not for use by several goroutines at once
	watch *watch
	// stores are the handles that are open when the check begins: as many as
	// it asks for, at least two.
	stores []backend.VersionedStore

	mu      sync.Mutex
	handles []*watchedStore
	workers []*worker
}

func newEnv(h *Harness, c check, store Store, w *watch) *env {
	hash := fnv.New64a()
	io.WriteString(hash, c.id()) //nolint:errcheck // a hash does not fail
	return &env{h: h, store: store, rand: rand.New(rand.NewPCG(h.Seed, hash.Sum64())), watch: w}
}

// open opens one more handle.
func (e *env) open(ctx context.Context) (backend.VersionedStore, error) {
	return e.openWith(ctx, "open a handle", e.store.Open, nil)
}

// openWith opens a handle in another way. While raw returns true, the check
// gets every answer of the handle, even that the store is unavailable;
// otherwise the suite retries such a call. A nil raw returns false.
func (e *env) openWith(ctx context.Context, what string, open func(context.Context) (backend.VersionedStore, error), raw func() bool) (s backend.VersionedStore, err error) {
	err = e.watch.available(ctx, raw, func() error {
		return e.watch.doing(what, func() (err error) {
			s, err = open(ctx)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	handle := &watchedStore{store: s, watch: e.watch, raw: raw}
	e.handles = append(e.handles, handle)
	return handle, nil
}

// openStores opens the handles with which the check begins.
func (e *env) openStores(ctx context.Context, n int) error {
	for len(e.stores) < n {
		s, err := e.open(ctx)
		if err != nil {
			return err
		}
		e.stores = append(e.stores, s)
	}
	return nil
}

// written writes a chain of n versions of the object. It returns them and the
// handle that wrote them.
func (e *env) written(ctx context.Context, n int) (backend.VersionedStore, []backend.Object, error) {
	versions, err := chain(ctx, e.stores[0], object, n)
	return e.stores[0], versions, err
}

// restart closes all handles, restarts the store and opens a new handle.
func (e *env) restart(ctx context.Context) (backend.VersionedStore, error) {
	if err := e.closeHandles(); err != nil {
		return nil, err
	}
	err := e.watch.doing("restart the store", func() error { return e.store.Restart(ctx) })
	if err != nil {
		return nil, fmt.Errorf("restart the store: %w", err)
	}
	return e.open(ctx)
}

// closeHandle closes one handle and leaves the others open.
func (e *env) closeHandle(s backend.VersionedStore) error {
	handle := s.(*watchedStore) // like all handles that open returns
	e.mu.Lock()
	e.handles = slices.DeleteFunc(e.handles, func(open *watchedStore) bool { return open == handle })
	e.mu.Unlock()
	return handle.close()
}

func (e *env) closeHandles() error {
	e.mu.Lock()
	handles := e.handles
	e.handles = nil
	e.mu.Unlock()
	var failed []error
	for _, s := range handles {
		failed = append(failed, s.close())
	}
	return errors.Join(failed...)
}

// close ends the workers, closes the handles and removes the store.
func (e *env) close(ctx context.Context) error {
	e.mu.Lock()
	workers := e.workers
	e.mu.Unlock()
	for _, w := range workers {
		w.in.Close()
		w.kill()
		_ = w.wait() // how the remaining ones end does not matter
	}
	err := e.closeHandles()
	if e.store.Close == nil {
		return err
	}
	// The store is removed even after the check was interrupted.
	failed := e.watch.doing("close the store", func() error { return e.store.Close(context.WithoutCancel(ctx)) })
	if failed != nil {
		failed = fmt.Errorf("close the store: %w", failed)
	}
	return errors.Join(err, failed)
}

func (e *env) rounds() int { return e.h.rounds() }

// fewRounds is the number of rounds of a race that takes n times as long as
// others. It is at least one.
func (e *env) fewRounds(n int) int { return max(1, e.rounds()/n) }

// many is the size of a long listing. With Deep it exceeds the largest page.
func (e *env) many() int {
	if e.h.Deep {
		return backend.MaxPageSize + 100
	}
	return 61
}
