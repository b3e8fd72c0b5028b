package immukv

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// prepare returns what an append of entries of distinct keys needs: the head, with all its
// entries applied, and the states of the keys. Where the write has a condition, the state
// has the sequence of the key's newest entry. The states are read after the head, never
// before or beside it. Otherwise the condition of the append would not detect an entry of
// the same key that was appended between the two reads.
func (c *core) prepare(ctx context.Context, writes []*write) (*head, []keyState, error) {
	var err error
	h := c.knownHead()
	if h == nil || h.empty() {
		// An empty log is re-read every time: it may have been created, or
		// deleted, meanwhile.
		if h, err = c.readHead(ctx); err != nil {
			return nil, nil, err
		}
	}
	empty := h.empty()
	states := make([]keyState, len(writes))
	read := make([]bool, len(writes)) // whether the state was read after the returned head
	var ask []int                     // the writes whose state the check of the head does not give
	for i, w := range writes {
		if _, known := c.cachedState(w.key, w.cond != nil); !known && h.of(w.key) == nil {
			ask = append(ask, i)
		}
	}
	check := func() (err error) { h, err = c.check(ctx, h); return err }
	if len(ask) == 0 {
		err = check()
	} else {
		first := h
		err = both(check, func() error { return c.readStates(ctx, first, writes, ask, states) })
	}
	if failed, ok := errors.AsType[writeErrors](err); ok && empty == h.empty() {
		// The other writes continue, and need not read their states again.
		for _, i := range ask {
			if failed[i] == nil {
				c.rememberKey(writes[i].key, states[i])
			}
		}
	}
	if err != nil {
		return nil, nil, err
	}
	for _, i := range ask {
		read[i] = empty == h.empty()
	}
	if h.first(orphan) != nil {
		if h, err = c.repairHead(ctx, h); err != nil {
			v := h.first(orphan)
			return nil, nil, fmt.Errorf("repair sequence %d of key %q before the append: %w", v.Sequence, v.Key, err)
		}
	}
	return h, states, c.completeStates(ctx, h, writes, states, read)
}

// completeStates completes the states of keys that were not read. It takes them from the
// cache, or reads them if they were evicted or read before the log's first entry was
// appended. It caches all of them but those that cannot be read.
func (c *core) completeStates(ctx context.Context, h *head, writes []*write, states []keyState, read []bool) error {
	var ask []int
	for i, w := range writes {
		if !read[i] {
			states[i], read[i] = c.cachedState(w.key, w.needsSequence(h))
		}
		if !read[i] {
			ask = append(ask, i)
		}
	}
	err := c.readStates(ctx, h, writes, ask, states)
	failed, _ := errors.AsType[writeErrors](err)
	for i, w := range writes {
		if failed != nil && failed[i] != nil {
			continue
		}
		if v := h.of(w.key); v != nil {
			states[i].sequence, states[i].entry = v.Sequence, v
		}
		c.rememberKey(w.key, states[i])
	}
	return err
}

// readStates reads the states of the keys of some of the writes. The error is writeErrors.
func (c *core) readStates(ctx context.Context, h *head, writes []*write, which []int, states []keyState) error {
	failed := make(writeErrors, len(writes))
	err := c.wide(len(which), func(n int) error {
		i := which[n]
		states[i], failed[i] = c.readState(ctx, writes[i].key, writes[i].needsSequence(h))
		return failed[i]
	})
	if err != nil {
		return failed
	}
	return nil
}

// writeErrors are the errors of some of the writes that go into one log version, each at
// the place of its write. The other writes can continue without them.
type writeErrors []error

func (e writeErrors) Error() string { return errors.Join(e...).Error() }

// Unwrap returns the errors for errors.Is.
func (e writeErrors) Unwrap() []error {
	return slices.DeleteFunc(slices.Clone(e), func(err error) bool { return err == nil })
}

// needsSequence reports whether the write needs the sequence of the key's newest entry to
// be read. If the head holds an entry of the key, its sequence is known.
func (w *write) needsSequence(h *head) bool { return w.cond != nil && h.of(w.key) == nil }
