package immukv

import (
	"context"
	"iter"
	"time"
)

// An Observer observes a client: see [WithObserver]. Package backend/observe
// makes one that feeds OpenTelemetry. Each of its functions may be nil.
//
// The functions are called by any number of goroutines, and the client waits for them
// to return. They are given keys, never values.
type Observer struct {
	// Call is called when a call of the client begins. The call continues with the
	// context returned, which reaches the store, and calls end once when it ends. A
	// sequence is one call. It lasts from when the consumer begins to read it until the
	// consumer stops, and includes the consumer's own time.
	Call func(ctx context.Context, call Call) (_ context.Context, end func(CallResult))
	// Append is called when a write of this client is in the log, with the number of
	// entries in its log version.
	Append func(ctx context.Context, entries int)
	// Watched is called before [Client.Watch] yields an entry. The lag is how long ago
	// the entry was written: the time on this clock less the time on the writer's clock.
	Watched func(ctx context.Context, entry Observed, lag time.Duration)
	// Conflict is called when a write loses the race for a place in the log to
	// another writer.
	Conflict func(ctx context.Context, entry Observed)
	// Repair is called when the client found an orphan and repaired it, or could not
	// repair it. In that case err is the reason.
	Repair func(ctx context.Context, orphan Observed, err error)
	// Settled is called when the answer of an append was lost and the client has then
	// read the log. If the entry is in the log, err is nil. If this is not known yet, err
	// is [ErrOutcomeUnknown]. Any other error means that the entry is not in the log and
	// never will be.
	Settled func(ctx context.Context, entry Observed, err error)
}

// Call is a call of a client, as an [Observer] sees it.
type Call struct {
	Method string // "set", "get", "log_version": the method in lower case
	Prefix string // see [WithPrefix]
	Key    string // empty if the method takes none
}

// CallResult is how a [Call] ended.
type CallResult struct {
	// Err is the error of the call. If the call returned a sequence, it is the first
	// error of the sequence.
	Err error
	// Head is the sequence of the newest entry of the log that the client knows of,
	// or -1 if it knows of none.
	Head int64
}

// Observed identifies an entry for an [Observer].
type Observed struct {
	Key      string
	Sequence int64
}

// begin tells the observer that a call begins, and returns the function that reports its
// end.
func (c *core) begin(ctx context.Context, method, key string) (context.Context, func(error)) {
	if c.observer.Call == nil {
		return ctx, func(error) {}
	}
	ctx, end := c.observer.Call(ctx, Call{Method: method, Prefix: c.prefix, Key: key})
	return ctx, func(err error) {
		result := CallResult{Err: err, Head: -1}
		if h := c.knownHead(); h != nil && !h.empty() {
			result.Head = h.Sequence
		}
		end(result)
	}
}

// observed makes one call of a sequence.
func observed[T any](ctx context.Context, c *core, method, key string, seq func(context.Context) iter.Seq2[T, error]) iter.Seq2[T, error] {
	if c.observer.Call == nil {
		return seq(ctx)
	}
	return func(yield func(T, error) bool) {
		ctx, end := c.begin(ctx, method, key)
		var first error
		defer func() { end(first) }()
		for v, err := range seq(ctx) {
			if first == nil {
				first = err
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// appended tells the observer that the entries of p are in the log.
func (c *core) appended(ctx context.Context, p *proposal) {
	if c.observer.Append != nil {
		c.observer.Append(ctx, len(p.docs))
	}
}

// watched tells the observer of each entry of a watch.
func (c *core) watched(ctx context.Context, seq iter.Seq2[*version, error]) iter.Seq2[*version, error] {
	if c.observer.Watched == nil {
		return seq
	}
	return func(yield func(*version, error) bool) {
		for v, err := range seq {
			if v != nil {
				lag := c.clock().Sub(time.UnixMilli(v.TimestampMS))
				c.observer.Watched(ctx, Observed{v.Key, v.Sequence}, max(lag, 0))
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// conflict tells the observer that another writer's entry has the place of p.
func (c *core) conflict(ctx context.Context, p *proposal) {
	if c.observer.Conflict != nil {
		c.observer.Conflict(ctx, Observed{p.first().Key, p.first().Sequence})
	}
}

// settled tells the observer the outcome of p, whose answer was lost.
func (c *core) settled(ctx context.Context, p *proposal, err error) {
	if c.observer.Settled != nil {
		c.observer.Settled(ctx, Observed{p.first().Key, p.first().Sequence}, err)
	}
}

// repairHead applies the entries of a head that were found to be orphans.
func (c *core) repairHead(ctx context.Context, h *head) (*head, error) {
	repaired, err := c.apply(ctx, h)
	if c.observer.Repair == nil {
		return repaired, err
	}
	for i, s := range repaired.states {
		switch {
		case h.states[i] != orphan:
		case s == applied:
			c.observer.Repair(ctx, Observed{h.among[i].Key, h.among[i].Sequence}, nil)
		case s == orphan:
			c.observer.Repair(ctx, Observed{h.among[i].Key, h.among[i].Sequence}, err)
		}
	}
	return repaired, err
}
