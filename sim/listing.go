package sim

import (
	"context"
	"slices"
	"strings"

	"github.com/immukv/immukv-go/backend"
)

// hollowMark begins the token of an empty page, once for each consecutive empty page.
// After it comes the token with which the first one was requested.
const hollowMark = "hollow:"

// hollow returns an empty page that continues where it began.
func hollow(r *Request) (reply Reply) {
	reply.Versions.Next = hollowMark + r.Versions.Token
	reply.Names.Next = hollowMark + r.Names.Token
	return reply
}

// withoutMarks returns the request for the store.
func withoutMarks(r *Request) *Request {
	plain := *r
	plain.Versions.Token = trimMarks(r.Versions.Token)
	plain.Names.Token = trimMarks(r.Names.Token)
	return &plain
}

func trimMarks(token backend.PageToken) backend.PageToken {
	rest := string(token)
	for strings.HasPrefix(rest, hollowMark) {
		rest = rest[len(hollowMark):]
	}
	return backend.PageToken(rest)
}

// disorderedRun is how many neighbours of a listing are exchanged: on S3 the order
// depends on timestamps, which neighbours may share.
const disorderedRun = 3

func disorder(versions []backend.Version) {
	for run := range slices.Chunk(versions, disorderedRun) {
		slices.Reverse(run)
	}
}

// shaped performs a request, and changes a listing as the answer of the fault says.
func shaped(ctx context.Context, store backend.VersionedStore, r *Request, a Answer) Reply {
	if a == Hollow {
		return hollow(r)
	}
	plain := withoutMarks(r)
	if a == Short {
		plain.Versions.Limit, plain.Names.Limit = 1, 1
	}
	reply := perform(ctx, store, plain)
	if a == Disordered {
		disorder(reply.Versions.Versions)
	}
	return reply
}
