package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/conformance"
)

// examine runs a few checks and returns their results by name.
func examine(t *testing.T, h conformance.Harness, only ...string) map[string]conformance.Result {
	t.Helper()
	h.Only = only
	results, err := conformance.Examine(t.Context(), h, func(conformance.Result) {})
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]conformance.Result)
	for _, r := range results {
		byName[r.Check] = r
	}
	return byName
}

// Nothing is skipped in silence: what a store has not, its harness says, and
// says only that.
func TestFacilitiesAreAccountedFor(t *testing.T) {
	t.Parallel()
	const check = "S17/denied"
	r := examine(t, memory, check)[check]
	if r.Outcome != conformance.NotApplicable || r.Reason != memory.Lacks[conformance.OpenDenied] {
		t.Errorf("declared to be lacking: %+v", r)
	}

	silent := memory
	silent.Lacks = maps.Clone(memory.Lacks)
	delete(silent.Lacks, conformance.OpenDenied)
	if r := examine(t, silent, check)[check]; r.Outcome != conformance.Fail || !strings.Contains(r.Seen, "OpenDenied") {
		t.Errorf("neither there nor declared: %+v", r)
	}

	boasting := memory
	boasting.Lacks = maps.Clone(memory.Lacks)
	boasting.Lacks[conformance.Restart] = "not true"
	const restart = "S5/survives-restart"
	if r := examine(t, boasting, restart)[restart]; r.Outcome != conformance.Fail || !strings.Contains(r.Seen, "Restart") {
		t.Errorf("there, and declared to be lacking: %+v", r)
	}
}

func TestSelection(t *testing.T) {
	t.Parallel()
	if got := examine(t, memory, "S1"); len(got) != 2 {
		t.Errorf("a clause: %v", got)
	}
	if got := examine(t, memory, "S1/create", "S2/no-condition"); len(got) != 2 {
		t.Errorf("two checks: %v", got)
	}
	h := memory
	h.Only = []string{"S21"}
	if _, err := conformance.Examine(t.Context(), h, func(conformance.Result) {}); err == nil {
		t.Error("a clause that there is not was found")
	}
	if _, err := h.MaxRequests(); err == nil {
		t.Error("a clause that there is not costs something")
	}
}

// A harness that makes no sense is an error before anything is tried.
func TestSenselessHarness(t *testing.T) {
	t.Parallel()
	spoil := map[string]func(h *conformance.Harness){
		"New is nil":                     func(h *conformance.Harness) { h.New = nil },
		`"Teleport"`:                     func(h *conformance.Harness) { h.Lacks["Teleport"] = "it is far" },
		"without a reason":               func(h *conformance.Harness) { h.Lacks[conformance.Worker] = " " },
		"-1 rounds":                      func(h *conformance.Harness) { h.Rounds = -1 },
		"a limit of -1 bytes for bodies": func(h *conformance.Harness) { h.Limits.MaxBody = -1 },
		"a limit of 67108865 bytes for bodies": func(h *conformance.Harness) {
			h.Limits.MaxBody = backend.MaxBodyBytes + 1
		},
		"a limit of 1025 bytes for names": func(h *conformance.Harness) { h.Limits.MaxName = backend.MaxNameBytes + 1 },
	}
	for want, spoil := range spoil {
		h := memory
		h.Lacks = maps.Clone(memory.Lacks)
		spoil(&h)
		results, err := conformance.Examine(t.Context(), h, func(r conformance.Result) { t.Errorf("%s: %s was run", want, r.Check) })
		if err == nil || !strings.Contains(err.Error(), want) || results != nil {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// A harness or a store that breaks down fails its checks, and nothing else.
func TestBreakdowns(t *testing.T) {
	t.Parallel()
	broken := errors.New("no disk left")
	harnesses := map[string]conformance.Harness{
		broken.Error(): {New: func(context.Context) (conformance.Store, error) {
			return conformance.Store{}, broken
		}},
		"Open is nil": {New: func(context.Context) (conformance.Store, error) {
			return conformance.Store{}, nil
		}},
		"open a handle": {New: func(context.Context) (conformance.Store, error) {
			return conformance.Store{Open: func(context.Context) (backend.VersionedStore, error) { return nil, broken }}, nil
		}},
		"panic": {New: func(context.Context) (conformance.Store, error) {
			return conformance.Store{Open: func(context.Context) (backend.VersionedStore, error) { return (*memstore.Store)(nil), nil }}, nil
		}},
		"close the store": {New: func(context.Context) (conformance.Store, error) {
			return conformance.Store{
				Open:  func(context.Context) (backend.VersionedStore, error) { return memstore.New(), nil },
				Close: func(context.Context) error { return broken },
			}, nil
		}},
	}
	for want, h := range harnesses {
		const check = "S1/create"
		if r := examine(t, h, check)[check]; r.Outcome != conformance.Fail || !strings.Contains(r.Seen, want) || r.Err() == nil {
			t.Errorf("%s: %+v", want, r)
		}
	}
}

// panicking is a store whose writes panic.
type panicking struct{ backend.VersionedStore }

func (panicking) Put(context.Context, string, []byte, backend.Condition) (backend.Version, error) {
	panic("a nil map")
}

// A store that panics fails its checks, also where the suite calls it from
// many goroutines.
func TestPanic(t *testing.T) {
	t.Parallel()
	h := conformance.Harness{New: func(context.Context) (conformance.Store, error) {
		return conformance.Store{Open: func(context.Context) (backend.VersionedStore, error) { return panicking{memstore.New()}, nil }}, nil
	}}
	for _, check := range []string{"S1/create", "S3/pairs-racing"} {
		if r := examine(t, h, check)[check]; r.Outcome != conformance.Fail || !strings.Contains(r.Seen, "a nil map") {
			t.Errorf("%s: %+v", check, r)
		}
	}
}

func ExampleExamine() {
	harness := conformance.Harness{
		New: func(context.Context) (conformance.Store, error) {
			store := memstore.New()
			return conformance.Store{
				Open: func(context.Context) (backend.VersionedStore, error) { return store, nil },
			}, nil
		},
		Lacks: map[conformance.Facility]string{
			conformance.Restart: "it is in memory",
			// and so on: what runs here needs nothing else
		},
		Only: []string{"S1", "S5/nothing-lost", "S5/survives-restart"},
	}
	results, err := conformance.Examine(context.Background(), harness, func(conformance.Result) {})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range results {
		fmt.Println(r.Check, r.Outcome)
	}
	// Output:
	// S1/create pass
	// S1/create-on-present pass
	// S5/nothing-lost pass
	// S5/survives-restart n/a
}
