package blobstore

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/immukv/immukv-go/backend"
)

// The versions of an object are numbered 1, 2, 3 … without a gap: version n+1 is created
// only after version n was read. Their IDs and ETags are spelled differently, so that a
// program that confuses them fails.

// maxNumber is one more than any version's number.
const maxNumber = 1e16 - 1

func versionID(n int64) backend.VersionID {
	return backend.VersionID("v" + strconv.FormatInt(n, 10))
}

func etag(n int64) backend.ETag { return backend.ETag("e" + strconv.FormatInt(n, 10)) }

func version(n int64) backend.Version { return backend.Version{ID: versionID(n), ETag: etag(n)} }

// numberOf parses a number written after a letter. It reports false for any other
// spelling.
func numberOf(s, letter string) (int64, bool) {
	digits, ok := strings.CutPrefix(s, letter)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil && 0 < n && n < maxNumber && strconv.FormatInt(n, 10) == digits
}

// baseOf is the last element of the key of a version's body:
//
//	9999999999999996.v3
//
// The first number counts down, so that the newest version is the first in a listing, and
// is found by listing one key.
func baseOf(n int64) string { return fmt.Sprintf("%016d.v%d", int64(maxNumber)-n, n) }

// numberOfBase is the inverse of baseOf. It reports false for other files: hints, and
// temporary files of killed writers.
func numberOfBase(base string) (int64, bool) {
	_, id, _ := strings.Cut(base, ".")
	n, ok := numberOf(id, "v")
	return n, ok && baseOf(n) == base
}
