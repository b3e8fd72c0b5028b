package cli

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
)

// heldStore is a store in memory that command lines find by the URL held://name. It
// may be replaced, and stand behind another one that does as a test likes.
type heldStore struct {
	store *memstore.Store
	front func(backend.VersionedStore) backend.VersionedStore
}

var held sync.Map // *heldStore by name

func init() {
	backend.Register("held", func(_ context.Context, u *url.URL) (backend.Store, error) {
		h, ok := held.Load(u.Host)
		if !ok {
			return nil, fmt.Errorf("%w: no store is held as %s", backend.ErrInvalidURL, u.Host)
		}
		s := h.(*heldStore)
		if s.front == nil {
			return unclosed{s.store}, nil
		}
		return unclosed{s.front(s.store)}, nil
	})
}

// unclosed is a store that outlives its being closed.
type unclosed struct{ backend.VersionedStore }

func (unclosed) Close() error { return nil }

func holdStore(t *testing.T) (string, *heldStore) {
	t.Helper()
	s := &heldStore{store: memstore.New()}
	name := fmt.Sprintf("%p", s)
	held.Store(name, s)
	t.Cleanup(func() { held.Delete(name) })
	return "held://" + name, s
}
