package immukv

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// SetOption is an option of [Client.Set].
type SetOption interface{ setSet(*setQuery) }

type setQuery struct {
	conditions []condition
}

// condition is what must be true of a key's newest entry for another to be appended.
type condition struct {
	absent   bool // there is none
	sequence int64
}

// IfAbsent lets [Client.Set] append only if the key has no entry.
//
// A key whose object somebody has deleted counts as absent, as it does for
// [Client.Get], unless the newest entry of the log is the key's. An audit reports it.
func IfAbsent() SetOption { return condition{absent: true} }

// IfSequence lets [Client.Set] append only if the key's newest entry has sequence n.
func IfSequence(n int64) SetOption { return condition{sequence: n} }

func (c condition) setSet(q *setQuery) { q.conditions = append(q.conditions, c) }

// condition is the one given, or nil if there is none.
func (q setQuery) condition() (*condition, error) {
	switch {
	case len(q.conditions) == 0:
		return nil, nil
	case len(q.conditions) > 1:
		return nil, fmt.Errorf("%w: %d conditions are given, and one is allowed", ErrInvalidOption, len(q.conditions))
	case q.conditions[0].sequence < 0:
		return nil, fmt.Errorf("%w: no entry has sequence %d", ErrInvalidOption, q.conditions[0].sequence)
	}
	return &q.conditions[0], nil
}

// unchanged is the condition that v still is the newest entry of its key; if it is nil,
// that the key still has none.
func unchanged(v *version) *condition {
	if v == nil {
		return &condition{absent: true}
	}
	return &condition{sequence: v.Sequence}
}

func (c *condition) holds(s keyState) bool {
	if c.absent {
		return !s.exists
	}
	return s.exists && s.sequence == c.sequence
}

// failed is the error of a write whose condition does not hold: the key's newest entry is
// found, or there is none.
func (c *condition) failed(key string, found *version) *ConditionError {
	e := &ConditionError{Key: key, Absent: c.absent, Sequence: c.sequence, found: found}
	if found != nil {
		entry := newEntry[json.RawMessage](found)
		entry.Value = entry.JSON
		e.Found = &entry
	}
	return e
}

// prepareIf is prepare for an append under a condition. It returns when the condition
// holds on the very head that it returns. The append commits only if that still is the
// head, so that no entry of the key can come between.
//
// The condition may hold on a cached head, for the append proves that the head was the
// newest. That it does not hold is believed only of a head that was read since the call
// began, as current says of the cached one: on an older one, others may have long made
// it hold.
func (c *core) prepareIf(ctx context.Context, key string, cond *condition, current bool) (*head, keyState, error) {
	if cond == nil {
		return c.prepare(ctx, key, false)
	}
	for {
		h := c.knownHead()
		current = current || h == nil || h.empty() // prepare reads it
		if current && h != nil && h.of(key) && !cond.holds(stateOf(h.version)) {
			return nil, keyState{}, cond.failed(key, h.version) // whether applied or not
		}
		h, state, err := c.prepare(ctx, key, true)
		if err != nil {
			return nil, keyState{}, err
		}
		// The key's newest entry came after the head.
		newer := state.exists && (h.empty() || state.sequence > h.Sequence)
		if cond.holds(state) && !newer {
			return h, state, nil
		}
		confirmed := current && !newer
		if !confirmed {
			fresh, err := c.readHead(ctx)
			if err != nil {
				return nil, keyState{}, err
			}
			if newer && (fresh.empty() || fresh.Sequence < state.sequence) {
				return nil, keyState{}, c.beyondLog(key, state.sequence, fresh)
			}
			// An entry newer than a current head came during this call.
			confirmed = newer && current || !newer && !fresh.empty() && fresh.log == h.log
			current = true
		}
		if confirmed && !cond.holds(state) && (!state.exists || state.entry != nil) {
			return nil, keyState{}, cond.failed(key, state.entry)
		}
		delete(c.keyStates, key) // has no entry at hand, or is not of this head
	}
}

// beyondLog is the error for a key object that holds an entry which the log has not come
// to: the log was replaced by another, or the object was.
func (c *core) beyondLog(key string, sequence int64, h *head) error {
	log := "is empty"
	if !h.empty() {
		log = fmt.Sprintf("ends with sequence %d", h.Sequence)
	}
	return fmt.Errorf("%w: %s holds sequence %d, and the log %s; run an audit", ErrDiverged, wire.KeyObject(c.prefix, key), sequence, log)
}
