package immukv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// head is the newest version of the log that this client has read. It is not changed once
// it is cached, so that readers may hold one.
type head struct {
	*version              // its newest entry; nil: the log has no entry yet
	etag     backend.ETag // of the log object: what an append must match
	states   []state      // of the entries of the version, in their order
	began    bool         // of an empty log: it never had a version, so one may be appended
}

// state is what is known of the apply of an entry. Nothing may be appended after a version
// unless all of its entries are known to be applied: repair reads only the newest version,
// so an orphan in an older one would remain an orphan for ever.
type state int

const (
	unchecked  state = iota
	orphan           // the key object does not reflect the entry yet
	applied          // the key object reflects it
	unholdable       // the store cannot hold the key object, so the entry cannot be applied
)

// settled reports whether an entry may be appended after one in that state.
func (s state) settled() bool { return s == applied || s == unholdable }

// newHead returns a version of the log as the head, with all its entries in state s.
func newHead(l logVersion, etag backend.ETag, s state) *head {
	return &head{version: l.newest(), etag: etag, states: slices.Repeat([]state{s}, len(l))}
}

// empty reports whether the log has no entry yet.
func (h *head) empty() bool { return h.version == nil }

// of is the entry of a key in the newest version, or nil.
func (h *head) of(key string) *version {
	if h.empty() {
		return nil
	}
	return h.among.ofKey(key)
}

// last is the sequence of the newest entry, -1 if there is none.
func (h *head) last() int64 {
	if h.empty() {
		return -1
	}
	return h.Sequence
}

// settled reports whether a version may be appended after the head.
func (h *head) settled() bool {
	if h.empty() {
		return h.began
	}
	return !slices.ContainsFunc(h.states, func(s state) bool { return !s.settled() })
}

// first is the oldest entry in a state, or nil.
func (h *head) first(s state) *version {
	if i := slices.Index(h.states, s); i >= 0 {
		return h.among[i]
	}
	return nil
}

// orphans returns the entries that are known not to be applied, oldest first.
func (h *head) orphans() []*version {
	var orphans []*version
	for i, s := range h.states {
		if s == orphan {
			orphans = append(orphans, h.among[i])
		}
	}
	return orphans
}

// next returns the condition of the next append, and the fields that link it to this head.
func (h *head) next() (cond backend.Condition, sequence int64, previous Hash, follows LogVersionID) {
	if h.empty() {
		return backend.IfAbsent(), 0, GenesisHash, ""
	}
	return backend.IfMatch(h.etag), h.Sequence + 1, h.Hash, h.log
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
	if h != nil && h.settled() {
		c.lastCheck = time.Now()
	}
}

// orphanOf returns the entry of this key in the newest version if it is known not to be
// applied, or nil.
func (c *core) orphanOf(key string) *version {
	h := c.knownHead()
	if h == nil {
		return nil
	}
	for i, s := range h.states {
		if (s == orphan || s == unholdable) && h.among[i].Key == key {
			return h.among[i]
		}
	}
	return nil
}

// orphans returns the entries of the newest version that are known not to be applied.
func (c *core) orphans() []*version {
	h := c.knownHead()
	if h == nil {
		return nil
	}
	return h.orphans()
}

// readHead reads the newest version and makes it the cached head. It keeps the cached
// states of keys that the new entries cannot have changed.
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
		l, err := c.readLogVersion(obj.ID, obj.Body)
		if err == nil {
			err = l.checkHashes()
		}
		if err != nil {
			return nil, fmt.Errorf("read the head of the log: %w", err)
		}
		fresh = newHead(l, obj.ETag, unchecked)
	}
	if known := c.knownHead(); known != nil {
		if err := c.checkExtends(known, fresh); err != nil {
			return nil, err
		}
	}
	return c.learn(fresh), nil
}

