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

// head is the newest entry of the log, as this client last saw it. It is not changed
// once it is cached, so that readers may hold one.
type head struct {
	*version              // nil: the log has no entry yet
	etag     backend.ETag // of the log object: what an append must match
	state    state
}

// state is what is known of the apply of an entry. Nothing may be appended to an
// entry that is not known to be applied: repair looks only at the newest entry, so
// an orphan below another entry would stay one for ever.
type state int

const (
	unchecked  state = iota
	orphan           // the key object does not reflect the entry yet
	applied          // it does; of an empty log: it has no old versions
	unholdable       // the store cannot hold the key object, so that nothing can be applied
)

// settled reports whether an entry may be appended upon one in that state.
func (s state) settled() bool { return s == applied || s == unholdable }

// empty tells whether the log has no entry yet.
func (h *head) empty() bool { return h.version == nil }

// of reports whether the head is an entry of key.
func (h *head) of(key string) bool { return !h.empty() && h.Key == key }

// next returns the condition of the next append, and the fields that lead back.
func (h *head) next() (cond backend.Condition, sequence int64, previous Hash, follows LogVersionID) {
	if h.empty() {
		return backend.IfAbsent(), 0, GenesisHash, ""
	}
	return backend.IfMatch(h.etag), h.Sequence + 1, h.Hash, h.log
}

// keyTag identifies the current version of a key object. An entry of that key is
// applied under the condition that it still is the current one.
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

// expectedTag is the tag of the entry's key object when the entry was appended. The
// object keeps it as long as the entry is an orphan.
func (v *version) expectedTag() keyTag {
	return keyTag{etag: v.PreviousKeyETag, exists: v.HasPreviousKeyETag}
}

// keyState is what a write has to know of a key: the tag of its object and, where the
// write has a condition, the key's newest entry.
type keyState struct {
	keyTag
	sequence int64    // of the newest entry, if there is one: see unknownSequence
	entry    *version // that entry, if it is at hand; it is not cached
}

// unknownSequence is the sequence of an entry of which only the object's tag was asked for.
const unknownSequence = -1

// hasSequence reports whether it is known which entry is the key's newest, if any.
func (s keyState) hasSequence() bool { return !s.exists || s.sequence != unknownSequence }

// stateOf is the state of a key of which v is the newest entry, but for the tag.
func stateOf(v *version) keyState {
	return keyState{keyTag: keyTag{exists: true}, sequence: v.Sequence, entry: v}
}

// keyStates caches the states of keys. It is valid only while the head is unchanged,
// and guarded by the write lock.
type keyStates map[string]keyState

// maxKeyStates bounds the cache; beyond it, the cache starts afresh.
const maxKeyStates = 8192

func (c *core) rememberKey(key string, state keyState) {
	if c.keyStates == nil || len(c.keyStates) >= maxKeyStates {
		c.keyStates = make(keyStates)
	}
	state.entry = nil
	c.keyStates[key] = state
}

// knownHead is the cached head, or nil.
func (c *core) knownHead() *head {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.head
}

// setHead replaces the cached head. The caller holds the write lock.
func (c *core) setHead(h *head) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.head = h
	if h != nil && h.state.settled() {
		c.lastCheck = time.Now()
	}
}

// orphanOf returns the newest entry if it is of this key and known not to be in its key
// object, or nil.
func (c *core) orphanOf(key string) *version {
	h := c.knownHead()
	if h == nil || h.state != orphan && h.state != unholdable || h.Key != key {
		return nil
	}
	return h.version
}

// readHead reads the newest entry and makes it the cached head. Cached states of keys
// are kept as far as the entries since cannot have changed them.
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

// checkExtends returns an error if the log was rolled back: it must end with old or
// with a later entry. Nothing may be written in the place of an entry that is gone.
func (c *core) checkExtends(old, fresh *head) error {
	switch {
	case old.empty():
		return nil
	case fresh.empty():
		return fmt.Errorf("%w: %s%s had sequence %d as version %s, and has no current version", ErrLogDeleted, c.prefix, wire.LogName, old.Sequence, old.log)
	case fresh.log != old.log && fresh.Sequence <= old.Sequence:
		return fmt.Errorf("the log was rolled back: %s%s had sequence %d as version %s, and now ends with sequence %d as version %s: %w",
			c.prefix, wire.LogName, old.Sequence, old.log, fresh.Sequence, fresh.log, backend.ErrDamaged)
	}
	return nil
}

// learn replaces the cached head by one just read, and invalidates the states of keys
// that the new entries may have changed. It returns the cached head if it is the same.
func (c *core) learn(fresh *head) *head {
	known := c.knownHead()
	switch {
	case known != nil && !known.empty() && !fresh.empty() && known.log == fresh.log:
		return known
	case known != nil && known.state.settled() && !fresh.empty() && fresh.follows(known):
		// One entry was appended: it has changed one key.
		delete(c.keyStates, fresh.Key)
	default:
		clear(c.keyStates)
	}
	c.setHead(fresh)
	return fresh
}

// follows reports whether h's entry stands directly after that of old.
func (h *head) follows(old *head) bool {
	_, sequence, previous, version := old.next()
	return h.Sequence == sequence && h.PreviousHash == previous && h.PreviousVersionID == version
}

