package s3store

import (
	"context"
	"net/url"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/immukv/immukv-go/backend"
)

// marker is where a listing of versions continues: after that version of that object. The
// key is the server's own if it gave one. It may be the name with an addition.
type marker struct {
	key     string
	version string
}

func (m marker) token() backend.PageToken {
	return backend.PageToken(url.Values{"key": {m.key}, "version": {m.version}}.Encode())
}

func parseToken(token backend.PageToken) (marker, error) {
	v, err := url.ParseQuery(string(token))
	m := marker{key: v.Get("key"), version: v.Get("version")}
	if err != nil || m.key == "" || m.version == "" {
		return marker{}, errForeignToken
	}
	return m, nil
}

// ListVersions implements [backend.VersionedStore].
func (s *Store) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	const op = "list versions"
	fail := func(err error) (backend.VersionsPage, error) {
		return backend.VersionsPage{}, &backend.Error{Op: op, Name: name, Version: req.After, Err: err}
	}
	if err := s.checkName(name); err != nil {
		return fail(err)
	}
	var from marker
	switch {
	case req.Token != "":
		var err error
		if from, err = parseToken(req.Token); err != nil {
			return fail(err)
		}
	case req.After != "":
		from = marker{name, string(req.After)}
	}
	limit := req.Limit
	if limit == 1 && from != (marker{}) {
		limit = 2 // VersityGW may repeat the version after which the page starts
	}
	listed, err := s.listVersions(ctx, name, from, limit)
	if err != nil {
		return backend.VersionsPage{}, s.readError(op, name, req.After, err)
	}
	versions, err := s.inOrder(ctx, name, listed)
	if err != nil {
		return backend.VersionsPage{}, s.readError(op, name, req.After, err)
	}
	if from != (marker{}) {
		repeated := slices.IndexFunc(versions, func(v backend.Version) bool { return string(v.ID) == from.version })
		if repeated < 0 && listed.latest {
			// MinIO starts again if it does not know the marker.
			return backend.VersionsPage{}, &backend.Error{Op: op, Name: name, Version: backend.VersionID(from.version), Kind: backend.ErrNotFound}
		}
		versions = versions[repeated+1:]
	}
	if req.Limit > 0 && len(versions) > req.Limit {
		versions = versions[:req.Limit]
		listed.next = marker{name, string(versions[req.Limit-1].ID)}
	}
	page := backend.VersionsPage{Versions: versions}
	if listed.next != (marker{}) {
		if listed.next.version == "" || listed.next == from {
			return fail(&backend.UnsupportedError{Clause: "S10",
				Problem: "the answer is not the last page, but has no continuation marker", Remedy: "use a server that lists versions in pages"})
		}
		page.Next = listed.next.token()
	}
	return page, nil
}

// listing is one answer, reduced to the requested object.
type listing struct {
	versions []backend.Version // newest first
	deleted  []deleteMarker    // newest first
	latest   bool              // the object's current version is among them
	next     marker            // zero if the object has no more
}

type deleteMarker struct {
	backend.Version
	latest bool
}

// listVersions makes one request. The answer also has names that begin with the requested
// name, but they come after it.
func (s *Store) listVersions(ctx context.Context, name string, from marker, limit int) (*listing, error) {
	in := &s3.ListObjectVersionsInput{
		Bucket:       &s.bucket,
		Prefix:       &name,
		EncodingType: types.EncodingTypeUrl,
		MaxKeys:      pageSize(limit),
	}
	if from != (marker{}) {
		in.KeyMarker, in.VersionIdMarker = &from.key, &from.version
	}
	out, err := s.client.ListObjectVersions(ctx, in, s.read)
	if err != nil {
		return nil, err
	}
	if out.Name == nil {
		return nil, errNoListing
	}
	l := &listing{}
	past := false // it continues with another name
	for _, v := range out.Versions {
		key, err := decodeName(out.EncodingType, v.Key)
		if err != nil {
			return nil, err
		}
		if key != name {
			past = true
			continue
		}
		l.latest = l.latest || aws.ToBool(v.IsLatest)
		l.versions = append(l.versions, backend.Version{ID: backend.VersionID(aws.ToString(v.VersionId)), ETag: backend.ETag(aws.ToString(v.ETag))})
	}
	for _, d := range out.DeleteMarkers {
		key, err := decodeName(out.EncodingType, d.Key)
		if err != nil {
			return nil, err
		}
		if key != name {
			past = true
			continue
		}
		l.latest = l.latest || aws.ToBool(d.IsLatest)
		l.deleted = append(l.deleted, deleteMarker{
			Version: backend.Version{ID: backend.VersionID(aws.ToString(d.VersionId)), DeleteMarker: true},
			latest:  aws.ToBool(d.IsLatest),
		})
	}
	if aws.ToBool(out.IsTruncated) && !past {
		l.next.version = aws.ToString(out.NextVersionIdMarker)
		if l.next.key, err = decodeName(out.EncodingType, out.NextKeyMarker); err != nil {
			return nil, err
		}
		if l.next.key == "" {
			l.next.key = name
		}
	}
	return l, nil
}

// inOrder merges delete markers and versions, newest first.
//
// The answer has them in two lists, and their times are not enough to merge these: two
// versions can have the same second, and VersityGW gives seconds in one list and
// nanoseconds in the other. So a further request asks what follows each delete marker.
// They are rare; ImmuKV makes none.
func (s *Store) inOrder(ctx context.Context, name string, l *listing) ([]backend.Version, error) {
	versions := l.versions
	at := 0 // the earliest place of the next delete marker
	for _, d := range l.deleted {
		if !d.latest && len(l.versions) > 0 {
			after, err := s.listVersions(ctx, name, marker{name, string(d.ID)}, 0)
			if err != nil {
				return nil, err
			}
			at = len(versions)
			if len(after.versions) > 0 {
				if i := slices.Index(versions, after.versions[0]); i >= 0 {
					at = i
				}
			}
		}
		versions = slices.Insert(versions, at, d.Version)
		at++
	}
	return versions, nil
}
