package immukv

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// versionIndex holds the versions of one object by their places in the listing: 0 is the
// newest. It lists only as far as needed, and keeps only the IDs. Delete markers have no
// place.
//
// The order of a listing is a hint. Sequence numbers decrease along it, except for
// versions that are up to reorderWindow places out of order.
type versionIndex struct {
	core    *core
	object  string
	listing backend.VersionsRequest
	ids     idList
	ended   bool
}

// indexVersions begins with the versions older than after, or with the newest.
func (c *core) indexVersions(object string, after backend.VersionID) *versionIndex {
	return &versionIndex{core: c, object: object, listing: backend.VersionsRequest{After: after}}
}

// reach lists until the version at place i is known. It reports false if the listing ends
// before.
func (x *versionIndex) reach(ctx context.Context, i int) (bool, error) {
	for x.ids.len() <= i && !x.ended {
		page, err := x.core.store.ListVersions(ctx, x.object, x.listing)
		if err != nil {
			return false, err
		}
		x.ids.add(page.Versions)
		x.listing.Token = page.Next
		x.ended = page.Next == ""
	}
	return i < x.ids.len(), nil
}

// read reads the version at a known place. For a version of the log, it returns the
// oldest entry.
func (x *versionIndex) read(ctx context.Context, i int) (indexed, error) {
	p := indexed{place: i}
	obj, err := x.core.store.GetVersion(ctx, x.object, x.ids.at(i))
	if err != nil {
		return p, err
	}
	p.etag = obj.ETag
	if x.object == x.core.prefix+wire.LogName {
		var l logVersion
		if l, err = x.core.readLogVersion(obj.ID, obj.Body); err == nil {
			p.v = l.oldest()
		}
	} else {
		p.v, err = x.core.readKeyVersion(ctx, x.object, obj.ID, obj.Body)
	}
	return p, err
}

// indexed is a version and its place in an index.
type indexed struct {
	place int
	v     *version // nil: it was not read
	etag  backend.ETag
}

// find searches for the place of a sequence number. It returns the version before that
// place, whose sequence is greater, and the version after it, whose sequence is not. The
// second has not been read if nothing older is listed. The two are neighbours unless one
// of them has the sequence itself, or the versions between them cannot be read.
//
// The search begins at a version with a greater sequence. If each version of a log has
// one entry, the difference of the sequences is the distance of the places, and find
// reads little more than the version that it returns. Otherwise that difference is the
// largest possible distance. Then find goes down by the average difference between
// neighbours so far, and afterwards alternates between bisection and interpolation.
func (x *versionIndex) find(ctx context.Context, sequence int64, from indexed) (above, below indexed, err error) {
	above, below = from, indexed{place: -1}
	for step := 1; below.place < 0; step *= 2 {
		place, last, err := x.guess(ctx, sequence, from, above, step)
		if err != nil {
			return above, below, err
		}
		p, err := x.probe(ctx, place, above.place, x.ids.len())
		switch {
		case err != nil:
			return above, below, err
		case p.v == nil, last && p.v.Sequence > sequence:
			if p.v != nil {
				above = p
			}
			below = indexed{place: x.ids.len()}
		case p.v.Sequence > sequence:
			above = p
		default:
			below = p
		}
	}
	for halve := false; below.place-above.place > 1; halve = !halve {
		if below.v.at(sequence) != nil {
			break
		}
		p, err := x.probe(ctx, between(above, below, sequence, halve), above.place, below.place)
		switch {
		case err != nil:
			return above, below, err
		case p.v == nil:
			return above, below, nil
		case p.v.Sequence > sequence:
			above = p
		default:
			below = p
		}
	}
	return above, below, nil
}

