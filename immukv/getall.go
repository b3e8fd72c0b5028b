package immukv

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Snapshot is what [Client.GetAll] returns.
type Snapshot[V any] struct {
	// Entries has the entry of each key that has one.
	Entries map[string]Entry[V]
	// Sequence is the place in the log that the snapshot reflects: each of Entries is the
	// newest of its key up to this sequence. It is -1 if the log is empty, or if the keys
	// were read independently of one another.
	Sequence int64
}

// getAll is [Client.GetAll]. It reads several keys at a time, and calls each with one
// result at a time.
func (c *core) getAll(ctx context.Context, keys []string, q getQuery, each func(key string, v *version, err error) error) (sequence int64, err error) {
	read := func(ctx context.Context, key string) (*version, error) { return c.get(ctx, key, q) }
	sequence = -1
	if q.consistent || q.past() {
		head, err := c.checkedHead(ctx)
		if err != nil {
			return -1, err
		}
		m, err := q.moment(head)
		if err != nil {
			return -1, err
		}
		if head != nil {
			sequence = m.sequence
		}
		read = func(ctx context.Context, key string) (*version, error) {
			if err := checkKey(c.prefix, key); err != nil {
				return nil, err
			}
			return c.getAt(ctx, key, head, m)
		}
	}
	return sequence, c.readWide(ctx, keys, read, each)
}

// readWide reads several keys at a time. It stops at the first error that is not about a
// single key.
func (c *core) readWide(ctx context.Context, keys []string, read func(context.Context, string) (*version, error), each func(string, *version, error) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	var mu sync.Mutex
	var failed error
	slots := make(chan struct{}, c.concurrency)
	seen := make(map[string]bool, len(keys))
	for _, key := range keys {
		if seen[key] {
			continue
		}
		seen[key] = true
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		running.Go(func() {
			defer func() { <-slots }()
			v, err := read(ctx, key)
			mu.Lock()
			defer mu.Unlock()
			if failed == nil {
				failed = each(key, v, err)
			}
			if failed != nil {
				cancel()
			}
		})
	}
	running.Wait()
	if failed == nil {
		failed = ctx.Err()
	}
	return failed
}

// GetAll returns the entries of many keys, and reads several keys at a time. A key
// without an entry is left out. Each key is read as by [Client.Get] with the same
// options. With [Consistent], [AtSequence] or [AsOf], the snapshot reflects the log at
// one sequence: every entry up to that sequence and none after it, even if others write
// during the call.
//
// An entry that cannot be read, decoded or trusted is left out. The error joins the
// errors of all such entries. Any other error ends the call.
func (c *Client[V]) GetAll(ctx context.Context, keys []string, opts ...GetOption) (_ Snapshot[V], err error) {
	ctx, end := c.core.begin(ctx, "get_all", "")
	defer func() { end(err) }()
	s := Snapshot[V]{Entries: make(map[string]Entry[V], len(keys))}
	var bad []error
	s.Sequence, err = c.core.getAll(ctx, keys, newGetQuery(opts), func(key string, v *version, err error) error {
		e, err := c.entry(v, err)
		switch {
		case err == nil:
			s.Entries[key] = e
		case isEntryError(err):
			bad = append(bad, fmt.Errorf("get %q: %w", key, err))
		case !errors.Is(err, ErrNotFound):
			return fmt.Errorf("get %q: %w", key, err)
		}
		return nil
	})
	if err != nil {
		return Snapshot[V]{Sequence: -1}, err
	}
	return s, errors.Join(bad...)
}
