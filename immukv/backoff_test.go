package immukv_test

import (
	"context"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// steady is a source of random numbers that are all the same. So a wait is that many
// nanoseconds, modulo its limit.
type steady time.Duration

func (s steady) Read(p []byte) (int, error) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(s))
	for i := range p {
		p[i] = b[i%len(b)]
	}
	return len(p), nil
}

// The waits of an update become longer with each race that it loses, up to 80 ms if the
// client batches.
func TestWaitsOfUpdate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		opts    []immukv.Option
		longest time.Duration
	}{
		{nil, 500 * time.Millisecond},
		{[]immukv.Option{immukv.WithBatching(immukv.Batching{})}, 80 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			const rounds = 5
			mem := memstore.New()
			other := open[int](t, mem)
			var lost time.Time
			var waits []time.Duration
			store := &tapped{store: mem, before: func(context.Context, request) error {
				if !lost.IsZero() {
					waits = append(waits, time.Since(lost))
					lost = time.Time{}
				}
				return nil
			}, put: func(r request, send func() (backend.Version, error)) (backend.Version, error) {
				if r.name == logObject && len(waits) < rounds {
					set(t, other, "k", len(waits))
					lost = time.Now()
				}
				return send()
			}}
			// Each wait is as long as its limit allows: one nanosecond less.
			db := open[int](t, store, append(c.opts, immukv.WithRandom(steady(10*time.Millisecond<<rounds-1)))...)
			if _, err := db.Update(t.Context(), "k", increment); err != nil {
				t.Fatal(err)
			}
			for i, waited := range waits {
				if want := min(10*time.Millisecond<<i, c.longest) - 1; waited != want {
					t.Errorf("with %d options: wait %d took %v, want %v", len(c.opts), i, waited, want)
				}
			}
		})
	}
}

// Each version of a copy has waits of its own: answers lost long ago do not make the next
// one slower.
func TestWaitsOfCopy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const entries = 10
		src, dst := filled(t, entries, 1), memstore.New()
		lossy := &tapped{store: dst, put: func(r request, send func() (backend.Version, error)) (backend.Version, error) {
			v, err := send()
			if r.name == logObject && err == nil {
				return backend.Version{}, storeError(backend.ErrOutcomeUnknown)
			}
			return v, err
		}}
		start := time.Now()
		r, err := copyTo(t.Context(), lossy, src, immukv.WithRandom(steady(10*time.Millisecond<<entries-1)))
		if err != nil || r.Head != headOf(t, src) {
			t.Errorf("%+v, %v", r, err)
		}
		if waited := time.Since(start); waited != entries*(10*time.Millisecond-1) {
			t.Errorf("waited %v", waited)
		}
	})
}