// guess returns the place to read next while going down, and whether it is the last
// place.
func (x *versionIndex) guess(ctx context.Context, sequence int64, from, above indexed, step int) (place int, last bool, err error) {
	most := above.v.Sequence - sequence // in places, because each version has its own sequence
	distance := most
	if passed, down := int64(above.place-from.place), from.v.Sequence-above.v.Sequence; passed > 0 && down > passed {
		distance = int64(float64(most)/float64(down)*float64(passed)) + 1
	}
	if above.place == from.place {
		// The average difference between neighbours is not known yet.
		if _, err := x.reach(ctx, above.place+1); err != nil {
			return 0, false, err
		}
		distance = min(distance, int64(max(x.ids.len()-1-above.place, 1)))
	}
	distance = min(max(distance, int64(step)), most, 1<<40)
	place = above.place + int(distance)
	known, err := x.reach(ctx, place)
	if err != nil {
		return 0, false, err
	}
	if !known {
		place = x.ids.len() - 1
	}
	return place, x.ended && place == x.ids.len()-1, nil
}

// between returns a place between two others.
func between(above, below indexed, sequence int64, halve bool) int {
	width := below.place - above.place
	if halve || below.v == nil || above.v.Sequence == below.v.Sequence {
		return above.place + width/2
	}
	part := float64(above.v.Sequence-sequence) / float64(above.v.Sequence-below.v.Sequence)
	return above.place + min(max(int(part*float64(width)), 1), width-1)
}

// probe reads the version at a place. If that version cannot be read, it reads one close
// by that is between above and below. It returns none if there is none. It does not check
// the hash: the caller does not rely on the versions that it passes.
func (x *versionIndex) probe(ctx context.Context, place, above, below int) (indexed, error) {
	for i := range 2*reorderWindow + 1 {
		at := place + (i+1)/2
		if i%2 == 1 {
			at = place - (i+1)/2
		}
		if at <= above || at >= below {
			continue
		}
		p, err := x.read(ctx, at)
		if p.v != nil || err != nil && !isEntryError(err) && !gone(err) {
			if p.v != nil {
				err = nil
			}
			return p, err
		}
	}
	return indexed{place: place}, nil
}

// upwards lists the versions of an index from a place up to the newest, for a reader that
// reads them oldest first. It forgets the versions that it has listed.
type upwards struct {
	ids  idList
	left int
}

// ListVersions implements the method of a store; it ignores the request.
func (u *upwards) ListVersions(context.Context, string, backend.VersionsRequest) (backend.VersionsPage, error) {
	n := min(u.left, backend.MaxPageSize)
	page := backend.VersionsPage{Versions: make([]backend.Version, n)}
	for i := range n {
		u.left--
		page.Versions[i].ID = u.ids.at(u.left)
	}
	u.ids.truncate(u.left)
	if u.left > 0 {
		page.Next = backend.PageToken(fmt.Sprint(u.left))
	}
	return page, nil
}

// idList is a packed list of version IDs: each takes its characters and 4 bytes.
type idList struct{ pages []idPage }

type idPage struct {
	first int // the place of its first ID
	text  string
	ends  []uint32 // where in the text each ID ends
}

func (l *idList) len() int {
	if len(l.pages) == 0 {
		return 0
	}
	p := &l.pages[len(l.pages)-1]
	return p.first + len(p.ends)
}

// add appends the IDs of a page of a listing.
func (l *idList) add(versions []backend.Version) {
	p := idPage{first: l.len(), ends: make([]uint32, 0, len(versions))}
	var text strings.Builder
	for _, v := range versions {
		if !v.DeleteMarker {
			text.WriteString(string(v.ID))
			p.ends = append(p.ends, uint32(text.Len()))
		}
	}
	if p.text = text.String(); len(p.ends) > 0 {
		l.pages = append(l.pages, p)
	}
}

func (l *idList) at(i int) backend.VersionID {
	n := sort.Search(len(l.pages), func(n int) bool { return l.pages[n].first > i }) - 1
	p := &l.pages[n]
	i -= p.first
	start := uint32(0)
	if i > 0 {
		start = p.ends[i-1]
	}
	return backend.VersionID(p.text[start:p.ends[i]])
}

// truncate frees the pages that begin at a place or after it.
func (l *idList) truncate(i int) {
	for n := len(l.pages) - 1; n >= 0 && l.pages[n].first >= i; n-- {
		l.pages[n] = idPage{}
		l.pages = l.pages[:n]
	}
}
