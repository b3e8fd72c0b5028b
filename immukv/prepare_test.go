package immukv_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// A key that cannot be read does not make the client read the others of its batch again.
func TestRequestsBesideKeyError(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		reads int // of the key, up to the one that fails
		begun bool
		want  []string
	}{
		{"read beside the check of the head", 1, true, []string{"1 head keys/a.json", "1 head keys/b.json", "1 head keys/bad.json"}},
		{"read again, for another client began the log", 2, false, []string{"2 head keys/a.json", "2 head keys/b.json", "2 head keys/bad.json"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			mem := memstore.New()
			other := open[string](t, mem)
			if c.begun {
				set(t, other, "x", "first")
			}
			store := counted(mem)
			count := store.before
			var reads atomic.Int64
			var begins sync.Once
			store.before = func(ctx context.Context, r request) error {
				if err := count(ctx, r); err != nil {
					return err
				}
				if r.op == "versions" {
					begins.Do(func() { set(t, other, "x", "first") })
				}
				if r.op == "head" && r.name == "keys/bad.json" && reads.Add(1) >= int64(c.reads) {
					return storeError(backend.ErrAccessDenied)
				}
				time.Sleep(roundTrip)
				return nil
			}
			db := open[string](t, store, immukv.WithBatching(immukv.Batching{}))
			var running sync.WaitGroup
			running.Go(func() { _, _ = db.Get(t.Context(), "y") }) // checks the head, and the writes wait
			synctest.Wait()
			for _, key := range []string{"a", "bad", "b"} {
				running.Go(func() {
					if _, err := db.Set(t.Context(), key, "value"); errors.Is(err, backend.ErrAccessDenied) != (key == "bad") || err != nil && key != "bad" {
						t.Errorf("set %q: %v", key, err)
					}
				})
			}
			running.Wait()
			var heads []string
			counts := make(map[string]int)
			for _, r := range store.take() {
				if r.op == "head" && r.name != "keys/x.json" {
					counts[r.String()]++
				}
			}
			for r, n := range counts {
				heads = append(heads, fmt.Sprint(n, " ", r))
			}
			slices.Sort(heads)
			if diff := cmp.Diff(c.want, heads); diff != "" {
				t.Errorf("%s: requests (-want +got):\n%s", c.name, diff)
			}
			if r := audit(t, mem); r.Entries != 3 {
				t.Errorf("%d entries", r.Entries)
			}
		})
	}
}
