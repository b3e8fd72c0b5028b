package sim_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/sim"
)

// following is a history of one store that is written to, by a writer that crashes
// now and then, watched and copied, in an order that is drawn. What a watch yields and
// what a copy writes is compared with what was written.
type following struct {
	ctx  context.Context
	draw func(n int) int
	mem  *memstore.Store
	// hashes are those of the log, as the store has it.
	hashes []immukv.Hash

	yielded int // entries that the watch has yielded, over its restarts
	next    func() (immukv.Entry[int], error, bool)
	stop    func()

	copied *memstore.Store
}

// pages is a store whose listings come in short pages.
type pages struct {
	backend.VersionedStore
	size int
}

func (p pages) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	req.Limit = p.size
	return p.VersionedStore.ListVersions(ctx, name, req)
}

func (f *following) client(store backend.VersionedStore, opts ...immukv.Option) *immukv.Client[int] {
	db, err := immukv.Open[int](f.ctx, pages{store, 1 + f.draw(5)}, opts...)
	if err != nil {
		panic(err) // of options
	}
	return db
}

// follow makes a history, and returns what is wrong with it.
func follow(ctx context.Context, draw func(n int) int) error {
	f := &following{ctx: ctx, draw: draw, mem: memstore.New(), copied: memstore.New()}
	defer func() { f.pause() }()
	// The versions of the copy get other IDs than those of the store.
	if _, err := f.copied.Put(ctx, "unrelated", nil, backend.IfAbsent()); err != nil {
		return err
	}
	for range 4 + draw(12) {
		var err error
		switch draw(6) {
		case 0, 1:
			err = f.write()
		case 2:
			err = f.watch()
		case 3:
			f.pause()
		case 4:
			err = f.copy()
		case 5:
			err = f.copyWrong()
		}
		if err != nil {
			return err
		}
	}
	if err := f.watch(); err != nil {
		return err
	}
	return f.rewritten()
}

