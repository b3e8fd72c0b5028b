package conformance

import (
	"fmt"
	"sync"

	"github.com/immukv/immukv-go/backend"
)

// claims are what the handles of a store said of its versions. A version keeps its
// ETag (S8), and one write makes it (S4, S9), whatever a check is about. A store
// that contradicts itself in this fails the check at once: a client that believes
// both goes on trying for minutes.
type claims struct {
	mu       sync.Mutex
	versions map[versionOf]*claim
}

type versionOf struct {
	name string
	id   backend.VersionID
}

// claim is what was said of one version.
type claim struct {
	etag    backend.ETag
	by      string // the first call that said so
	written bool   // a write returned the version
}

// add returns an error if the version that a call returned contradicts an earlier
// claim. The checks of S4 judge what is no proper ID.
func (c *claims) add(op, name string, v backend.Version) error {
	if v.ID == "" || v.ID == "null" {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.versions == nil {
		c.versions = make(map[versionOf]*claim)
	}
	key := versionOf{name, v.ID}
	was := c.versions[key]
	if was == nil {
		was = &claim{etag: v.ETag, by: op}
		c.versions[key] = was
	}
	switch wrote := op == opPut; {
	case was.etag != v.ETag:
		return unlike(fmt.Sprintf("version %q of %s to have one ETag", v.ID, show(name)), "%s by %s, and %s by %s", was.etag, was.by, v.ETag, op)
	case wrote && was.written:
		return unlike("every write to make a version of its own", "two writes of %s that returned version %q", show(name), v.ID)
	case wrote:
		was.written = true
	}
	return nil
}
