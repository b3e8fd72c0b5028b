package immukv_test

import (
	"context"
	"errors"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// A consistent read returns an orphan that the key object does not reflect, to clients of
// every kind, and writes nothing.
func TestConsistentReadOfOrphan(t *testing.T) {
	bothOrphans(t, func(t *testing.T, isNew bool) {
		mem, e := orphaned(t, isNew)
		store := counted(mem)
		for name, opts := range map[string][]immukv.Option{
			"writer":    nil,
			"no checks": {immukv.WithRepairCheckInterval(-1)},
			"read-only": {immukv.WithReadOnly()},
		} {
			db := open[string](t, store, opts...)
			got, err := db.Get(t.Context(), "k", immukv.Consistent())
			if err != nil || got.Hash != e.Hash || got.VersionID != e.VersionID || got.Value != "orphan" || got.KeyVersionID != "" {
				t.Errorf("%s: got %+v, %v", name, got, err)
			}
			if err := db.Verify(got); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			store.want(t, name, "1 get _log.json")
			if got, err := db.Get(t.Context(), "other", immukv.Consistent()); err != nil || got.Key != "other" {
				t.Errorf("%s: got %+v, %v", name, got, err)
			}
			store.want(t, name, "1 get _log.json", "1 get keys/other.json")
		}
	})
}

// What another client wrote a moment ago is read, whatever this one has cached.
func TestConsistentReadAfterAnothersWrite(t *testing.T) {
	t.Parallel()
	mem := filled(t, 4, 2)
	db, other := open[int](t, mem), open[int](t, mem)
	consistent := func() int {
		t.Helper()
		e, err := db.Get(t.Context(), "k0", immukv.Consistent())
		if err != nil {
			t.Fatal(err)
		}
		return e.Value
	}
	set(t, db, "k0", 100)
	for i := range 5 {
		set(t, other, "k0", i)
		if got := consistent(); got != i {
			t.Errorf("got %d after %d was set", got, i)
		}
		set(t, other, "k1", i)
		if got := consistent(); got != i {
			t.Errorf("got %d after %d was set, and another key", got, i)
		}
	}
}

// The key object is asked for after the head has answered: what is written between the
// two is read, and nothing that was written before is missed.
func TestConsistentReadBesideWrites(t *testing.T) {
	t.Parallel()
	for _, between := range []string{logObject, "keys/k0.json"} {
		mem := filled(t, 4, 2)
		other := open[int](t, mem)
		wrote := false
		store := &tapped{store: mem, before: func(_ context.Context, r request) error {
			if r.name == between && !wrote {
				wrote = true
				set(t, other, "k0", 100)
				set(t, other, "k1", 101)
			}
			return nil
		}}
		e, err := open[int](t, store).Get(t.Context(), "k0", immukv.Consistent())
		if err != nil || e.Value != 100 {
			t.Errorf("written before %s was read: got %d, %v", between, e.Value, err)
		}
	}
}

// A deferred apply is seen by every client, before it is done.
func TestConsistentReadOfDeferredApply(t *testing.T) {
	t.Parallel()
	mem := filled(t, 4, 2)
	release := make(chan struct{})
	slow := &tapped{store: mem, put: func(r request, send func() (backend.Version, error)) (backend.Version, error) {
		if r.name == "keys/k0.json" {
			<-release
		}
		return send()
	}}
	writer := open[int](t, slow, immukv.WithDeferredApply())
	set(t, writer, "k0", 100)
	for name, db := range map[string]*immukv.Client[int]{"its own": writer, "another's": open[int](t, mem)} {
		if e, err := db.Get(t.Context(), "k0", immukv.Consistent()); err != nil || e.Value != 100 {
			t.Errorf("%s: got %d, %v", name, e.Value, err)
		}
	}
	close(release)
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Get(t.Context(), "k0", immukv.Consistent()); !errors.Is(err, immukv.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// Where there is no newest entry, a consistent read does not make one up.
func TestConsistentReadOfNothing(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store := counted(memstore.New())
	db := open[int](t, store)
	if _, err := db.Get(ctx, "k", immukv.Consistent()); !errors.Is(err, immukv.ErrNotFound) {
		t.Errorf("empty log: %v", err)
	}
	store.want(t, "empty log", "1 get _log.json", "1 versions _log.json")
	set(t, db, "other", 1)
	store.take()
	if _, err := db.Get(ctx, "k", immukv.Consistent()); !errors.Is(err, immukv.ErrNotFound) {
		t.Errorf("missing key: %v", err)
	}
	store.want(t, "missing key", "1 get _log.json", "1 get keys/k.json")
	if _, err := db.Get(ctx, "\xff", immukv.Consistent()); !errors.Is(err, immukv.ErrInvalidKey) {
		t.Errorf("invalid key: %v", err)
	}
	store.want(t, "invalid key")
}

// A log whose newest entry cannot be trusted has no certain newest entry of any key.
func TestConsistentReadOfDamagedLog(t *testing.T) {
	t.Parallel()
	newest := func(change func(string) string) func([]memstore.Version) []memstore.Version {
		return func(v []memstore.Version) []memstore.Version {
			v[len(v)-1].Body = change(v[len(v)-1].Body)
			return v
		}
	}
	for name, c := range map[string]struct {
		change func([]memstore.Version) []memstore.Version
		want   error
	}{
		"deleted":      {marked, immukv.ErrLogDeleted},
		"no entry":     {newest(func(string) string { return "{}" }), immukv.ErrMalformedEntry},
		"another hash": {newest(func(b string) string { return replaced(b, `"value":3`, `"value":4`) }), immukv.ErrVerificationFailed},
		// The entry at the end hides what came between.
		"of another key": {newest(func(b string) string { return replaced(b, `"key":"k1"`, `"key":"k0"`) }), immukv.ErrVerificationFailed},
	} {
		db := open[int](t, edit(t, filled(t, 4, 2), logObject, c.change))
		if _, err := db.Get(t.Context(), "k0", immukv.Consistent()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// A client that has seen a later head does not take an older one for the newest.
func TestConsistentReadOfLogRolledBack(t *testing.T) {
	t.Parallel()
	mem := filled(t, 4, 2)
	old := load(t, mem.Dump())
	store := &tapped{store: mem}
	db := open[int](t, store)
	set(t, db, "k0", 100)
	store.store = old
	if e, err := db.Get(t.Context(), "k0", immukv.Consistent()); !errors.Is(err, backend.ErrDamaged) {
		t.Errorf("got %+v, %v", e, err)
	}
}