// write appends some entries, one or several to a version. The writer may crash.
func (f *following) write() error {
	for range 1 + f.draw(4) {
		crash := &sim.Injection{Fault: sim.CrashAfter, At: 1 + f.draw(12)}
		err := crash.Run(f.ctx, f.mem, func(ctx context.Context, store backend.VersionedStore) error {
			writes := []immukv.Write[int]{{Key: fmt.Sprint("k", f.draw(3)), Value: f.draw(100)}}
			if f.draw(3) == 0 {
				writes = append(writes, immukv.Write[int]{Key: "other", Value: f.draw(100)})
			}
			_, err := f.client(store, immukv.WithConcurrency(1)).SetAll(ctx, writes...)
			return err
		})
		if err != nil && !errors.Is(err, sim.ErrCrashed) && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	f.hashes = nil
	for e, err := range f.client(f.mem, immukv.WithReadOnly()).Log(f.ctx) {
		if err != nil {
			return err
		}
		f.hashes = append(f.hashes, e.Hash)
	}
	slices.Reverse(f.hashes)
	return nil
}

// watch takes some of what there is to watch, from a watch that goes on or begins anew
// where the last one ended.
func (f *following) watch() error {
	for range f.draw(len(f.hashes) - f.yielded + 1) {
		if f.next == nil {
			opts := []immukv.WatchOption{immukv.WithPollInterval(time.Nanosecond)}
			if f.yielded > 0 {
				opts = append(opts, immukv.After(f.last()))
			}
			f.next, f.stop = iter.Pull2(f.client(f.mem, immukv.WithReadOnly()).Watch(f.ctx, opts...))
		}
		ctx, cancel := context.WithTimeout(f.ctx, time.Minute)
		e, err, ok := f.next()
		cancel()
		switch {
		case err != nil || !ok || ctx.Err() != nil && f.ctx.Err() != nil:
			return fmt.Errorf("watch of sequence %d: %w", f.yielded, err)
		case e.Sequence != int64(f.yielded) || e.Hash != f.hashes[f.yielded]:
			return fmt.Errorf("the watch yields sequence %d, want %d", e.Sequence, f.yielded)
		}
		f.yielded++
	}
	return nil
}

func (f *following) last() immukv.Checkpoint {
	return immukv.Checkpoint{Sequence: int64(f.yielded - 1), Hash: f.hashes[f.yielded-1]}
}

func (f *following) pause() {
	if f.stop != nil {
		f.stop()
		f.next, f.stop = nil, nil
	}
}

// rewritten has the watch see another log in place of its own: it must not go on.
func (f *following) rewritten() error {
	f.pause()
	if f.yielded == 0 {
		return nil
	}
	anew := memstore.New()
	db := f.client(anew)
	for i := range f.yielded + f.draw(3) {
		if _, err := db.Set(f.ctx, fmt.Sprint("k", i%3), 1000+i); err != nil {
			return err
		}
	}
	for e, err := range f.client(anew).Watch(f.ctx, immukv.After(f.last()), immukv.UntilIdle()) {
		if errors.Is(err, immukv.ErrVerificationFailed) {
			return nil
		}
		return fmt.Errorf("behind sequence %d of a log that was written anew the watch yields %d, %w", f.yielded-1, e.Sequence, err)
	}
	return fmt.Errorf("behind sequence %d of a log that was written anew the watch finds nothing", f.yielded-1)
}

// copy copies the store, and may crash before it ends. The copy is then a valid store with
// the beginning of the log.
func (f *following) copy() error {
	crash := &sim.Injection{Fault: []sim.Fault{sim.CrashBefore, sim.CrashAfter}[f.draw(2)], At: 1 + f.draw(30)}
	err := crash.Run(f.ctx, f.copied, func(ctx context.Context, store backend.VersionedStore) error {
		_, err := immukv.Copy(ctx, f.client(store), f.client(f.mem, immukv.WithReadOnly()))
		return err
	})
	if err != nil && !errors.Is(err, sim.ErrCrashed) && !errors.Is(err, context.Canceled) && !errors.Is(err, immukv.ErrOutcomeUnknown) {
		return fmt.Errorf("copy: %w", err)
	}
	return f.checkCopy(f.copied, len(f.hashes), err == nil)
}

// checkCopy checks that a store is valid, and has the beginning of the log: at most so
// many entries, or just as many.
func (f *following) checkCopy(store *memstore.Store, most int, exactly bool) error {
	r, err := f.client(store).Audit(f.ctx)
	if err == nil {
		err = r.Err()
	}
	if err != nil {
		return fmt.Errorf("audit of the copy: %w", err)
	}
	if r.Entries > int64(most) || exactly && r.Entries < int64(most) || r.Entries > 0 && r.HeadHash != f.hashes[r.Entries-1] {
		return fmt.Errorf("the copy has %d entries, want %d, or others than the log", r.Entries, most)
	}
	return nil
}

// copyWrong copies a log of which an entry was edited, and one upon another history.
func (f *following) copyWrong() error {
	if len(f.hashes) == 0 {
		return nil
	}
	state := f.mem.Dump()
	for _, o := range state.Objects {
		if o.Name == "_log.json" {
			v := &o.Versions[f.draw(len(o.Versions))]
			v.Body = strings.Replace(v.Body, `"timestamp_ms":1`, `"timestamp_ms":2`, 1)
		}
	}
	edited, err := memstore.Load(state)
	if err != nil {
		return err
	}
	dst := memstore.New()
	if _, err := immukv.Copy(f.ctx, f.client(dst), f.client(edited, immukv.WithReadOnly())); !errors.Is(err, immukv.ErrVerificationFailed) {
		return fmt.Errorf("copy of a log with an entry edited: %w", err)
	}
	if err := f.checkCopy(dst, len(f.hashes)-1, false); err != nil {
		return err
	}
	other := memstore.New()
	db := f.client(other)
	own := 1 + f.draw(len(f.hashes)+1)
	for i := range own {
		if _, err := db.Set(f.ctx, "mine", i); err != nil {
			return err
		}
	}
	var fork *immukv.ForkError
	if _, err := immukv.Copy(f.ctx, db, f.client(f.mem, immukv.WithReadOnly())); !errors.As(err, &fork) || fork.Sequence != 0 {
		return fmt.Errorf("copy upon another history: %w", err)
	}
	return nil
}

// TestFollowing draws histories of a store that is watched and copied.
func TestFollowing(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		if err := follow(t.Context(), sim.Seeded(seed)); err != nil {
			t.Fatalf("drawn from seed %d: %v", seed, err)
		}
	}
}
