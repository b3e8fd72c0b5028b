package tlog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// sweepStore keeps what must hold of a transparency log at every moment: no tile
// changes, and a checkpoint never covers less than the one before.
type sweepStore struct {
	*countingStore
	t     *testing.T
	tiles map[string]string
}

func (s *sweepStore) check() {
	page, err := s.VersionedStore.ListNames(context.Background(), backend.NamesRequest{Prefix: "tlog/tile/"})
	if err != nil {
		s.t.Error(err)
	}
	for _, name := range page.Names {
		obj, err := s.VersionedStore.Get(context.Background(), name)
		if err != nil {
			s.t.Error(err)
		}
		if before, ok := s.tiles[name]; ok && before != string(obj.Body) {
			s.t.Errorf("%s was changed", name)
		}
		s.tiles[name] = string(obj.Body)
	}
}

var errCrash = errors.New("crash")

// TestSealCrashes ends a sealer at each of its requests, before the request took
// effect and after it. At that moment nobody else is at work, or a writer and a
// second sealer are, or a second sealer that dies at each of its own requests.
// Or the first sealer does not die and goes on with what it knew before. Whatever
// happens, the checkpoints are consistent with each other and with the log, no tile
// changes, and the next seal goes on from what was begun.
func TestSealCrashes(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	runs := 0
	sweep := func(p crashPlan) (reached bool) {
		for p.at = 1; ; p.at++ {
			if !p.run(t, k) {
				return p.at > 1
			}
			runs++
		}
	}
	for _, sizes := range [][2]int{{0, 1}, {0, 3}, {2, 3}, {3, 9}, {254, 257}, {256, 258}} {
		for _, end := range []string{"before", "after", "goes on"} {
			p := crashPlan{from: sizes[0], to: sizes[1], end: end}
			sweep(p)
			p.busy = true
			sweep(p)
			if sizes[1] != 3 {
				continue
			}
			// The second sealer makes fewer than 20 requests in a log this small.
			for p.second = 1; p.second <= 20; p.second++ {
				sweep(p)
			}
		}
	}
	t.Logf("%d runs", runs)
	if runs < 1000 {
		t.Errorf("there were only %d runs", runs)
	}
}

// crashPlan is what happens in one run.
type crashPlan struct {
	from, to int    // the log is sealed at the one size, and has grown to the other
	at       int    // the request of the first sealer
	end      string // it dies before the request takes effect, or after it, or goes on
	busy     bool   // a writer and a second sealer are at work then
	second   int    // the request at which the second sealer dies; 0 is none
}

// run reports whether the first sealer made that many requests.
func (p crashPlan) run(t *testing.T, k keys) (reached bool) {
	t.Helper()
	store := &sweepStore{countingStore: newCountingStore(), t: t, tiles: make(map[string]string)}
	v := verifier(t, k)
	writer := open(t, store.VersionedStore)
	grow(t, writer, 0, p.from)
	seal(t, writer, k)
	grow(t, writer, p.from, p.to)
	size := p.to
	check := func() {
		store.check()
		if _, err := tlog.Latest(t.Context(), v, writer); err != nil {
			t.Fatalf("%+v: %v", p, err)
		}
	}
	check()
	requests := 0
	first := &crashStore{VersionedStore: store.VersionedStore, at: func() (before, crash bool) {
		requests++
		if requests == p.at {
			reached = true
			if p.busy {
				grow(t, writer, size, size+2)
				size += 2
				p.sealSecond(t, k, store)
				check()
			}
		}
		crash = requests >= p.at && p.end != "goes on"
		return crash && p.end == "before", crash
	}}
	_, err := tlog.Seal(t.Context(), open(t, first), k.signer)
	if wanted := reached && p.end != "goes on"; wanted != errors.Is(err, errCrash) || !wanted && err != nil {
		t.Fatalf("%+v: %v", p, err)
	}
	check()
	if c := seal(t, writer, k); c.Size != int64(size) {
		t.Errorf("%+v: the next seal covers %d entries instead of %d", p, c.Size, size)
	}
	check()
	if err := inspectQuickly(t, v, writer); err != nil {
		t.Errorf("%+v: after the next seal: %v", p, err)
	}
	return reached
}

