package tlog_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// TestExportAgain leaves a published tile as it is, and replaces none by another.
func TestExportAgain(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	store := memstore.New()
	db := open(t, store)
	folder := t.TempDir()
	for _, n := range []int{300, 600} {
		grow(t, db, max(0, n-300), n)
		seal(t, db, k)
		if err := tlog.Export(t.Context(), db, folder); err != nil {
			t.Fatal(err)
		}
	}
	tile, checkpoint := filepath.Join(folder, "tile", "0", "000"), filepath.Join(folder, "checkpoint")
	before, signed := string(read(t, tile)), string(read(t, checkpoint))
	grow(t, db, 600, 601)
	seal(t, db, k)
	alter(t, store, "tlog/tile/0/000")
	if err := tlog.Export(t.Context(), db, folder); !errors.Is(err, tlog.ErrFork) {
		t.Errorf("a tile was altered since: %v", err)
	}
	if string(read(t, tile)) != before || string(read(t, checkpoint)) != signed {
		t.Error("what was published was replaced")
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "tile", "0", "*.tmp")); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}

// TestExportNeverGoesBack replaces the checkpoint in a folder only by one that extends
// it.
func TestExportNeverGoesBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		store func(*testing.T, *world) backend.VersionedStore
		kind  error
	}{
		"older":          {func(_ *testing.T, w *world) backend.VersionedStore { return w.early }, tlog.ErrRolledBack},
		"fork":           {signFork, tlog.ErrFork},
		"longer fork":    {func(t *testing.T, w *world) backend.VersionedStore { return sealedLog(t, w.k, now+5, 10) }, tlog.ErrFork},
		"of another log": {func(t *testing.T, w *world) backend.VersionedStore { return sealedLog(t, otherLog(t), now, now) }, tlog.ErrBadCheckpoint},
		"rubbish": {func(t *testing.T, w *world) backend.VersionedStore {
			replace(t, w.store, "tlog/checkpoint", []byte("hello\n"))
			return w.store
		}, tlog.ErrBadCheckpoint},
		"gone": {func(t *testing.T, w *world) backend.VersionedStore { return memstore.New() }, tlog.ErrNoCheckpoint},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			folder := t.TempDir()
			if err := tlog.Export(t.Context(), open(t, w.store), folder); err != nil {
				t.Fatal(err)
			}
			before := folderContent(t, folder)
			if err := tlog.Export(t.Context(), open(t, c.store(t, w)), folder); !errors.Is(err, c.kind) {
				t.Errorf("Export: %v", err)
			}
			if folderContent(t, folder) != before {
				t.Error("the folder was changed")
			}
		})
	}
}

// TestExportIntoAnotherFolder leaves a folder alone whose checkpoint is none.
func TestExportIntoAnotherFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	folder := t.TempDir()
	write(t, filepath.Join(folder, "checkpoint"), []byte("of mine\n"))
	if err := tlog.Export(t.Context(), open(t, w.store), folder); !errors.Is(err, tlog.ErrBadCheckpoint) || !strings.Contains(err.Error(), folder) {
		t.Errorf("Export: %v", err)
	}
	if text := folderContent(t, folder); text != "checkpoint: of mine\n" {
		t.Errorf("the folder holds %q", text)
	}
}

// TestExportBesides has one export read the checkpoint just before another one
// publishes more: that stays, and nothing is wrong.
func TestExportBesides(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	store := memstore.New()
	db := open(t, store)
	folder := t.TempDir()
	grow(t, db, 0, 3)
	seal(t, db, k)
	slow := &slowStore{VersionedStore: store, meanwhile: func() {
		grow(t, db, 3, 6)
		seal(t, db, k)
		if err := tlog.Export(t.Context(), db, folder); err != nil {
			t.Error(err)
		}
	}}
	if err := tlog.Export(t.Context(), open(t, slow), folder); err != nil {
		t.Error(err)
	}
	if c, err := k.policy.Open(read(t, filepath.Join(folder, "checkpoint"))); err != nil || c.Size != 6 {
		t.Errorf("the folder has %v, %v", c, err)
	}
}

// TestExportsRace has several exports into one folder while the log grows.
func TestExportsRace(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	store := memstore.New()
	db := open(t, store)
	folder := t.TempDir()
	grow(t, db, 0, 1)
	seal(t, db, k)
	var running sync.WaitGroup
	running.Go(func() {
		for n := 1; n < 20; n++ {
			grow(t, db, n, n+1)
			seal(t, db, k)
		}
	})
	for range 3 {
		running.Go(func() {
			exporter := open(t, store)
			last := int64(0)
			for range 10 {
				if err := tlog.Export(t.Context(), exporter, folder); err != nil {
					t.Error(err)
				}
				signed, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
				if err != nil {
					t.Error(err)
				}
				if c, err := k.policy.Open(signed); err != nil || c.Size < last {
					t.Errorf("the folder went from %d entries to %v, %v", last, c, err)
				} else {
					last = c.Size
				}
			}
		})
	}
	running.Wait()
}

func otherLog(t *testing.T) keys {
	t.Helper()
	private, public, err := tlog.GenerateKey("example.com/other")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tlog.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := tlog.NewPolicy(public)
	if err != nil {
		t.Fatal(err)
	}
	return keys{signer, public, policy}
}

// folderContent is every file of a folder, but for locks.
func folderContent(t *testing.T, folder string) string {
	t.Helper()
	var text strings.Builder
	if err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Ext(path) != ".lock" {
			name, _ := filepath.Rel(folder, path)
			text.WriteString(filepath.ToSlash(name) + ": " + string(read(t, path)))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return text.String()
}
