package cli

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend"
)

func init() {
	backend.Register("refused", func(context.Context, *url.URL) (backend.Store, error) {
		return nil, &backend.UnsupportedError{Clause: "S4", Problem: "versioning is off", Remedy: "turn it on"}
	})
}

// carelessStore is a store whose conditional writes are not.
type carelessStore struct{ backend.VersionedStore }

func (s *carelessStore) Put(ctx context.Context, name string, body []byte, _ backend.Condition) (backend.Version, error) {
	for {
		cond := backend.IfAbsent()
		if v, err := s.Head(ctx, name); err == nil {
			cond = backend.IfMatch(v.ETag)
		}
		if v, err := s.VersionedStore.Put(ctx, name, body, cond); err == nil {
			return v, nil
		}
	}
}

// TestDoctorFindsFault has doctor look at stores that cannot be trusted.
func TestDoctorFindsFault(t *testing.T) {
	t.Parallel()
	careless, held := holdStore(t)
	held.front = func(inner backend.VersionedStore) backend.VersionedStore { return &carelessStore{inner} }
	for store, want := range map[string]struct{ clause, text string }{
		careless:     {"S1", "remedy: "},
		"refused://": {"S4", "seen: versioning is off\n                  remedy: turn it on\n"},
	} {
		r := runHere(t.Context(), "", "--store", store, "doctor")
		if r.code != exitFailed || !strings.Contains(r.stdout, want.text) || !strings.HasSuffix(r.stdout, "\nThe store cannot be trusted.\n") ||
			!strings.Contains(r.stderr, "immukv: the store cannot be trusted") {
			t.Errorf("%s: exit code %d: %s%s", store, r.code, r.stdout, r.stderr)
		}
		r = runHere(t.Context(), "", "--store", store, "--json", "doctor")
		var report doctorJSON
		if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || r.code != exitFailed || report.Trusted {
			t.Fatalf("%s: exit code %d: %v: %s%s", store, r.code, err, r.stdout, r.stderr)
		}
		if f := report.Clauses[0]; f.Clause != want.clause || f.Outcome != backend.ProbeFailed || f.Remedy == "" {
			t.Errorf("%s: %+v", store, f)
		}
	}
}