// sealSecond is the second sealer.
func (p crashPlan) sealSecond(t *testing.T, k keys, store *sweepStore) {
	t.Helper()
	requests := 0
	dying := &crashStore{VersionedStore: store.VersionedStore, at: func() (before, crash bool) {
		requests++
		crash = p.second > 0 && requests >= p.second
		return crash && p.second%2 == 0, crash
	}}
	if _, err := tlog.Seal(t.Context(), open(t, dying), k.signer); err != nil && !errors.Is(err, errCrash) {
		t.Fatalf("%+v: the second sealer: %v", p, err)
	}
}

func inspectQuickly(t *testing.T, v *tlog.Verifier, db *client) error {
	_, err := tlog.Audit(t.Context(), v, db)
	if err == nil {
		_, err = tlog.ProveKey(t.Context(), db, "sensor-0")
	}
	return err
}

// crashStore fails requests from some point on, before they take effect, or after.
type crashStore struct {
	backend.VersionedStore
	mu sync.Mutex
	at func() (before, crash bool)
}

func (s *crashStore) request(do func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, crash := s.at()
	if before {
		return errCrash
	}
	err := do()
	if crash {
		return errCrash
	}
	return err
}

func (s *crashStore) Get(ctx context.Context, name string) (obj backend.Object, err error) {
	return obj, s.request(func() error { obj, err = s.VersionedStore.Get(ctx, name); return err })
}

func (s *crashStore) GetVersion(ctx context.Context, name string, id backend.VersionID) (obj backend.Object, err error) {
	return obj, s.request(func() error { obj, err = s.VersionedStore.GetVersion(ctx, name, id); return err })
}

func (s *crashStore) Head(ctx context.Context, name string) (v backend.Version, err error) {
	return v, s.request(func() error { v, err = s.VersionedStore.Head(ctx, name); return err })
}

func (s *crashStore) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (v backend.Version, err error) {
	return v, s.request(func() error { v, err = s.VersionedStore.Put(ctx, name, body, cond); return err })
}

func (s *crashStore) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (page backend.VersionsPage, err error) {
	return page, s.request(func() error { page, err = s.VersionedStore.ListVersions(ctx, name, req); return err })
}

