package tlog_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// slowStore calls meanwhile once the first read of the checkpoint, or the first write of
// it, has its answer, which its caller gets only then.
type slowStore struct {
	backend.VersionedStore
	writes    bool
	once      sync.Once
	meanwhile func()
}

func (s *slowStore) Get(ctx context.Context, name string) (backend.Object, error) {
	obj, err := s.VersionedStore.Get(ctx, name)
	if name == "tlog/checkpoint" && !s.writes {
		s.once.Do(s.meanwhile)
	}
	return obj, err
}

func (s *slowStore) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	v, err := s.VersionedStore.Put(ctx, name, body, cond)
	if name == "tlog/checkpoint" && s.writes {
		s.once.Do(s.meanwhile)
	}
	return v, err
}

// remembering are the ways in which two readers or sealers may share a memory.
var remembering = map[string]func(*testing.T, keys) func() *tlog.Verifier{
	"goroutines": func(t *testing.T, k keys) func() *tlog.Verifier {
		v := verifier(t, k)
		return func() *tlog.Verifier { return v }
	},
	"goroutines, a file": func(t *testing.T, k keys) func() *tlog.Verifier {
		v := verifier(t, k, tlog.Remember(filepath.Join(t.TempDir(), "state")))
		return func() *tlog.Verifier { return v }
	},
	"processes": func(t *testing.T, k keys) func() *tlog.Verifier {
		state := filepath.Join(t.TempDir(), "state")
		t.Cleanup(func() {
			if evidence, _ := filepath.Glob(state + ".evidence-*"); len(evidence) > 0 {
				t.Errorf("there is evidence against an honest log: %v", evidence)
			}
		})
		return func() *tlog.Verifier { return verifier(t, k, tlog.Remember(state)) }
	},
}

// TestRememberBesides has a reader, and a sealer, read the checkpoint just before
// another one is published and accepted. That is no rollback, and what is remembered
// does not go back.
func TestRememberBesides(t *testing.T) {
	t.Parallel()
	read := func(t *testing.T, _ keys, db *client, v *tlog.Verifier) (tlog.Checkpoint, error) {
		return tlog.Latest(t.Context(), v, db)
	}
	sealing := func(t *testing.T, k keys, db *client, v *tlog.Verifier) (tlog.Checkpoint, error) {
		return tlog.Seal(t.Context(), db, k.signer, tlog.Remembering(v))
	}
	for name, share := range remembering {
		for act, do := range map[string]func(*testing.T, keys, *client, *tlog.Verifier) (tlog.Checkpoint, error){"reader": read, "sealer": sealing} {
			for _, first := range []bool{true, false} {
				t.Run(name+", "+act, func(t *testing.T) {
					t.Parallel()
					k := newKeys(t)
					memory := share(t, k)
					store := memstore.New()
					db := open(t, store)
					grow(t, db, 0, 3)
					seal(t, db, k)
					if !first {
						if _, err := read(t, k, db, memory()); err != nil {
							t.Fatal(err)
						}
					}
					slow := &slowStore{VersionedStore: store, meanwhile: func() {
						grow(t, db, 3, 6)
						if c, err := sealing(t, k, db, memory()); err != nil || c.Size != 6 {
							t.Errorf("the faster one: %v, %v", c, err)
						}
					}}
					if _, err := do(t, k, open(t, slow), memory()); err != nil {
						t.Errorf("the slower one: %v", err)
					}
					// It still knows of the six entries.
					early := memstore.New()
					old := open(t, early)
					grow(t, old, 0, 4)
					seal(t, old, k)
					if name == "processes" {
						return // whose cleanup wants no evidence
					}
					if _, err := read(t, k, old, memory()); !errors.Is(err, tlog.ErrRolledBack) {
						t.Errorf("it went back: %v", err)
					}
				})
			}
		}
	}
}

// TestRememberLongest has a sealer remember what it signed while another one signs
// and remembers more: the file keeps the longer one.
func TestRememberLongest(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	state := filepath.Join(t.TempDir(), "state")
	store := memstore.New()
	sealing := func(store backend.VersionedStore, from, n int) {
		db := open(t, store)
		grow(t, db, from, n)
		seal(t, db, k, tlog.Remembering(verifier(t, k, tlog.Remember(state))))
	}
	sealing(store, 0, 3)
	reached := false
	sealing(&slowStore{VersionedStore: store, writes: true, meanwhile: func() {
		reached = true
		sealing(store, 6, 9)
	}}, 3, 6)
	if c, err := k.policy.Open(read(t, state)); err != nil || c.Size != 9 || !reached {
		t.Errorf("it remembers %v, %v; reached: %v", c, err, reached)
	}
}

// TestRememberForkBesides shows two histories at the same moment to readers with one
// memory: whichever is faster, the other one notices.
func TestRememberForkBesides(t *testing.T) {
	t.Parallel()
	for _, sizes := range [][2]int{{now, now}, {now, now + 5}, {now + 5, now}} {
		w := newWorld(t)
		state := filepath.Join(t.TempDir(), "state")
		memory := func() *tlog.Verifier { return verifier(t, w.k, tlog.Remember(state)) }
		honest, fork := sealedLog(t, w.k, sizes[0], sizes[0]), sealedLog(t, w.k, sizes[1], 10)
		slow := &slowStore{VersionedStore: fork, meanwhile: func() {
			if _, err := tlog.Latest(t.Context(), memory(), open(t, honest)); err != nil {
				t.Error(err)
			}
		}}
		_, err := tlog.Latest(t.Context(), memory(), open(t, slow))
		if !errors.Is(err, immukv.ErrVerificationFailed) {
			t.Errorf("of %d and %d entries: %v", sizes[0], sizes[1], err)
		}
		before := read(t, filepath.Join(state))
		if c, err := tlog.Latest(t.Context(), memory(), open(t, honest)); err != nil || string(before) != string(c.Signed) {
			t.Errorf("of %d and %d entries: it remembers something else than it accepted: %v", sizes[0], sizes[1], err)
		}
	}
}

func sealedLog(t *testing.T, k keys, n, changed int) backend.VersionedStore {
	store, db := replay(t, n, changed)
	seal(t, db, k)
	return store
}

// TestRememberShared has many readers share a file while the log grows. None of them
// sees a rollback, and the file ends with the longest.
func TestRememberShared(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	store := memstore.New()
	db := open(t, store)
	grow(t, db, 0, 1)
	seal(t, db, k)
	state := filepath.Join(t.TempDir(), "state")
	var running sync.WaitGroup
	running.Go(func() {
		for n := 1; n < 30; n++ {
			grow(t, db, n, n+1)
			if _, err := tlog.Seal(t.Context(), db, k.signer, tlog.Remembering(verifier(t, k, tlog.Remember(state)))); err != nil {
				t.Error(err)
			}
		}
	})
	for range 4 {
		running.Go(func() {
			reader := open(t, store)
			for range 20 {
				if _, err := tlog.Latest(t.Context(), verifier(t, k, tlog.Remember(state)), reader); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	if c, err := k.policy.Open(read(t, state)); err != nil || c.Size != 30 {
		t.Errorf("it remembers %v, %v", c, err)
	}
}
