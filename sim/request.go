package sim

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/immukv/immukv-go/backend"
)

// Op is a method of the store.
type Op uint8

// The methods of a [backend.VersionedStore], in the order in which requests of
// one process that wait at the same time are sorted.
const (
	OpGet Op = iota
	OpGetVersion
	OpHead
	OpPut
	OpListVersions
	OpListNames
)

var opNames = [...]string{"get", "get version", "head", "put", "list versions", "list names"}

// String returns the name of the method in errors of the store.
func (o Op) String() string { return opNames[o] }

// Request is one call of a method of the store.
type Request struct {
	Op      Op
	Name    string            // the object, or the prefix of a listing of names
	Version backend.VersionID // of a get version
	Body    []byte            // of a put
	Cond    backend.Condition // of a put

	Versions backend.VersionsRequest
	Names    backend.NamesRequest
}

// Writes reports whether the request can change the store.
func (r *Request) Writes() bool { return r.Op == OpPut }

// failed returns the error of a request without an answer. The outcome of a write is then
// unknown.
func (r *Request) failed(cause error) *backend.Error {
	e := &backend.Error{Op: r.Op.String(), Name: r.Name, Version: r.Version, Err: cause}
	if r.Writes() {
		e.Kind = backend.ErrOutcomeUnknown
	}
	return e
}

// String returns the request as traces print it.
func (r *Request) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %s", r.Op, r.Name)
	switch {
	case r.Version != "":
		fmt.Fprintf(&b, " version %s", r.Version)
	case r.Op == OpPut:
		fmt.Fprintf(&b, " %v", r.Cond)
	case r.Versions.Token != "":
		fmt.Fprintf(&b, " from page %s", r.Versions.Token)
	case r.Versions.After != "":
		fmt.Fprintf(&b, " after %s", r.Versions.After)
	case r.Names.Token != "":
		fmt.Fprintf(&b, " from page %s", r.Names.Token)
	case r.Names.After != "":
		fmt.Fprintf(&b, " after %s", r.Names.After)
	}
	return b.String()
}

// compare orders requests by their content.
func (r *Request) compare(s *Request) int {
	return cmp.Or(
		cmp.Compare(r.Op, s.Op),
		cmp.Compare(r.Name, s.Name),
		cmp.Compare(r.Version, s.Version),
		cmp.Compare(r.Versions.After, s.Versions.After),
		cmp.Compare(r.Versions.Token, s.Versions.Token),
		cmp.Compare(r.Names.After, s.Names.After),
		cmp.Compare(r.Names.Token, s.Names.Token),
		cmp.Compare(r.Cond.ETag(), s.Cond.ETag()),
		cmp.Compare(string(r.Body), string(s.Body)),
	)
}

// Reply is a store's answer to a request.
type Reply struct {
	Object   backend.Object  // of a get or get version
	Version  backend.Version // of a head or put
	Versions backend.VersionsPage
	Names    backend.NamesPage
	Err      error
}

// perform lets a request take effect.
func perform(ctx context.Context, store backend.VersionedStore, r *Request) (reply Reply) {
	switch r.Op {
	case OpGet:
		reply.Object, reply.Err = store.Get(ctx, r.Name)
	case OpGetVersion:
		reply.Object, reply.Err = store.GetVersion(ctx, r.Name, r.Version)
	case OpHead:
		reply.Version, reply.Err = store.Head(ctx, r.Name)
	case OpPut:
		reply.Version, reply.Err = store.Put(ctx, r.Name, r.Body, r.Cond)
	case OpListVersions:
		reply.Versions, reply.Err = store.ListVersions(ctx, r.Name, r.Versions)
	case OpListNames:
		reply.Names, reply.Err = store.ListNames(ctx, r.Names)
	}
	return reply
}