// TestSealersRace has many sealers and writers at work at once.
func TestSealersRace(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	store := memstore.New()
	v := verifier(t, k)
	var running sync.WaitGroup
	for range 4 {
		db := open(t, store)
		running.Go(func() { grow(t, db, 0, 100) })
		running.Go(func() {
			sealer := open(t, store)
			for range 10 {
				if _, err := tlog.Seal(t.Context(), sealer, k.signer); err != nil && !errors.Is(err, immukv.ErrConflict) {
					t.Error(err)
				}
			}
		})
		running.Go(func() {
			reader := open(t, store)
			for range 10 {
				if _, err := tlog.Latest(t.Context(), v, reader); err != nil && !errors.Is(err, tlog.ErrNoCheckpoint) {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	db := open(t, store)
	if c := seal(t, db, k); c.Size != 400 {
		t.Errorf("%d entries are sealed instead of 400", c.Size)
	}
	if _, err := tlog.Audit(t.Context(), v, db); err != nil {
		t.Error(err)
	}
}

// TestSealEvery keeps sealing until its context ends, through failures of the store.
func TestSealEvery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKeys(t)
		store := newCountingStore()
		db := open(t, store)
		grow(t, db, 0, 2)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var sizes []int64
		failed := 0
		_, err := tlog.Seal(ctx, db, k.signer, tlog.Every(time.Minute, func(c tlog.Checkpoint, err error) {
			if err != nil {
				failed++
				store.before = nil
				return
			}
			sizes = append(sizes, c.Size)
			grow(t, db, 2, 3)
			if len(sizes) == 2 {
				store.before = func(bool, string) error { return errCrash }
			}
			if len(sizes) == 4 {
				cancel()
			}
		}))
		if !errors.Is(err, context.Canceled) || fmt.Sprint(sizes) != "[2 3 4 5]" || failed != 1 {
			t.Errorf("%v, %d failed: %v", sizes, failed, err)
		}
	})
}

// TestForeignTile finds other bytes where a tile belongs, and leaves them.
func TestForeignTile(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	store := memstore.New()
	db := open(t, store)
	grow(t, db, 0, 3)
	replace(t, store, "tlog/tile/0/000.p/3", []byte("foreign"))
	if _, err := tlog.Seal(t.Context(), db, k.signer); !errors.Is(err, tlog.ErrFork) || !strings.Contains(err.Error(), "tlog/tile/0/000.p/3") {
		t.Errorf("Seal: %v", err)
	}
	if _, err := store.Get(t.Context(), "tlog/checkpoint"); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("a checkpoint was published: %v", err)
	}
	if obj, err := store.Get(t.Context(), "tlog/tile/0/000.p/3"); err != nil || string(obj.Body) != "foreign" {
		t.Errorf("the tile was replaced: %q, %v", obj.Body, err)
	}
}

// TestSealReadOnly writes nothing with a client that may not.
func TestSealReadOnly(t *testing.T) {
	t.Parallel()
	if _, err := tlog.Seal(t.Context(), open(t, memstore.New(), immukv.WithReadOnly()), newKeys(t).signer); !errors.Is(err, immukv.ErrReadOnly) {
		t.Errorf("Seal: %v", err)
	}
}

// TestSucceeding signs with a new key what another one signed before, and refuses that
// without being told of the other one.
func TestSucceeding(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	db := open(t, w.store)
	k, third := otherLog(t), newKeys(t)
	for _, opts := range [][]tlog.SealOption{nil, {tlog.Succeeding(third.policy)}} {
		if _, err := tlog.Seal(t.Context(), db, k.signer, opts...); !errors.Is(err, tlog.ErrBadCheckpoint) || !strings.Contains(err.Error(), origin) {
			t.Errorf("Seal: %v", err)
		}
	}
	if c := seal(t, db, k, tlog.Succeeding(w.k.policy)); c.Size != now || c.Origin != k.signer.Name() {
		t.Errorf("the first checkpoint of the new key is %v of %s", c, c.Origin)
	}
	grow(t, db, now, now+5)
	if c := seal(t, db, k, tlog.Succeeding(w.k.policy)); c.Size != now+5 {
		t.Errorf("the second checkpoint of the new key is %v", c)
	}
	if _, err := tlog.Audit(t.Context(), verifier(t, k), db); err != nil {
		t.Error(err)
	}
	if _, err := tlog.Latest(t.Context(), verifier(t, w.k), db); !errors.Is(err, tlog.ErrBadCheckpoint) {
		t.Errorf("a reader with the old key: %v", err)
	}
	// It is the log that goes on: one that was cut is refused.
	store, cut := replay(t, now-5, now)
	copySealed(t, store, newWorldOf(t, w.k).store)
	if _, err := tlog.Seal(t.Context(), cut, k.signer, tlog.Succeeding(w.k.policy)); !errors.Is(err, tlog.ErrRolledBack) {
		t.Errorf("a log that was cut: %v", err)
	}
}

// TestAuditBesidesSeal: the store's own audit has nothing against what is below tlog/.
func TestAuditBesidesSeal(t *testing.T) {
	t.Parallel()
	db := open(t, memstore.New())
	grow(t, db, 0, 300)
	seal(t, db, newKeys(t))
	if report, err := db.Audit(t.Context()); err != nil || !report.Valid() {
		t.Errorf("%v, %v", report.Err(), err)
	}
}
