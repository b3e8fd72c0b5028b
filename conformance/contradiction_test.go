package conformance_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/conformance"
)

// staleTags is a store that answers a write with the ETag of the version before.
type staleTags struct {
	backend.VersionedStore
	mu   *sync.Mutex
	tags map[string]backend.ETag // by object
}

func (s staleTags) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.VersionedStore.Put(ctx, name, body, cond)
	if err != nil {
		return v, err
	}
	before, ok := s.tags[name]
	s.tags[name] = v.ETag
	if ok {
		v.ETag = before
	}
	return v, nil
}

// A store that contradicts itself is found out before the clients of the
// protocol's checks have begun to wait for it to agree with itself. They wait for
// minutes, and make thousands of requests.
func TestContradictionEndsTheCheck(t *testing.T) {
	t.Parallel()
	h := around(func(s backend.VersionedStore) backend.VersionedStore {
		return staleTags{s, new(sync.Mutex), make(map[string]backend.ETag)}
	})
	h.Only, h.Deep = []string{"I"}, false // a deep batch is of a thousand requests before its answers are compared
	results, err := conformance.Examine(t.Context(), h, func(conformance.Result) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Outcome == conformance.NotApplicable {
			continue
		}
		if strings.HasPrefix(r.Check, "I17/one-") && r.Outcome == conformance.Pass {
			continue // they write each object once
		}
		if r.Outcome != conformance.Fail || !strings.Contains(r.Expected, "to have one ETag") || r.Requests > 500 {
			t.Errorf("%+v", r)
		}
	}
}
