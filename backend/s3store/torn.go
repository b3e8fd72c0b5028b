package s3store

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/immukv/immukv-go/backend"
)

// VersityGW (1.8.0) looks a name up anew for each part of its answer: whether the
// version asked for is the current one, then the ETag, the ID, the body. When the
// object is written in between, the answer has parts of two versions: the ETag of
// one with the body of the next (S6), or, under the ID that was asked for, all of
// the next (S8). Writes are not concerned: the ETag is never newer than the body,
// so that a write that follows such a read fails its condition.

// errTorn says that an answer has, or may have, parts of different versions.
var errTorn = errors.New("the object was written while it was read, every time")

// getWhole reads an object from such a server, or fails with errTorn.
func (s *Store) getWhole(ctx context.Context, in *s3.GetObjectInput) (backend.Object, error) {
	first, err := s.getOnce(ctx, in)
	if err != nil || in.VersionId == nil && digestFits(first) {
		return first, err
	}
	// A version that was overwritten during the first read is no longer current
	// at the second, and then read from where nothing is written any more.
	second, err := s.getOnce(ctx, in)
	if err != nil {
		return backend.Object{}, err
	}
	if first.Version != second.Version || !bytes.Equal(first.Body, second.Body) {
		return backend.Object{}, errTorn
	}
	return second, nil
}

// digestFits tells whether the ETag of an object is the digest of its body. Where
// it is, they belong together. Where it is not, nothing is known: an ETag is
// opaque.
func digestFits(object backend.Object) bool {
	sum := md5.Sum(object.Body)
	return strings.Trim(string(object.ETag), `"`) == hex.EncodeToString(sum[:])
}