// prepare returns what an append of an entry of key needs: the head, verified applied,
// and the state of the key, with its newest entry's sequence if asked for. The state is
// read after the head, never before or beside it: an entry of the same key appended
// between the two would otherwise go unnoticed by the condition of the append.
func (c *core) prepare(ctx context.Context, key string, withSequence bool) (*head, keyState, error) {
	var err error
	h := c.knownHead()
	if h == nil || h.empty() {
		// An empty log is re-read every time: it may have been created, or
		// deleted, meanwhile.
		if h, err = c.readHead(ctx); err != nil {
			return nil, keyState{}, err
		}
	}
	empty := h.empty()
	var state keyState
	read := false // the state was, after the head that is returned
	check := func() (err error) { h, err = c.check(ctx, h); return err }
	if _, known := c.cachedState(key, withSequence); !known && !h.of(key) {
		err = both(check, func() (err error) { state, err = c.readState(ctx, key, withSequence); return err })
		read = empty == h.empty()
	} else {
		err = check()
	}
	if err != nil {
		return nil, keyState{}, err
	}
	if h.state == orphan {
		if h, err = c.repairHead(ctx, h); err != nil {
			return nil, keyState{}, fmt.Errorf("repair the entry before (sequence %d of key %q): %w", h.Sequence, h.Key, err)
		}
	}
	if h.of(key) {
		withSequence = false // it is the head's
	}
	if !read {
		if state, read = c.cachedState(key, withSequence); !read { // evicted, or read while the first entry came
			if state, err = c.readState(ctx, key, withSequence); err != nil {
				return nil, keyState{}, err
			}
		}
	}
	if h.of(key) {
		state.sequence, state.entry = h.Sequence, h.version
	}
	c.rememberKey(key, state)
	return h, state, nil
}

// cachedState is the cached state of a key, if there is one and it has what is asked for.
func (c *core) cachedState(key string, withSequence bool) (keyState, bool) {
	state, known := c.keyStates[key]
	return state, known && (!withSequence || state.hasSequence())
}

// readState reads the state of a key: by HEAD its object's tag or, with the sequence, by
// GET its newest entry.
func (c *core) readState(ctx context.Context, key string, withSequence bool) (keyState, error) {
	if !withSequence {
		tag, err := c.readTag(ctx, key)
		return keyState{keyTag: tag, sequence: unknownSequence}, err
	}
	v, etag, err := c.readKey(ctx, key)
	switch {
	case errors.Is(err, backend.ErrNotFound):
		return keyState{}, nil
	case err != nil:
		return keyState{}, fmt.Errorf("read the key's newest entry, which the condition is about: %w", err)
	}
	state := stateOf(v)
	state.etag = etag
	return state, nil
}

// check finds out whether the head was applied, if that is not known. If the log has
// no head, it makes sure that there never was one.
func (c *core) check(ctx context.Context, h *head) (*head, error) {
	if h.state != unchecked {
		return h, nil
	}
	if h.empty() {
		return c.checkEmpty(ctx, h)
	}
	checked := *h
	tag, err := c.readTag(ctx, h.Key)
	if err == nil && tag == h.expectedTag() {
		// Its writer is most likely about to apply it.
		tag, err = c.readTag(ctx, h.Key)
	}
	switch expected := h.expectedTag(); {
	case errors.Is(err, backend.ErrInvalidName):
		return c.refusedName(ctx, h, err)
	case err != nil:
		return h, err
	case tag == expected:
		checked.state = orphan
	case !tag.exists:
		return h, c.diverged(h, vanished)
	default:
		checked.state = applied
		c.rememberKey(h.Key, keyState{keyTag: tag, sequence: h.Sequence})
	}
	c.setHead(&checked)
	return &checked, nil
}

// checkEmpty makes sure that a log without a head never had one. If the first entry
// was appended meanwhile, checkEmpty checks that one.
func (c *core) checkEmpty(ctx context.Context, h *head) (*head, error) {
	listed, err := c.listLog(ctx)
	if err != nil {
		return h, err
	}
	if len(listed) == 0 {
		checked := *h
		checked.state = applied
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
// has versions and no current one was deleted, and appending would begin a second
// history. The caller has to read the current version after this call.
func (c *core) listLog(ctx context.Context) ([]backend.Version, error) {
	var req backend.VersionsRequest
	for {
		page, err := c.store.ListVersions(ctx, c.prefix+wire.LogName, req)
		if err != nil {
			return nil, fmt.Errorf("check whether the log was deleted: %w", err)
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

// readTag reads the tag of a key's object.
func (c *core) readTag(ctx context.Context, key string) (keyTag, error) {
	v, err := c.store.Head(ctx, wire.KeyObject(c.prefix, key))
	switch {
	case errors.Is(err, backend.ErrNotFound):
		return keyTag{}, nil
	case err != nil:
		return keyTag{}, fmt.Errorf("head the key object: %w", keyError(err))
	}
	return keyTag{etag: v.ETag, exists: true}, nil
}

// both runs two requests at once. It returns the error of the first, or else that of
// the second.
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
