package fleet

import (
	"context"
	"sync"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
)

// watched is the store; it adds every write to the model.
type watched struct {
	store *memstore.Store
	model *model
	mu    *sync.Mutex // for concurrent writes
}

var _ backend.VersionedStore = watched{}

func (w watched) Get(ctx context.Context, name string) (backend.Object, error) {
	return w.store.Get(ctx, name)
}

func (w watched) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	return w.store.GetVersion(ctx, name, id)
}

func (w watched) Head(ctx context.Context, name string) (backend.Version, error) {
	return w.store.Head(ctx, name)
}

func (w watched) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, err := w.store.Put(ctx, name, body, cond)
	if err == nil {
		err = w.model.write(name, body, v, &Client{})
	}
	return v, err
}

func (w watched) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	return w.store.ListVersions(ctx, name, req)
}

func (w watched) ListNames(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
	return w.store.ListNames(ctx, req)
}

// logOnly is the store for a client without permission to write key objects.
type logOnly struct{ backend.VersionedStore }

func (l logOnly) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if name != logObject {
		return backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrAccessDenied}
	}
	return l.VersionedStore.Put(ctx, name, body, cond)
}
