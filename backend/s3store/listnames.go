package s3store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/immukv/immukv-go/backend"
)

// ListNames implements [backend.VersionedStore].
func (s *Store) ListNames(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
	const op = "list names"
	fail := func(err error) (backend.NamesPage, error) {
		return backend.NamesPage{}, &backend.Error{Op: op, Name: req.Prefix, Err: err}
	}
	from := namesToken{after: req.After}
	if req.Token != "" {
		var err error
		if from, err = parseNamesToken(req.Token); err != nil {
			return fail(err)
		}
	}
	in, possible := s.namesInput(req, from)
	if !possible {
		return backend.NamesPage{}, nil
	}
	out, err := s.client.ListObjectsV2(ctx, in, s.read)
	if err != nil {
		return backend.NamesPage{}, s.listError(op, req.Prefix, err)
	}
	page, err := namesPage(req, from, out)
	if err != nil {
		return fail(err)
	}
	return page, nil
}

// namesInput returns the request for the server. possible is false if its answer can have
// no names.
func (s *Store) namesInput(req backend.NamesRequest, from namesToken) (in *s3.ListObjectsV2Input, possible bool) {
	if from.after > req.Prefix && !strings.HasPrefix(from.after, req.Prefix) {
		return nil, false // every name with the prefix sorts before
	}
	prefix, start, limit := req.Prefix, from.after, req.Limit
	if s.paths {
		if prefix, possible = soundPrefix(prefix); !possible {
			return nil, false
		}
		start = soundStart(prefix, start)
	}
	if s.endsEarly {
		limit = 0
	}
	in = &s3.ListObjectsV2Input{Bucket: &s.bucket, EncodingType: types.EncodingTypeUrl, MaxKeys: pageSize(limit)}
	if prefix != "" {
		in.Prefix = &prefix
	}
	switch {
	case from.server != "":
		in.ContinuationToken = &from.server
	case start != "":
		in.StartAfter = &start
	}
	return in, true
}

// namesPage returns the requested page from the answer.
func namesPage(req backend.NamesRequest, from namesToken, out *s3.ListObjectsV2Output) (backend.NamesPage, error) {
	var page backend.NamesPage
	if out.Name == nil {
		return page, errNoListing
	}
	past := false // the listing is past the prefix
	for _, object := range out.Contents {
		name, err := decodeName(out.EncodingType, object.Key)
		if err != nil {
			return page, err
		}
		switch {
		case strings.HasPrefix(name, req.Prefix) && name > from.after:
			page.Names = append(page.Names, name)
		case name > req.Prefix && !strings.HasPrefix(name, req.Prefix):
			past = true
		}
	}
	switch {
	case req.Limit > 0 && len(page.Names) > req.Limit:
		page.Names = page.Names[:req.Limit]
		page.Next = namesToken{after: page.Names[req.Limit-1]}.encode()
	case aws.ToBool(out.IsTruncated) && !past:
		next := namesToken{server: aws.ToString(out.NextContinuationToken), after: from.after}
		if next.server == "" || next == from {
			return page, &backend.UnsupportedError{Clause: "S11",
				Problem: "the answer is not the last page, but has no continuation token", Remedy: "use a server that lists in pages"}
		}
		page.Next = next.encode()
	}
	return page, nil
}

// namesToken is where a listing of names continues: with the server's token, if it gave
// one, and always after a name.
type namesToken struct{ server, after string }

func (t namesToken) encode() backend.PageToken {
	return backend.PageToken(url.Values{"server": {t.server}, "after": {t.after}}.Encode())
}

func parseNamesToken(token backend.PageToken) (namesToken, error) {
	v, err := url.ParseQuery(string(token))
	t := namesToken{server: v.Get("server"), after: v.Get("after")}
	if err != nil || t == (namesToken{}) {
		return namesToken{}, errForeignToken
	}
	return t, nil
}

// errNoListing: every listing names its bucket. The SDK parses any other answer, such as
// a gateway's page, as an empty listing.
var errNoListing = errors.New("the answer is not a listing of the bucket")

var errForeignToken = errors.New("the page token is not one of this store")

// pageSize returns the number of items to request; nil leaves it to the server.
func pageSize(limit int) *int32 {
	if limit <= 0 || limit > backend.MaxPageSize {
		return nil
	}
	return aws.Int32(int32(limit))
}

// listError returns the error of a listing. Only the bucket can be absent.
func (s *Store) listError(op, name string, err error) error {
	f := examine(err)
	return &backend.Error{Op: op, Name: name, Kind: f.kind(), RetryAfter: f.retryAfter(), Err: f.explain(s, op, name, "")}
}

// decodeName reverses the requested encoding of a name. XML cannot represent every name;
// not every server encodes.
func decodeName(encoding types.EncodingType, name *string) (string, error) {
	if !strings.EqualFold(string(encoding), string(types.EncodingTypeUrl)) {
		return aws.ToString(name), nil
	}
	decoded, err := url.QueryUnescape(aws.ToString(name))
	if err != nil {
		return "", fmt.Errorf("decode a name in the listing: %w", err)
	}
	return decoded, nil
}
