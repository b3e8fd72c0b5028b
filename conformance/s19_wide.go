package conformance

import (
	"context"
	"fmt"

	"github.com/immukv/immukv-go/backend"
)

const (
	// wideWrites is how many objects are written at once: as many as a client of
	// the protocol writes when it applies a batch.
	wideWrites = 128
	// wideLosers is how many writes beside them are under an ETag that another
	// object has, or none.
	wideLosers = 32
)

// checkWide writes many objects at once, round by round, reads them at once, and
// checks every version at the end.
func checkWide(ctx context.Context, e *env) error {
	names := make([]string, wideWrites)
	for i := range names {
		names[i] = fmt.Sprintf("wide/%03d", i)
	}
	written := make([][]backend.Object, wideWrites)
	for round := range 1 + e.fewRounds(4) {
		if err := e.writeWide(ctx, round, names, written); err != nil {
			return err
		}
		if err := e.readWide(ctx, names, written); err != nil {
			return err
		}
	}
	return together(wideWrites+1, func(i int) error {
		if i == wideWrites {
			return listed(ctx, e.stores[1], names, backend.NamesRequest{Prefix: "wide/"})
		}
		got, err := listVersions(ctx, e.stores[i%2], names[i], backend.VersionsRequest{}, len(written[i]))
		if err != nil {
			return err
		}
		if err := sameVersions("the versions of "+show(names[i])+", which was written while others were,", newestFirst(written[i]), got); err != nil {
			return err
		}
		return readable(ctx, e.stores[i%2], names[i], written[i][e.rounds()%len(written[i])])
	})
}

// writeWide writes the next version of each object, through one handle: the order
// of versions may come from a clock of its server.
func (e *env) writeWide(ctx context.Context, round int, names []string, written [][]backend.Object) error {
	s := e.stores[0]
	losers := 0
	if round > 0 {
		losers = wideLosers
	}
	before := make([]backend.ETag, len(names))
	for i, versions := range written {
		if round > 0 {
			before[i] = versions[len(versions)-1].ETag
		}
	}
	return together(wideWrites+losers, func(i int) error {
		if i >= wideWrites {
			i = 4 * (i - wideWrites)
			tag := before[i+1]
			if tag == before[i] { // tags may be numbers, the same for every object
				tag = unlikeTag(tag)
			}
			return mustFail(ctx, s, names[i], []byte("by a writer that was to lose"), backend.IfMatch(tag))
		}
		cond := backend.IfAbsent()
		if round > 0 {
			cond = backend.IfMatch(before[i])
		}
		o, err := write(ctx, s, names[i], fmt.Appendf(nil, "round %d of %s", round, names[i]), cond)
		written[i] = append(written[i], o)
		return err
	})
}

// readWide reads the current version of each object.
func (e *env) readWide(ctx context.Context, names []string, written [][]backend.Object) error {
	return together(wideWrites, func(i int) error {
		return current(ctx, e.stores[i%2], names[i], written[i][len(written[i])-1])
	})
}
