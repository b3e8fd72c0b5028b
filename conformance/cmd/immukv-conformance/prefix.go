package main

import (
	"context"
	"io"
	"strings"

	"github.com/immukv/immukv-go/backend"
)

// prefixed is the part of a store whose names begin with a prefix. Its own
// names lack the prefix.
type prefixed struct {
	store  backend.VersionedStore
	prefix string
}

var _ backend.VersionedStore = prefixed{}

func withPrefix(s backend.VersionedStore, prefix string) backend.VersionedStore {
	if prefix == "" {
		return s
	}
	return prefixed{s, prefix}
}

// name returns the name in the store. An empty name stays empty, and so
// invalid.
func (p prefixed) name(name string) string {
	if name == "" {
		return ""
	}
	return p.prefix + name
}

func (p prefixed) Get(ctx context.Context, name string) (backend.Object, error) {
	return p.store.Get(ctx, p.name(name))
}

func (p prefixed) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	return p.store.GetVersion(ctx, p.name(name), id)
}

func (p prefixed) Head(ctx context.Context, name string) (backend.Version, error) {
	return p.store.Head(ctx, p.name(name))
}

func (p prefixed) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	return p.store.Put(ctx, p.name(name), body, cond)
}

func (p prefixed) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	return p.store.ListVersions(ctx, p.name(name), req)
}

func (p prefixed) ListNames(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
	req.Prefix = p.prefix + req.Prefix
	if req.After != "" {
		req.After = p.prefix + req.After
	}
	page, err := p.store.ListNames(ctx, req)
	for i, name := range page.Names {
		page.Names[i] = strings.TrimPrefix(name, p.prefix)
	}
	return page, err
}

// Close closes the store, if it is an io.Closer.
func (p prefixed) Close() error {
	if c, ok := p.store.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
