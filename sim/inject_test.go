package sim_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/sim"
)

func TestCrashes(t *testing.T) {
	var got []string
	for crash := range sim.Crashes() {
		store := memstore.New()
		err := crash.Run(t.Context(), store, func(ctx context.Context, store backend.VersionedStore) error {
			if _, err := increment(ctx, store); err != nil {
				if ctx.Err() == nil {
					t.Errorf("%v: the context of a crashed process goes on", crash)
				}
				_, again := store.Head(context.Background(), counter)
				if !errors.Is(again, sim.ErrCrashed) {
					t.Errorf("%v: a crashed process asked the store, and it answered %v", crash, again)
				}
				return err
			}
			_, err := store.Head(ctx, counter)
			return err
		})
		if crashed := crash.Request != nil; crashed != errors.Is(err, sim.ErrCrashed) || crashed != errors.Is(err, context.Canceled) {
			t.Errorf("%v: error is %v", crash, err)
		}
		got = append(got, crash.String())
		wantVersions := 1
		if crash.At == 1 || crash.At == 2 && crash.Fault == sim.CrashBefore {
			wantVersions = 0
		}
		if n := versions(store); n != wantVersions {
			t.Errorf("%v: the counter has %d versions, want %d", crash, n, wantVersions)
		}
	}
	want := []string{
		"never/crashed at request 1, get counter",
		"never/crashed at request 2, put counter if absent",
		"now/crashed at request 2, put counter if absent",
		"never/crashed at request 3, head counter",
		"never/crashed at request 4, which was not made",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("crashes (-want +got):\n%s", diff)
	}
}

func TestInjections(t *testing.T) {
	var faults []sim.Fault
	for _, op := range ops {
		faults = append(faults, sim.Faults(op)...)
	}
	met := make(map[sim.Fault]bool)
	for injection := range sim.Injections(faults...) {
		store := memstore.New()
		err := injection.Run(t.Context(), store, func(ctx context.Context, store backend.VersionedStore) error {
			_, err := increment(ctx, store)
			return err
		})
		if injection.Request == nil {
			continue
		}
		met[injection.Fault] = true
		fails := injection.Fault.Answer >= sim.Lost && injection.Fault.Answer <= sim.Crashed && injection.Fault.Answer != sim.Precondition
		if fails != (err != nil) {
			t.Errorf("%v: error is %v", injection, err)
		}
	}
	for _, op := range []sim.Op{sim.OpGet, sim.OpPut} {
		for _, f := range sim.Faults(op) {
			if needsScheduler := f.Effect == sim.Later || f.Answer == sim.Held; met[f] == needsScheduler {
				t.Errorf("%v was met: %t", f, met[f])
			}
		}
	}
}
