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

// condition is what must be true of a key's newest entry for the next one to be appended.
type condition struct {
	absent   bool // the key has no entry
	sequence int64
}

// IfAbsent lets [Client.Set] append only if the key has no entry.
//
// If somebody deleted the key's object, the key counts as absent, as it does for
// [Client.Get]. The only exception is a key whose entry is the newest of the log. An
// audit reports the deletion.
func IfAbsent() SetOption { return condition{absent: true} }

// IfSequence lets [Client.Set] append only if the key's newest entry has sequence n.
func IfSequence(n int64) SetOption { return condition{sequence: n} }

func (c condition) setSet(q *setQuery) { q.conditions = append(q.conditions, c) }

// condition returns the given condition, or nil if there is none.
func (q setQuery) condition() (*condition, error) {
	switch {
	case len(q.conditions) == 0:
		return nil, nil
	case len(q.conditions) > 1:
		return nil, fmt.Errorf("%w: %d conditions are given; at most one is allowed", ErrInvalidOption, len(q.conditions))
	case q.conditions[0].sequence < 0:
		return nil, fmt.Errorf("%w: IfSequence(%d) is negative", ErrInvalidOption, q.conditions[0].sequence)
	}
	return &q.conditions[0], nil
}

// unchanged is the condition that v is still the newest entry of its key or, if v is nil,
// that the key still has no entry.
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

// failed is the error of a write whose condition does not hold. found is the key's newest
// entry, or nil.
func (c *condition) failed(key string, found *version) *ConditionError {
	e := &ConditionError{Key: key, Absent: c.absent, Sequence: c.sequence, found: found}
	if found != nil {
		entry := newEntry[json.RawMessage](found)
		entry.Value = entry.JSON
		e.Found = &entry
	}
	return e
}

// prepareIf is prepare for writes under conditions. It returns a head on which all
// conditions hold. The append succeeds only if the log still has that head, so no other
// entry of the keys can come between. If some conditions do not hold, prepareIf returns
// their errors, each at the place of its write.
//
// A condition that holds on a cached head needs no newer one: the append proves that the
// head is the newest. A condition fails only by a head that was read during the call,
// because on an older one it may have changed since. current reports whether the cached
// head was read during the call.
func (c *core) prepareIf(ctx context.Context, writes []*write, current bool) (*head, []keyState, writeErrors, error) {
	for {
		known := c.knownHead()
		current = current || known == nil || known.empty() // prepare reads it
		if current && known != nil {
			if failed := failedOn(known, writes); failed != nil {
				return nil, nil, failed, nil
			}
		}
		h, states, err := c.prepare(ctx, writes)
		if err != nil {
			return nil, nil, nil, err
		}
		open, newest := undecided(h, writes, states)
		if len(open) == 0 {
			return h, states, nil, nil
		}
		fresh, confirmed := h, current
		if !current || newest > h.last() {
			if fresh, err = c.readHead(ctx); err != nil {
				return nil, nil, nil, err
			}
			if newest > fresh.last() {
				return nil, nil, nil, c.beyondLog(writes, states, fresh)
			}
			current = true
		}
		var failed writeErrors
		for _, i := range open {
			w, s := writes[i], states[i]
			// The state is reliable if it came from a head read during this call, or if
			// it is not newer than a head that is still the newest.
			sure := confirmed || !s.after(h) && !fresh.empty() && fresh.log == h.log
			if sure && !w.cond.holds(s) && (!s.exists || s.entry != nil) {
				failed = w.fail(failed, i, len(writes), s.entry)
				continue
			}
			delete(c.keyStates, w.key) // read it again: it has no entry, or is not as of this head
		}
		if failed != nil {
			return nil, nil, failed, nil
		}
	}
}

// failedOn returns the errors of the writes whose conditions do not hold because of an
// entry of the head, applied or not.
func failedOn(h *head, writes []*write) (failed writeErrors) {
	for i, w := range writes {
		if v := h.of(w.key); w.cond != nil && v != nil && !w.cond.holds(stateOf(v)) {
			failed = w.fail(failed, i, len(writes), v)
		}
	}
	return failed
}

// undecided returns the places of the writes whose condition does not hold, or whose key
// has an entry newer than the head. It also returns the sequence of the newest such
// entry.
func undecided(h *head, writes []*write, states []keyState) (open []int, newest int64) {
	newest = -1
	for i, w := range writes {
		if w.cond == nil || w.cond.holds(states[i]) && !states[i].after(h) {
			continue
		}
		open = append(open, i)
		if states[i].after(h) {
			newest = max(newest, states[i].sequence)
		}
	}
	return open, newest
}

// fail sets the error of the i-th of n writes. found is the key's newest entry.
func (w *write) fail(failed writeErrors, i, n int, found *version) writeErrors {
	if failed == nil {
		failed = make(writeErrors, n)
	}
	failed[i] = w.cond.failed(w.key, found)
	return failed
}

// beyondLog is the error for a key object that holds an entry newer than the log's
// newest: the log or the object was replaced.
func (c *core) beyondLog(writes []*write, states []keyState, h *head) error {
	log := "is empty"
	if !h.empty() {
		log = fmt.Sprintf("ends with sequence %d", h.Sequence)
	}
	for i, w := range writes {
		if w.cond != nil && states[i].after(h) {
			return fmt.Errorf("%w: %s holds sequence %d, but the log %s; run an audit", ErrDiverged, wire.KeyObject(c.prefix, w.key), states[i].sequence, log)
		}
	}
	return fmt.Errorf("%w: the log %s; run an audit", ErrDiverged, log)
}
