package immukv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// head is the newest entry of the log, as this client last saw it.
type head struct {
	*version              // nil: the log has no entry yet
	etag     backend.ETag // of the log object: what an append must match
	phase2   phase2
}

// phase2 is what is known of an entry's second phase. Nothing may be appended to
// an entry that is not known to be applied: repair looks only at the newest
// entry, so an orphan with an entry on top of it would stay one for good.
type phase2 int

const (
	unchecked phase2 = iota
	orphan           // the key object does not show the entry yet
	applied          // it does; for an empty log, it was never anything but empty
)

// empty tells whether the log has no entry yet.
func (h *head) empty() bool { return h.version == nil }

// next is the condition, and the fields, of the entry that follows.
func (h *head) next() (cond backend.Condition, sequence int64, previous Hash, follows LogVersionID) {
	if h.empty() {
		return backend.IfAbsent(), 0, GenesisHash, ""
	}
	return backend.IfMatch(h.etag), h.Sequence + 1, h.Hash, h.log
}

// keyTag is what a key object's current version is: the condition under which an
// entry of that key will have to be applied.
type keyTag struct {
	etag   backend.ETag
	exists bool
}

func (t keyTag) condition() backend.Condition {
	if !t.exists {
		return backend.IfAbsent()
	}
	return backend.IfMatch(t.etag)
}

// expectedTag is the tag that the key object of an entry had when the entry was
// appended, and has as long as the entry is an orphan.
func (v *version) expectedTag() keyTag {
	return keyTag{etag: v.PreviousKeyETag, exists: v.HasPreviousKeyETag}
}

// keyTags remembers the tags of key objects. It is right for as long as the head
// is the one it was collected under, and belongs to whoever has the writers' turn.
type keyTags map[string]keyTag

// maxKeyTags bounds what a client remembers; beyond it, it starts afresh.
const maxKeyTags = 8192

func (c *core) rememberTag(key string, tag keyTag) {
	if c.keyTags == nil || len(c.keyTags) >= maxKeyTags {
		c.keyTags = make(keyTags)
	}
	c.keyTags[key] = tag
}

// knownHead is the head as last seen, or nil.
func (c *core) knownHead() *head {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.head
}

// setHead replaces what is known of the head. Only who has the writers' turn calls
// it. A head is never changed once it is known, so that readers may hold one.
func (c *core) setHead(h *head) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.head = h
	if h != nil && h.phase2 == applied {
		c.lastCheck = time.Now()
	}
}

// pendingFor is the newest entry if it is one of this key that the key object is
// known not to show yet, or nil.
func (c *core) pendingFor(key string) *version {
	h := c.knownHead()
	if h == nil || h.phase2 != orphan || h.Key != key {
		return nil
	}
	return h.version
}

// readHead asks the store for the newest entry. What was remembered of key
// objects is kept only so far as the entries since cannot have changed it.
func (c *core) readHead(ctx context.Context) (*head, error) {
	object := c.prefix + wire.LogName
	obj, err := c.store.Get(ctx, object)
	var fresh *head
	switch {
	case errors.Is(err, backend.ErrNotFound):
		fresh = &head{}
	case err != nil:
		return nil, fmt.Errorf("read the head of the log: %w", err)
	default:
		v, err := c.readLogVersion(obj.ID, obj.Body)
		if err != nil {
			return nil, fmt.Errorf("read the head of the log: %w", err)
		}
		fresh = &head{version: v, etag: obj.ETag}
	}
	if known := c.knownHead(); known != nil {
		if err := c.checkExtends(known, fresh); err != nil {
			return nil, err
		}
	}
	return c.learn(fresh), nil
}

// checkExtends is an error if the log does not end with an entry that once was its
// newest, or with a later one. What has been there is gone then, and nothing may be
// written in its place.
func (c *core) checkExtends(old, fresh *head) error {
	switch {
	case old.empty():
		return nil
	case fresh.empty():
		return fmt.Errorf("%w: %s%s had sequence %d as version %s, and has no current version", ErrLogDeleted, c.prefix, wire.LogName, old.Sequence, old.log)
	case fresh.log != old.log && fresh.Sequence <= old.Sequence:
		return fmt.Errorf("the log went back: %s%s had sequence %d as version %s, and now ends with sequence %d as version %s: %w",
			c.prefix, wire.LogName, old.Sequence, old.log, fresh.Sequence, fresh.log, backend.ErrDamaged)
	}
	return nil
}

// learn takes in a head just read, and returns it with what was known of it.
func (c *core) learn(fresh *head) *head {
	known := c.knownHead()
	switch {
	case known != nil && !known.empty() && !fresh.empty() && known.log == fresh.log:
		return known
	case known != nil && known.phase2 == applied && !fresh.empty() && fresh.follows(known):
		// One entry was appended: it can have changed one key object.
		delete(c.keyTags, fresh.Key)
	default:
		clear(c.keyTags)
	}
	c.setHead(fresh)
	return fresh
}

