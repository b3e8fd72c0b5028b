package tlog_test

import (
	"errors"
	"path/filepath"
	"testing"

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
