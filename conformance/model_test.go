package conformance_test

import (
	"context"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/conformance"
)

// nameless is a store of which listings of names leave out the object of one key.
type nameless struct{ backend.VersionedStore }

func (s nameless) ListNames(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
	page, err := s.VersionedStore.ListNames(ctx, req)
	for i, name := range page.Names {
		if strings.HasSuffix(name, "/ab.json") {
			page.Names = append(page.Names[:i:i], page.Names[i+1:]...)
			break
		}
	}
	return page, err
}

// A history that fails is reported with few steps, the same for the same seed.
func TestModelReportsFewSteps(t *testing.T) {
	t.Parallel()
	const check = "I3/model"
	h := around(func(s backend.VersionedStore) backend.VersionedStore { return nameless{s} })
	h.Rounds, h.Seed = 100, 7
	r := examine(t, h, check)[check]
	if r.Outcome != conformance.Fail || !strings.Contains(r.Seen, `"ab"`) {
		t.Fatalf("%+v", r)
	}
	if steps := strings.Count(r.Seen, "\n"); steps > 2 {
		t.Errorf("%d steps, where a write and a listing are enough: %s", steps, r.Seen)
	}
	t.Log(r.Seen)
	h.Only = []string{check}
	if most, err := h.MaxRequests(); err != nil || r.Requests > most {
		t.Errorf("%d requests, of which it states %d at most: %v", r.Requests, most, err)
	}
	if again := examine(t, h, check)[check]; again.Seen != r.Seen {
		t.Errorf("with the same seed: %s\nand then: %s", r.Seen, again.Seen)
	}
}
