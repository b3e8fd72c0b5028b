package sim

import (
	"context"
	"slices"

	"github.com/immukv/immukv-go/backend"
)

// gate decides the effect and the answer of a request.
type gate interface {
	pass(ctx context.Context, r *Request) Reply
}

// handle is the store as one process uses it. It implements every method itself, so that
// a new one cannot bypass the gate.
type handle struct{ gate gate }

var _ backend.VersionedStore = handle{}

func (h handle) Get(ctx context.Context, name string) (backend.Object, error) {
	reply := h.gate.pass(ctx, &Request{Op: OpGet, Name: name})
	return reply.Object, reply.Err
}

func (h handle) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	reply := h.gate.pass(ctx, &Request{Op: OpGetVersion, Name: name, Version: id})
	return reply.Object, reply.Err
}

func (h handle) Head(ctx context.Context, name string) (backend.Version, error) {
	reply := h.gate.pass(ctx, &Request{Op: OpHead, Name: name})
	return reply.Version, reply.Err
}

func (h handle) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	// The request may outlive the call, after which the caller may change the body.
	reply := h.gate.pass(ctx, &Request{Op: OpPut, Name: name, Body: slices.Clone(body), Cond: cond})
	return reply.Version, reply.Err
}

func (h handle) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	reply := h.gate.pass(ctx, &Request{Op: OpListVersions, Name: name, Versions: req})
	return reply.Versions, reply.Err
}

func (h handle) ListNames(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
	reply := h.gate.pass(ctx, &Request{Op: OpListNames, Name: req.Prefix, Names: req})
	return reply.Names, reply.Err
}