// follows tells whether h's entry stands directly after that of old.
func (h *head) follows(old *head) bool {
	_, sequence, previous, version := old.next()
	return h.Sequence == sequence && h.PreviousHash == previous && h.PreviousVersionID == version
}

// prepare gives what an append of an entry of key needs: the head, verified
// applied, and the tag of the key's object. The tag is asked for after the head
// was read, never before or beside it: an entry of the same key appended between
// the two would otherwise go unnoticed by the append's own condition.
func (c *core) prepare(ctx context.Context, key string) (*head, keyTag, error) {
	var err error
	h := c.knownHead()
	if h == nil || h.empty() {
		// That the log was empty is not believed twice: it may have begun, and
		// been deleted, since.
		if h, err = c.readHead(ctx); err != nil {
			return nil, keyTag{}, err
		}
	}
	empty := h.empty()
	_, known := c.keyTags[key]
	ask := !known && (empty || h.Key != key)
	var tag keyTag
	check := func() (err error) { h, err = c.check(ctx, h); return err }
	if ask {
		err = both(check, func() (err error) { tag, err = c.readTag(ctx, key); return err })
	} else {
		err = check()
	}
	if err != nil {
		return nil, keyTag{}, err
	}
	if ask && empty == h.empty() {
		c.rememberTag(key, tag)
	}
	if h.phase2 == orphan {
		if h, err = c.applySecondPhase(ctx, h); err != nil {
			return nil, keyTag{}, fmt.Errorf("repair the entry before (sequence %d of key %q): %w", h.Sequence, h.Key, err)
		}
	}
	tag, known = c.keyTags[key]
	if !known { // forgotten for want of room, or asked for beside the first entry's coming
		if tag, err = c.readTag(ctx, key); err != nil {
			return nil, keyTag{}, err
		}
		c.rememberTag(key, tag)
	}
	return h, tag, nil
}

// check finds out whether the head's second phase was applied, if that is not
// known. For a log without a head it makes sure that there never was one.
func (c *core) check(ctx context.Context, h *head) (*head, error) {
	if h.phase2 != unchecked {
		return h, nil
	}
	if h.empty() {
		return c.checkEmpty(ctx, h)
	}
	checked := *h
	tag, err := c.readTag(ctx, h.Key)
	if err == nil && tag == h.expectedTag() {
		// Most likely its writer is just about to write the key object.
		tag, err = c.readTag(ctx, h.Key)
	}
	switch expected := h.expectedTag(); {
	case errors.Is(err, backend.ErrInvalidName):
		return h, c.diverged(h, unholdable)
	case err != nil:
		return h, err
	case tag == expected:
		checked.phase2 = orphan
	case !tag.exists:
		return h, c.diverged(h, vanished)
	default:
		checked.phase2 = applied
		c.rememberTag(h.Key, tag)
	}
	c.setHead(&checked)
	return &checked, nil
}

// checkEmpty makes sure that a log without a head never had one. If the first
// entry came while it looked, it goes on with that one.
func (c *core) checkEmpty(ctx context.Context, h *head) (*head, error) {
	listed, err := c.listLog(ctx)
	if err != nil {
		return h, err
	}
	if len(listed) == 0 {
		checked := *h
		checked.phase2 = applied
		c.setHead(&checked)
		return &checked, nil
	}
	fresh, err := c.readHead(ctx)
	if err != nil {
		return h, err
	}
	if fresh.empty() {
		return h, c.logDeleted()
	}
	return c.check(ctx, fresh)
}

// listLog returns the first page of the log's versions that has any. A log that
// has versions and no current one was deleted, and a new beginning would be a
// second history; but that it has no current one must be read after this.
func (c *core) listLog(ctx context.Context) ([]backend.Version, error) {
	var req backend.VersionsRequest
	for {
		page, err := c.store.ListVersions(ctx, c.prefix+wire.LogName, req)
		if err != nil {
			return nil, fmt.Errorf("look whether the log was deleted: %w", err)
		}
		if len(page.Versions) > 0 || page.Next == "" {
			return page.Versions, nil
		}
		req.Token = page.Next
	}
}

func (c *core) logDeleted() error {
	return fmt.Errorf("%w: %s%s has versions but no current one; remove the delete marker to bring it back", ErrLogDeleted, c.prefix, wire.LogName)
}

// readTag asks the store for the tag of a key's object.
func (c *core) readTag(ctx context.Context, key string) (keyTag, error) {
	v, err := c.store.Head(ctx, wire.KeyObject(c.prefix, key))
	switch {
	case errors.Is(err, backend.ErrNotFound):
		return keyTag{}, nil
	case err != nil:
		return keyTag{}, fmt.Errorf("look at the key object: %w", keyError(err))
	}
	return keyTag{etag: v.ETag, exists: true}, nil
}

// both runs two requests at once and returns the first one's error, or else the
// second's.
func both(first, second func() error) error {
	var wg sync.WaitGroup
	var secondErr error
	wg.Go(func() { secondErr = second() })
	err := first()
	wg.Wait()
	if err != nil {
		return err
	}
	return secondErr
}
