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

// The waits of an update become longer with each race that it loses, whether the client
// batches or not.
func TestWaitsOfUpdate(t *testing.T) {
	t.Parallel()
	for _, opts := range [][]immukv.Option{nil, {immukv.WithBatching(immukv.Batching{})}} {
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
			db := open[int](t, store, append(opts, immukv.WithRandom(steady(10*time.Millisecond<<rounds-1)))...)
			if _, err := db.Update(t.Context(), "k", increment); err != nil {
				t.Fatal(err)
			}
			for i, waited := range waits {
				if want := 10*time.Millisecond<<i - 1; waited != want {
					t.Errorf("with %d options: wait %d took %v, want %v", len(opts), i, waited, want)
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

// A client that batches waits less after many lost races. A store that was unavailable as
// often is no reason to.
func TestWaitAfterFirstLostRace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		other := open[string](t, mem)
		puts := 0
		var lost, looked time.Time
		store := &tapped{store: mem, before: func(_ context.Context, r request) error {
			if !lost.IsZero() && looked.IsZero() {
				looked = time.Now()
			}
			return nil
		}, put: func(r request, send func() (backend.Version, error)) (backend.Version, error) {
			if r.name != logObject {
				return send()
			}
			switch puts++; {
			case puts < 8:
				return backend.Version{}, storeError(backend.ErrUnavailable)
			case puts == 8:
				set(t, other, "other", "first")
				lost = time.Now()
			}
			return send()
		}}
		db := open[string](t, store, immukv.WithBatching(immukv.Batching{}), immukv.WithRandom(steady(400*time.Millisecond)))
		set(t, db, "k", "value")
		if waited := looked.Sub(lost); waited != 400*time.Millisecond { // of half a second at most
			t.Errorf("waited %v", waited)
		}
	})
}
