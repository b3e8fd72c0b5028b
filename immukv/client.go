package immukv

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// Client reads and writes one ImmuKV store with values of type V. It may be used
// by any number of goroutines. Its writes wait for one another; its reads do not
// wait for writes.
type Client[V any] struct {
	core  *core
	codec Codec[V]
}

// core is what clients of different value types on one store share: the
// connection, the write lock, and what is cached of the store.
type core struct {
	opened backend.VersionedStore // as it was given to Open
	// store takes every name that its server does: what stands in it may be another
	// client's.
	store backend.VersionedStore
	// checkNewName refuses names under which no new object should be made; nil if
	// the store has no such names.
	checkNewName func(name string) error
	config
	writes writeLock
	queue  queue

	lastDialect atomic.Uint32 // the [Dialect] of the version read last

	mu        sync.Mutex
	head      *head // nil: not known
	keyStates keyStates
	lastCheck time.Time  // when the newest entry was last known to need no repair
	checking  *headCheck // nil: no read is looking at the head
	closed    bool
}

// Open makes a client of the store. It sends no request. The caller closes the
// store, after the client.
func Open[V any](_ context.Context, store backend.VersionedStore, opts ...Option) (*Client[V], error) {
	if store == nil {
		return nil, fmt.Errorf("%w: store is nil", ErrInvalidOption)
	}
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	codec := Codec[V](jsonCodec[V]{})
	if cfg.codec != nil {
		var ok bool
		if codec, ok = cfg.codec.(Codec[V]); !ok {
			return nil, fmt.Errorf("%w: value codec %T does not encode %T", ErrInvalidOption, cfg.codec, *new(V))
		}
	}
	c := &core{opened: store, config: cfg, writes: newWriteLock()}
	if strict, ok := store.(backend.StrictStore); ok {
		c.checkNewName = strict.CheckNewName
		store = strict.AnyName()
	}
	c.store = sizedStore{store}
	return &Client[V]{core: c, codec: codec}, nil
}

// WithCodec makes a client of another value type on the same store. It shares
// everything with the first: connection, write lock and cache.
// Closing either closes both. A client never decodes entries that it does not
// return, so types may be mixed in one log, each key read with its own codec.
func WithCodec[V, W any](c *Client[V], codec Codec[W]) *Client[W] {
	return &Client[W]{core: c.core, codec: codec}
}

// JSONCodec is the codec that a client has by default: encoding/json. It refuses a
// string that is not valid UTF-8, which package json would replace by another.
func JSONCodec[V any]() Codec[V] { return jsonCodec[V]{} }

// Set sets a key to a value: it appends an entry to the log and applies it to the
// key's object. A nil error means that the entry is in the log, once and for ever,
// with the version, sequence and hash returned. If only the apply failed, Set
// succeeds nevertheless: the entry is an orphan, which the next activity repairs.
//
// [ErrOutcomeUnknown] means that the entry may be in the log, now or later; see
// [OutcomeUnknownError]. Any other error means that it is not, and never will be.
// Set retries after a lost race, until the context ends or as often as
// [WithMaxAttempts] allows, and a few times after a lost answer. Writes of one
// client wait for one another.
//
// With a condition, [IfAbsent] or [IfSequence], the entry is appended only if the
// condition holds for the log that it follows. Otherwise nothing is written, and
// the error is a [*ConditionError]. The write's own entry, from a request whose
// answer was lost, never makes the condition fail. A condition takes no more
// requests: if the client does not know the key's newest entry, it reads the key
// object in place of its tag.
func (c *Client[V]) Set(ctx context.Context, key string, value V, opts ...SetOption) (_ Entry[V], err error) {
	ctx, end := c.core.begin(ctx, "set", key)
	defer func() { end(err) }()
	var q setQuery
	for _, opt := range opts {
		opt.setSet(&q)
	}
	cond, err := q.condition()
	if err != nil {
		return Entry[V]{}, fmt.Errorf("set %q: %w", key, err)
	}
	raw, err := c.encode(value)
	if err != nil {
		return Entry[V]{}, fmt.Errorf("set %q: %w", key, err)
	}
	v, err := c.core.set(ctx, key, raw, cond, c.core.newRace())
	if err != nil {
		return Entry[V]{}, fmt.Errorf("set %q: %w", key, err)
	}
	return setEntry(v, value), nil
}

func (c *Client[V]) encode(value V) ([]byte, error) {
	raw, err := c.codec.Encode(value)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidValue, err)
	}
	return raw, nil
}

// setEntry is the entry of a value just set. The value is not decoded: what is returned
// must not depend on whether a codec reads back what it wrote, for the entry is in the
// log.
func setEntry[V any](v *version, value V) Entry[V] {
	e := newEntry[V](v)
	e.Value = value
	return e
}

