package immukv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/readahead"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// link is the entry that the next one must follow, as far as it is known.
type link struct {
	sequence int64
	hash     Hash         // empty: not known
	log      LogVersionID // empty: not known
}

// beginning is the link that the first entry of a log follows.
var beginning = link{sequence: -1, hash: GenesisHash}

// linkBefore is the link that the entry of a sequence follows.
func linkBefore(sequence int64) link {
	if sequence <= 0 {
		return beginning
	}
	return link{sequence: sequence - 1}
}

func linkOf(v *version) link { return link{sequence: v.Sequence, hash: v.Hash, log: v.log} }

// check returns a [Finding] unless v directly follows the link.
func (l link) check(v *version) error {
	found := func(kind FindingKind, detail string, args ...any) error {
		return Finding{Kind: kind, Object: v.object, VersionID: v.id, Sequence: v.Sequence, Detail: fmt.Sprintf(detail, args...)}
	}
	switch {
	case v.Sequence != l.sequence+1:
		return found(SequenceGap, "it is in the place of sequence %d", l.sequence+1)
	case l.hash != "" && v.PreviousHash != l.hash:
		return found(BrokenLink, "its previous_hash is not the hash of sequence %d before it", l.sequence)
	case l.log != "" && v.before() != l.log:
		return found(BrokenLink, "its previous_version_id is %q, but the entry before it is in version %q", v.before(), l.log)
	case l == beginning && v.before() != "":
		return found(BrokenLink, "the first entry has a previous_version_id")
	}
	return nil
}

// ascent reads log versions oldest first, from a link up to a newest version that was
// read before. Listings are newest first, so the listing is read first, and only its IDs
// are kept. Then the bodies are read, oldest first and several at a time, and every link
// is checked. Versions that are listed out of order, or not at all, are read along the
// chain, which takes longer.
type ascent struct {
	core    *core
	ctx     context.Context
	last    link // of the entry yielded last
	top     *version
	listed  *readahead.Reader[logVersion] // nil if there is nothing between last and top
	next    logVersion                    // the entries to yield next
	waiting []logVersion                  // read, but not yet yielded; a few at most
	drained bool                          // the listing has ended, and top is among those waiting
	bad     []error                       // of versions that cannot be read, the newest first
}

// ascend begins after a link. It must be older than top. The version of the link is
// ignored: it may have another ID in this log, which may be a copy with the same entries.
func (c *core) ascend(ctx context.Context, behind link, top *version) (*ascent, error) {
	behind.log = ""
	a := &ascent{core: c, ctx: ctx, last: behind, top: top}
	if top.among.oldest().Sequence <= behind.sequence+2 {
		return a, nil // the one between is read by its version ID
	}
	x := c.indexVersions(c.prefix+wire.LogName, top.id)
	_, first, err := x.find(ctx, behind.sequence+1, indexed{place: -1, v: top.among.oldest()})
	if err != nil {
		return nil, err
	}
	if v := first.v; v != nil && v.among.newest().Sequence > behind.sequence {
		a.waiting = append(a.waiting, v.among)
	}
	reading := c.logReading()
	reading.Store = &upwards{ids: x.ids, left: first.place}
	a.listed = readahead.New(ctx, reading)
	return a, nil
}

func (a *ascent) close() {
	if a.listed != nil {
		a.listed.Close()
	}
}

// read returns the next entry, or nil after the top. An entry whose hash does not match
// is returned with its error. If the next version cannot be read as an entry, read
// returns its error, and the next call returns the entries after it. Any other error is
// the last result.
func (a *ascent) read() (*version, error) {
	if a.last.sequence >= a.top.Sequence {
		return nil, nil
	}
	v, err := a.successor()
	if v == nil {
		return nil, err
	}
	if err := a.last.check(v); err != nil {
		return nil, err
	}
	a.last = linkOf(v)
	return v, v.checkHash()
}

