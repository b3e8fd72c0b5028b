package memstore

import (
	"context"
	"fmt"
	"net/url"

	"github.com/immukv/immukv-go/backend"
)

func init() {
	backend.Register("mem", open)
}

// open returns a new empty store for mem://. The URL can have nothing more: two openings
// of the same name would still have different stores.
func open(_ context.Context, u *url.URL) (backend.Store, error) {
	if err := backend.CheckParams(u); err != nil {
		return nil, err
	}
	if u.Host != "" || u.Path != "" || u.Opaque != "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("%w: a store in memory has no name: write mem://", backend.ErrInvalidURL)
	}
	return New(), nil
}
