package immukv

import (
	"context"
	"errors"
	"fmt"
)

// Update changes the value of a key: it reads the key's newest entry, calls change with
// it, and sets the key to the value that change returned, on condition that no other
// entry of the key was appended meanwhile. If another entry was appended, Update calls
// change again with that entry. However many processes update a key, each update sees the
// value that the one before it set.
//
// If the key has no entry, exists is false and old has only its Key. If change returns an
// error, Update returns that error, unchanged, and nothing is written. The entry that was
// passed to change was the key's newest at some moment since Update began. Change may be
// called any number of times, and should have no side effects. It may call the client.
//
// The errors are those of [Client.Set] without a condition, and [WithMaxAttempts]
// bounds how often change is called. After an error that is [ErrOutcomeUnknown],
// settle the write before the next update: see [Client.Settle].
//
// An update takes three requests if the client's last write was of the same key,
// and four otherwise. Each lost round takes three more, or a few more.
func (c *Client[V]) Update(ctx context.Context, key string, change func(old Entry[V], exists bool) (V, error)) (_ Entry[V], err error) {
	ctx, end := c.core.begin(ctx, "update", key)
	defer func() { end(err) }()
	var value V
	var own error // of change
	v, err := c.core.update(ctx, key, func(found *version) ([]byte, error) {
		old := Entry[V]{Key: key}
		if found != nil {
			if old, err = c.entry(found, nil); err != nil {
				return nil, err
			}
		}
		if value, own = change(old, found != nil); own != nil {
			return nil, own
		}
		return c.encode(value)
	})
	switch {
	case own != nil:
		return Entry[V]{}, own
	case err != nil:
		return Entry[V]{}, fmt.Errorf("update %q: %w", key, err)
	}
	return setEntry(v, value), nil
}

// update is [Client.Update], on stored values.
func (c *core) update(ctx context.Context, key string, change func(*version) ([]byte, error)) (*version, error) {
	old, err := c.readForUpdate(ctx, key)
	if err != nil {
		return nil, err
	}
	r := c.newRace()
	for {
		raw, err := change(old)
		if err != nil {
			return nil, err
		}
		before := r.lost
		v, err := c.set(ctx, key, raw, unchanged(old), r)
		var failed *ConditionError
		if !errors.As(err, &failed) {
			return v, err
		}
		if r.lost == before { // another entry came before the append was tried
			if err := c.lose(r); err != nil {
				return nil, err
			}
		}
		old = failed.found
	}
}

// readForUpdate reads the newest entry of a key, or nil, as a consistent read does. It
// waits for earlier writes, and caches the state that the write after it needs.
func (c *core) readForUpdate(ctx context.Context, key string) (*version, error) {
	if c.readOnly {
		return nil, ErrReadOnly
	}
	if err := c.checkNewKey(key); err != nil {
		return nil, err
	}
	if err := c.lockWrites(ctx); err != nil {
		return nil, err
	}
	defer c.writes.unlock()
	h, err := c.readHead(ctx)
	if err == nil && h.empty() {
		h, err = c.checkEmpty(ctx, h)
	}
	switch {
	case err != nil:
		return nil, err
	case h.empty():
		return nil, nil
	}
	if v := h.of(key); v != nil {
		return v, nil
	}
	state, err := c.readState(ctx, key, true)
	if err != nil {
		return nil, err
	}
	c.rememberKey(key, state)
	return state.entry, nil
}