// Settle finds out what became of a write whose outcome was unknown. It returns the
// entry if it is in the log; an error that is [ErrConflict] if it is not and never
// will be; and [ErrOutcomeUnknown] if that still cannot be told. It may send the
// identical write again; at most one of the two takes effect.
//
// The error must come from a client of the same store in this process.
func (c *Client[V]) Settle(ctx context.Context, unknown *OutcomeUnknownError) (_ Entry[V], err error) {
	ctx, end := c.core.begin(ctx, "settle", "")
	defer func() { end(err) }()
	l, err := c.core.settle(ctx, unknown)
	if err != nil {
		return Entry[V]{}, fmt.Errorf("settle: %w", err)
	}
	return c.entry(l[unknown.place], nil)
}

// Get returns the newest entry of a key. It is one request; when the repair
// interval has passed (see [WithRepairCheckInterval]), and at the client's first
// read, it first checks whether the newest entry of the log needs repair.
//
// While the key's newest entry is another client's orphan, Get may return the entry
// before it; with [Consistent] it does not.
//
// An entry whose hash does not hold is returned together with an error that is
// [ErrVerificationFailed].
func (c *Client[V]) Get(ctx context.Context, key string, opts ...GetOption) (_ Entry[V], err error) {
	ctx, end := c.core.begin(ctx, "get", key)
	defer func() { end(err) }()
	v, err := c.core.get(ctx, key, newGetQuery(opts))
	e, err := c.entry(v, err)
	if err != nil {
		err = fmt.Errorf("get %q: %w", key, err)
	}
	return e, err
}

// LogVersion returns the entries that a log version holds, oldest first: one, or those
// that were written as one batch. It is one request. Entries that cannot be decoded or
// trusted are returned, too, with the error of the first of them.
func (c *Client[V]) LogVersion(ctx context.Context, id LogVersionID) (_ []Entry[V], err error) {
	ctx, end := c.core.begin(ctx, "log_version", "")
	defer func() { end(err) }()
	l, err := c.core.logVersion(ctx, id)
	var entries []Entry[V]
	for _, v := range l {
		e, entryErr := c.entry(v, v.checkHash())
		entries = append(entries, e)
		if err == nil {
			err = entryErr
		}
	}
	if err != nil {
		err = fmt.Errorf("read log version %q: %w", id, err)
	}
	return entries, err
}

// History returns the entries of a key, newest first. A key that was never set
// has none. An entry that cannot be read, decoded or trusted is yielded with its
// error, an [*EntryError], and the sequence goes on; any other error ends it.
func (c *Client[V]) History(ctx context.Context, key string, opts ...HistoryOption) iter.Seq2[Entry[V], error] {
	var q historyQuery
	for _, opt := range opts {
		opt.setHistory(&q)
	}
	return observed(ctx, c.core, "history", key, func(ctx context.Context) iter.Seq2[Entry[V], error] {
		return c.entries(c.core.history(ctx, key, q), fmt.Sprintf("history of %q", key))
	})
}

// EntryAt returns the log's entry of a sequence number. It reads the newest entry,
// the listing of versions down to the requested one, a thousand versions a request,
// and the requested entry. If the log does not have the entry, or no longer has it,
// the error is [ErrNotFound]. The entry's own hash is checked, not the chain that
// leads to it: see [Client.VerifyLog].
func (c *Client[V]) EntryAt(ctx context.Context, sequence int64) (_ Entry[V], err error) {
	ctx, end := c.core.begin(ctx, "entry_at", "")
	defer func() { end(err) }()
	v, err := c.core.entryAt(ctx, sequence)
	e, err := c.entry(v, err)
	if err != nil {
		err = fmt.Errorf("read entry %d: %w", sequence, err)
	}
	return e, err
}

// Log returns the entries of the whole log, newest first, as [Client.History] does
// those of a key, or the oldest first with [OldestFirst]. After a version that is no
// entry the next is the one that the store lists below it. An entry that does not lead
// to an older one ends the sequence.
func (c *Client[V]) Log(ctx context.Context, opts ...LogOption) iter.Seq2[Entry[V], error] {
	q := newLogQuery(opts)
	return observed(ctx, c.core, "log", "", func(ctx context.Context) iter.Seq2[Entry[V], error] {
		return c.entries(c.core.log(ctx, q), "log")
	})
}