// readVersion returns the entries of the next version that have not been returned yet, or
// io.EOF after the top. It returns no entry of a version that has one that cannot be
// trusted.
func (a *ascent) readVersion() (logVersion, error) {
	v, err := a.read()
	if v == nil && err == nil {
		err = io.EOF
	}
	if err != nil {
		return nil, err
	}
	l := v.among[v.place:]
	for range l[1:] {
		if _, err := a.read(); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// successor returns the entry of the next sequence.
func (a *ascent) successor() (*version, error) {
	for filled := false; ; {
		if len(a.next) > 0 {
			v := a.next[0]
			a.next = a.next[1:]
			return v, nil
		}
		if n := len(a.bad); n > 0 {
			err := a.bad[n-1]
			a.bad = a.bad[:n-1]
			return nil, err
		}
		if a.takeWaiting() {
			continue
		}
		switch {
		case len(a.waiting) < reorderWindow && !a.drained:
			if err := a.more(); err != nil {
				return nil, err
			}
		case filled:
			return nil, a.missing()
		default:
			filled = true
			if err := a.fill(); err != nil {
				return nil, err
			}
		}
	}
}

// takeWaiting moves the waiting version with the entry of the next sequence to next.
func (a *ascent) takeWaiting() bool {
	for i, l := range a.waiting {
		k := slices.IndexFunc(l, func(v *version) bool { return v.Sequence == a.last.sequence+1 })
		if k >= 0 {
			a.waiting = append(a.waiting[:i:i], a.waiting[i+1:]...)
			a.next = l[k:]
			return true
		}
	}
	return false
}

// more reads one more version.
func (a *ascent) more() error {
	var f *fetchedLog
	var err error
	if a.listed != nil {
		f, err = a.listed.Next()
	}
	switch {
	case err != nil:
		return err
	case f == nil:
		a.waiting = append(a.waiting, a.top.among[:a.top.place+1])
		a.drained = true
	case f.Value == nil && !isEntryError(f.Err) && !gone(f.Err):
		return f.Err
	case f.Value != nil && f.Value.newest().Sequence > a.last.sequence && f.Value.newest().Sequence < a.top.Sequence:
		a.waiting = append(a.waiting, f.Value)
	}
	return nil
}

// fill reads the versions that are missing before those that wait, along the chain.
func (a *ascent) fill() error {
	lowest := a.lowest()
	missing := lowest.Sequence - a.last.sequence - 1
	versions := 0
	for v, err := range a.core.chain(a.ctx, lowest, int(missing)+1) {
		if v == nil || v == v.among.newest() {
			versions++
		}
		switch {
		case versions > 4*reorderWindow:
			return a.missing()
		case v != nil && v != lowest && v.Sequence > a.last.sequence:
			a.waiting = append(a.waiting, logVersion{v})
		case v != nil:
		case isEntryError(err):
			a.bad = append(a.bad, err)
		case errors.Is(err, backend.ErrNotFound):
			return a.missing()
		default:
			return err
		}
	}
	if len(a.bad) > 0 {
		a.last = link{sequence: a.lowest().Sequence - 1}
	}
	return nil
}

func (a *ascent) lowest() *version {
	lowest := a.waiting[0].oldest()
	for _, l := range a.waiting {
		if v := l.oldest(); v.Sequence < lowest.Sequence {
			lowest = v
		}
	}
	return lowest
}

func (a *ascent) missing() error {
	return Finding{
		Kind: MissingVersion, Object: a.core.prefix + wire.LogName, Sequence: a.last.sequence + 1,
		Detail: fmt.Sprintf("the entry is missing: the log has sequence %d", a.top.Sequence),
	}
}

// ascending yields the entries after a link up to top, oldest first. For a version that
// cannot be read as an entry, it yields the error and continues. Any other error without
// an entry is the last.
func (c *core) ascending(ctx context.Context, behind link, top *version) iter.Seq2[*version, error] {
	return func(yield func(*version, error) bool) {
		a, err := c.ascend(ctx, behind, top)
		if err != nil {
			yield(nil, err)
			return
		}
		defer a.close()
		for {
			v, err := a.read()
			if v == nil && err == nil || !yield(v, err) || v == nil && !isEntryError(err) {
				return
			}
		}
	}
}