// checkExtends returns an error if the log was rolled back: it must end with old or
// with a later entry. Nothing may be appended in the place of an entry that is gone.
func (c *core) checkExtends(old, fresh *head) error {
	switch {
	case old.empty():
		return nil
	case fresh.empty():
		return fmt.Errorf("%w: %s%s has no current version, but ended with sequence %d as version %s before", ErrLogDeleted, c.prefix, wire.LogName, old.Sequence, old.log)
	case fresh.log != old.log && fresh.Sequence <= old.Sequence:
		return fmt.Errorf("the log was rolled back: %s%s ends with sequence %d as version %s, but ended with sequence %d as version %s before: %w",
			c.prefix, wire.LogName, fresh.Sequence, fresh.log, old.Sequence, old.log, backend.ErrDamaged)
	}
	return nil
}

// learn replaces the cached head and invalidates the states of keys that the new entries
// may have changed. It returns the cached head if the log has not changed.
func (c *core) learn(fresh *head) *head {
	known := c.knownHead()
	switch {
	case known != nil && !known.empty() && !fresh.empty() && known.log == fresh.log:
		return known
	case known != nil && known.settled() && !fresh.empty() && fresh.follows(known):
		// One version was appended: only the keys of its entries have changed.
		for _, v := range fresh.among {
			delete(c.keyStates, v.Key)
		}
	default:
		clear(c.keyStates)
	}
	c.setHead(fresh)
	return fresh
}

// follows reports whether h's version comes directly after that of old.
func (h *head) follows(old *head) bool {
	_, sequence, previous, version := old.next()
	oldest := h.among.oldest()
	return oldest.Sequence == sequence && oldest.PreviousHash == previous && oldest.PreviousVersionID == version
}

// check finds out which of the unchecked entries of the head are applied. If the log has no
// head, check makes sure that it never had one.
func (c *core) check(ctx context.Context, h *head) (*head, error) {
	if h.empty() {
		return c.checkEmpty(ctx, h)
	}
	if h.first(unchecked) == nil {
		return h, nil
	}
	states := slices.Clone(h.states)
	tags := make([]keyTag, len(states))
	err := c.wide(len(states), func(i int) (err error) {
		if states[i] == unchecked {
			states[i], tags[i], err = c.checkEntry(ctx, h.among[i])
		}
		return err
	})
	for i, s := range states {
		if h.states[i] == unchecked && s == applied {
			c.rememberKey(h.among[i].Key, keyState{keyTag: tags[i], sequence: h.among[i].Sequence})
		}
	}
	return c.setStates(h, states), err
}

// setStates records what is now known of the entries of the head.
func (c *core) setStates(h *head, states []state) *head {
	if slices.Equal(states, h.states) {
		return h
	}
	checked := *h
	checked.states = states
	c.setHead(&checked)
	return &checked
}

// checkEntry finds out whether an entry of the head is applied.
func (c *core) checkEntry(ctx context.Context, v *version) (state, keyTag, error) {
	tag, err := c.readTag(ctx, v.Key)
	if err == nil && tag == v.expectedTag() {
		// The writer is probably about to apply it: read once more.
		tag, err = c.readTag(ctx, v.Key)
	}
	switch {
	case errors.Is(err, backend.ErrInvalidName):
		s, err := c.invalidName(ctx, v, err)
		return s, keyTag{}, err
	case err != nil:
		return unchecked, keyTag{}, err
	case tag == v.expectedTag():
		return orphan, keyTag{}, nil
	case !tag.exists:
		return unchecked, keyTag{}, c.diverged(v, vanished)
	}
	return applied, tag, nil
}

// checkEmpty makes sure that a log without a head never had one. If the first entry
// was appended meanwhile, checkEmpty checks that one.
func (c *core) checkEmpty(ctx context.Context, h *head) (*head, error) {
	if h.began {
		return h, nil
	}
	listed, err := c.listLog(ctx)
	if err != nil {
		return h, err
	}
	if len(listed) == 0 {
		checked := &head{began: true}
		c.setHead(checked)
		return checked, nil
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

// listLog returns the first page of the log's versions that is not empty. A log that has
// versions but no current one was deleted, and an append would begin a second history. The
// caller must read the current version after this call.
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
	return fmt.Errorf("%w: %s%s has versions but no current one; remove the delete marker to restore it", ErrLogDeleted, c.prefix, wire.LogName)
}
