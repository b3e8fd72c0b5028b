package immukv

import (
	"context"
	"errors"
	"fmt"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// keyTag identifies the current version of a key object. An entry of the key is applied
// under the condition that this version is still the current one.
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

// expectedTag is the tag that the entry's key object had when the entry was appended. The
// object keeps it while the entry is an orphan.
func (v *version) expectedTag() keyTag {
	return keyTag{etag: v.PreviousKeyETag, exists: v.HasPreviousKeyETag}
}

// keyState is what a write needs to know of a key: the tag of its object and, if the
// write has a condition, the key's newest entry.
type keyState struct {
	keyTag
	sequence int64    // of the newest entry, if there is one: see unknownSequence
	entry    *version // that entry, if it was read; not cached
}

// unknownSequence is the sequence of an entry if only the tag of its object was read.
const unknownSequence = -1

// hasSequence reports whether it is known which entry is the key's newest, if any.
func (s keyState) hasSequence() bool { return !s.exists || s.sequence != unknownSequence }

// after reports whether the key's newest entry came after the head.
func (s keyState) after(h *head) bool { return s.exists && s.sequence > h.last() }

// stateOf is the state of a key whose newest entry is v, without the tag.
func stateOf(v *version) keyState {
	return keyState{keyTag: keyTag{exists: true}, sequence: v.Sequence, entry: v}
}

// keyStates caches the states of keys. It is valid only while the head is unchanged,
// and guarded by the write lock.
type keyStates map[string]keyState

// maxKeyStates bounds the cache. When it is full, a new key replaces any other.
const maxKeyStates = 8192

func (c *core) rememberKey(key string, state keyState) {
	if c.keyStates == nil {
		c.keyStates = make(keyStates)
	}
	if _, known := c.keyStates[key]; !known && len(c.keyStates) >= maxKeyStates {
		for any := range c.keyStates {
			delete(c.keyStates, any)
			break
		}
	}
	state.entry = nil
	c.keyStates[key] = state
}

// cachedState returns the cached state of a key. It reports false if there is none, or if
// it lacks the sequence that the caller needs.
func (c *core) cachedState(key string, withSequence bool) (keyState, bool) {
	state, known := c.keyStates[key]
	return state, known && (!withSequence || state.hasSequence())
}

// readState reads the state of a key: the tag of its object by HEAD or, with the
// sequence, its newest entry by GET.
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
		return keyState{}, fmt.Errorf("read the key's newest entry for the condition: %w", err)
	}
	state := stateOf(v)
	state.etag = etag
	return state, nil
}

// readTag reads the tag of a key's object.
func (c *core) readTag(ctx context.Context, key string) (keyTag, error) {
	v, err := c.store.Head(ctx, wire.KeyObject(c.prefix, key))
	switch {
	case errors.Is(err, backend.ErrNotFound):
		return keyTag{}, nil
	case err != nil:
		return keyTag{}, fmt.Errorf("read the tag of the key object: %w", keyError(err))
	}
	return keyTag{etag: v.ETag, exists: true}, nil
}
