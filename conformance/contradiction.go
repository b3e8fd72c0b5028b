package conformance

import (
	"fmt"
	"sync"

	"github.com/immukv/immukv-go/backend"
)

// claims records what the calls of a check returned about versions. A version keeps its
// ETag (S8) and is made by one write (S4, S9). A store that contradicts itself fails
// every check at once: a client that trusts both answers retries for minutes.
type claims struct {
	mu       sync.Mutex
	versions map[versionOf]*claim
}

type versionOf struct {
	name string
	id   backend.VersionID
}

// claim is what calls returned about one version.
type claim struct {
	etag    backend.ETag
	by      string // the first call that said so
	written bool   // a write returned the version
}

// add records the version that a call returned. It returns an error if the
// version contradicts an earlier claim. It ignores versions without a proper
// ID, which the checks of S4 report.
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
