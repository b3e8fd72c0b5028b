package conformance_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/conformance"
)

// stuck is a store of which writes of one object do not return before release
// is closed, or before their context ends if they heed it.
type stuck struct {
	backend.VersionedStore
	name    string
	heeds   bool
	release chan struct{}
}

func (s stuck) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if name != s.name {
		return s.VersionedStore.Put(ctx, name, body, cond)
	}
	var ended <-chan struct{}
	if s.heeds {
		ended = ctx.Done()
	}
	select {
	case <-ended:
		return backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrOutcomeUnknown, Err: ctx.Err()}
	case <-s.release:
		return backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrOutcomeUnknown}
	}
}

// A call that does not return fails its check, by name, and the suite goes on.
func TestStuckCall(t *testing.T) {
	t.Parallel()
	for _, heeds := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			defer close(release)
			var closed atomic.Int64
			h := conformance.Harness{New: func(context.Context) (conformance.Store, error) {
				store := stuck{memstore.New(), "log.json", heeds, release}
				return conformance.Store{
					Open:  func(context.Context) (backend.VersionedStore, error) { return store, nil },
					Close: func(context.Context) error { closed.Add(1); return nil },
				}, nil
			}}
			results := examine(t, h, "S1", "S2")
			r := results["S1/create"]
			if want := `put "log.json" did not return within 2m0s`; r.Outcome != conformance.Fail || !strings.HasPrefix(r.Seen, want) {
				t.Errorf("heeds %t: %+v", heeds, r)
			}
			if left := strings.Contains(r.Seen, "goroutine was abandoned"); left == heeds {
				t.Errorf("heeds %t: %s", heeds, r.Seen)
			}
			delete(results, "S1/create")
			for name, r := range results {
				if r.Outcome != conformance.Pass {
					t.Errorf("heeds %t: %s: %+v", heeds, name, r)
				}
			}
			// A store that is still at work is not closed under its hands.
			if want, got := int64(len(results)), closed.Load(); heeds && got != want+1 || !heeds && got != want {
				t.Errorf("heeds %t: %d stores closed, of %d and the stuck one", heeds, got, want)
			}
		})
	}
}

// Where nothing returns, the suite does not wait for each of its checks.
func TestStuckStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		h := conformance.Harness{New: func(context.Context) (conformance.Store, error) {
			return conformance.Store{Open: func(context.Context) (backend.VersionedStore, error) {
				<-release
				return memstore.New(), nil
			}}, nil
		}}
		waited := 0
		for _, r := range examine(t, h, "S2", "S3/counter", "S8", "S10", "S11") {
			if r.Outcome != conformance.Fail {
				t.Errorf("%+v", r)
			}
			if strings.HasPrefix(r.Seen, "open a handle did not return within 2m0s") {
				waited++
			} else if !strings.Contains(r.Seen, "not tried") {
				t.Errorf("%+v", r)
			}
		}
		// As many as run side by side when the third gives up.
		if waited < 3 || waited > 10 {
			t.Errorf("%d checks waited", waited)
		}
	})
}

const heldUpVar = "CONFORMANCE_TEST_HELD_UP"

// TestHeldUp is what TestTimeLimit runs.
func TestHeldUp(t *testing.T) {
	if os.Getenv(heldUpVar) == "" {
		t.Log("left to TestTimeLimit")
		return
	}
	conformance.Run(t, conformance.Harness{
		New: func(context.Context) (conformance.Store, error) {
			store := stuck{memstore.New(), "log.json", true, nil}
			return conformance.Store{Open: func(context.Context) (backend.VersionedStore, error) { return store, nil }}, nil
		},
		Only: []string{"S1/create"},
	})
}

// A check that is under way when go test's time limit is near fails by its name,
// before go test ends it all.
func TestTimeLimit(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestHeldUp$", "-test.timeout", "2s")
	cmd.Env = append(os.Environ(), heldUpVar+"=1")
	out, _ := cmd.CombinedOutput() // the test fails
	for _, want := range []string{"--- FAIL: TestHeldUp/S1/create ", "go test's time limit was near"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
