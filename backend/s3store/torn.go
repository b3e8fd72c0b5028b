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

// VersityGW (1.8.0) looks up a name again for each part of its answer: first whether the
// requested version is the current one, then the ETag, the ID, the body. If the object is
// written in between, the answer has parts of two versions: the ETag of one with the body
// of the next (S6), or the whole next version under the requested ID (S8). Writes are not
// affected: the ETag is never newer than the body, so a write that follows such a read
// fails its condition.

// errTorn means that an answer has, or may have, parts of different versions.
var errTorn = errors.New("the object was written during each attempt to read it")

// getWhole reads an object from such a server, or fails with errTorn.
func (s *Store) getWhole(ctx context.Context, in *s3.GetObjectInput) (backend.Object, error) {
	first, err := s.getOnce(ctx, in)
	if err != nil || in.VersionId == nil && digestFits(first) {
		return first, err
	}
	// A version that was overwritten during the first read is no longer current during
	// the second. Then it is read from a place that no longer changes.
	second, err := s.getOnce(ctx, in)
	if err != nil {
		return backend.Object{}, err
	}
	if first.Version != second.Version || !bytes.Equal(first.Body, second.Body) {
		return backend.Object{}, errTorn
	}
	return second, nil
}

// digestFits reports whether the ETag of an object is the digest of its body. If it is,
// they belong together. If it is not, nothing is known: an ETag is opaque.
func digestFits(object backend.Object) bool {
	sum := md5.Sum(object.Body)
	return strings.Trim(string(object.ETag), `"`) == hex.EncodeToString(sum[:])
}