// Watch yields every entry of the log, oldest first, each exactly once, and goes on as
// they come, until the context ends or the consumer stops. It begins with the first entry,
// or where [After] or [From] says. Where to go on after a restart is [Entry.Checkpoint] of
// the last entry that was dealt with.
//
// Each entry is checked to be what its hash says and to follow the one before, the first
// one the checkpoint, so that to follow a log is to verify it. A log that was cut off,
// rolled back, rewritten or replaced ends the sequence with an error that is
// [ErrVerificationFailed], in most cases a [Finding], or [ErrLogDeleted]; it says at
// which sequence. What the log does not say by itself, a watch cannot see either: that
// entries further back than its beginning, or those that it has yielded, were changed
// where they stand is found by [Client.VerifyLog]. An entry that cannot be decoded is
// yielded with its error, and the sequence goes on.
//
// Failures of the store are logged and waited out, until the context ends; denied access
// is no such failure. The end of the context ends the sequence with its error.
//
// While nothing comes, a watch is one HEAD for each [WithPollInterval]. When it has to
// catch up, it reads bodies wide, as [Client.Log] does, and no more of them than that
// however slow the consumer is: of what waits, it keeps the version IDs. It reads the log
// alone, where an entry is from the moment at which it is committed; its key object may
// be a moment behind.
func (c *Client[V]) Watch(ctx context.Context, opts ...WatchOption) iter.Seq2[Entry[V], error] {
	q := newWatchQuery(opts)
	return observed(ctx, c.core, "watch", "", func(ctx context.Context) iter.Seq2[Entry[V], error] {
		return c.entries(c.core.watched(ctx, c.core.watch(ctx, q)), "watch")
	})
}

// Keys returns the keys that were ever set, in lexicographic order of their
// bytes. An error ends the sequence.
func (c *Client[V]) Keys(ctx context.Context, opts ...KeysOption) iter.Seq2[string, error] {
	var q keysQuery
	for _, opt := range opts {
		opt.setKeys(&q)
	}
	return observed(ctx, c.core, "keys", "", func(ctx context.Context) iter.Seq2[string, error] { return c.core.keys(ctx, q) })
}

// Verify checks an entry against its hash, in either dialect. It uses the entry's
// fields and its stored JSON, not its Value. A nil error means that the hash holds;
// otherwise the error is [ErrVerificationFailed]. The hash does not prove that the
// entry is in the log: see [Client.VerifyLog].
func (c *Client[V]) Verify(e Entry[V]) error {
	d := wire.VerifyFields(e.Key, e.PreviousHash, e.Sequence, e.Timestamp.UnixMilli(), e.JSON, e.Hash)
	if d == 0 {
		return fmt.Errorf("verify %q, sequence %d: %w: its hash is that of no dialect", e.Key, e.Sequence, ErrVerificationFailed)
	}
	return nil
}

// VerifyLog checks the log alone: every hash, every link, that no sequence number
// is missing, and that the log has its beginning. The report lists what it found;
// the error is about the call, such as a store that does not answer. Memory does
// not grow with the log.
func (c *Client[V]) VerifyLog(ctx context.Context, opts ...VerifyOption) (_ *Report, err error) {
	ctx, end := c.core.begin(ctx, "verify_log", "")
	defer func() { end(err) }()
	report, err := c.core.verifyLog(ctx, newVerifyQuery(opts), nil)
	if err != nil {
		return nil, fmt.Errorf("verify log: %w", err)
	}
	return report, nil
}

// Audit checks the log as [Client.VerifyLog] does, and every version of every key
// object against the log: each entry must have exactly one version, in order; only
// entries of the newest log version may have none; and no version may hold what is
// not in the log. Writers may go on meanwhile. Memory grows by about 32 bytes an
// entry.
func (c *Client[V]) Audit(ctx context.Context, opts ...VerifyOption) (_ *Report, err error) {
	ctx, end := c.core.begin(ctx, "audit", "")
	defer func() { end(err) }()
	report, err := c.core.audit(ctx, newVerifyQuery(opts))
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return report, nil
}

// Repair checks the newest entry of the log and, if it is an orphan, writes its key
// object from the stored entry. Every write does so first. Call Repair only if it
// has to be done now.
func (c *Client[V]) Repair(ctx context.Context) (_ RepairResult, err error) {
	ctx, end := c.core.begin(ctx, "repair", "")
	defer func() { end(err) }()
	result, err := c.core.repair(ctx)
	if err != nil {
		return result, fmt.Errorf("repair: %w", err)
	}
	return result, nil
}

// Close waits for the write under way, its deferred apply included, and
// makes every later call fail with [ErrClosed]. It does not close the store.
func (c *Client[V]) Close() error {
	c.core.close()
	return nil
}

func (c *core) close() {
	_ = c.writes.lock(context.Background())
	defer c.writes.unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}

func (c *core) checkOpen() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	return nil
}

// entry decodes what the core returned. A version that came with an error about
// itself is decoded all the same, for whoever wants to look at it.
func (c *Client[V]) entry(v *version, err error) (Entry[V], error) {
	if v == nil {
		return Entry[V]{}, err
	}
	e := newEntry[V](v)
	var decodeErr error
	if e.Value, decodeErr = c.codec.Decode(e.JSON); decodeErr != nil && err == nil {
		err = v.wrong(fmt.Errorf("decode value: %w", decodeErr))
	}
	return e, err
}

// entries decodes a sequence of versions as it is consumed.
func (c *Client[V]) entries(seq iter.Seq2[*version, error], what string) iter.Seq2[Entry[V], error] {
	return func(yield func(Entry[V], error) bool) {
		for v, err := range seq {
			e, err := c.entry(v, err)
			if err != nil {
				err = fmt.Errorf("%s: %w", what, err)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}
