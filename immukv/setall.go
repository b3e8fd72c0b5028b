package immukv

import (
	"context"
	"errors"
	"fmt"

	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// Write is an entry that [Client.SetAll] is to write.
type Write[V any] struct {
	Key   string
	Value V
	// If is the condition of this entry; nil means none. SetAll writes nothing unless the
	// conditions of all entries hold.
	If []SetOption
}

// SetAll sets several keys at once: all entries go into one log version, in the given
// order, or none does. The keys must be distinct. There may be at most 1,000 entries, of
// 8 MiB together. If the condition of an entry does not hold, nothing is written, and the
// error is the [*ConditionError] of that entry. All other errors are those of
// [Client.Set]. After [ErrOutcomeUnknown], call [Client.SettleAll].
//
// A consistent read sees all of the entries or none: see [Client.GetAll]. The key objects
// are written concurrently, so any other read may see some of the entries earlier than
// the rest. SetAll does not need [WithBatching]. Other clients cannot read the versions
// that it writes, as described there.
func (c *Client[V]) SetAll(ctx context.Context, writes ...Write[V]) (_ []Entry[V], err error) {
	ctx, end := c.core.begin(ctx, "set_all", "")
	defer func() { end(err) }()
	req, err := c.requestAll(writes)
	if err != nil {
		return nil, fmt.Errorf("set %d keys: %w", len(writes), err)
	}
	stored, err := c.core.write(ctx, req, c.core.newRace())
	if err != nil {
		return nil, fmt.Errorf("set %d keys: %w", len(writes), err)
	}
	entries := make([]Entry[V], len(stored))
	for i, v := range stored {
		entries[i] = setEntry(v, writes[i].Value)
	}
	return entries, nil
}

// requestAll checks the arguments of SetAll before anything is sent.
func (c *Client[V]) requestAll(writes []Write[V]) (*request, error) {
	switch n := len(writes); {
	case n == 0:
		return nil, fmt.Errorf("%w: no entry to write", ErrInvalidOption)
	case n > wire.MaxEntries:
		return nil, fmt.Errorf("%w: %d entries; a log version holds at most %d", ErrInvalidOption, n, wire.MaxEntries)
	}
	req := newRequest()
	places := make(map[string]int, len(writes))
	bytes := 0
	for i, w := range writes {
		if first, ok := places[w.Key]; ok {
			return nil, fmt.Errorf("%w: writes %d and %d have the same key, %q", ErrInvalidOption, first, i, w.Key)
		}
		places[w.Key] = i
		own, err := c.newWrite(w)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", w.Key, err)
		}
		req.writes = append(req.writes, own)
		if bytes += len(own.value) + len(own.key); len(writes) > 1 && bytes > wire.MaxBatchBytes {
			return nil, fmt.Errorf("%w: with key %q, the entries have more than %d bytes, the limit of a log version", ErrValueTooLarge, w.Key, wire.MaxBatchBytes)
		}
	}
	return req, nil
}

func (c *Client[V]) newWrite(w Write[V]) (*write, error) {
	var q setQuery
	for _, opt := range w.If {
		opt.setSet(&q)
	}
	cond, err := q.condition()
	if err != nil {
		return nil, err
	}
	raw, err := c.encode(w.Value)
	if err != nil {
		return nil, err
	}
	return c.core.newWrite(w.Key, raw, cond)
}

// SettleAll is [Client.Settle] for an error of [Client.SetAll]: it returns all entries of
// the call, or an error that says what became of all of them.
func (c *Client[V]) SettleAll(ctx context.Context, unknown *OutcomeUnknownError) (_ []Entry[V], err error) {
	ctx, end := c.core.begin(ctx, "settle_all", "")
	defer func() { end(err) }()
	l, err := c.core.settle(ctx, unknown)
	if err != nil {
		return nil, fmt.Errorf("settle: %w", err)
	}
	var entries []Entry[V]
	var bad []error
	for _, v := range l[unknown.place : unknown.place+unknown.entries] {
		e, err := c.entry(v, nil)
		entries, bad = append(entries, e), append(bad, err)
	}
	return entries, errors.Join(bad...)
}
