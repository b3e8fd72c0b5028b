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
	// store accepts every name that its server accepts: its objects may be another
	// client's.
	store backend.VersionedStore
	// checkNewName returns an error for a name that no new object should have; nil if the
	// store has no such names.
	checkNewName func(name string) error
	config
	writes writeLock
	queue  queue
	turn   turn
	closed chan struct{} // closed with the client

	lastDialect atomic.Uint32 // the [Dialect] of the version read last

	mu        sync.Mutex
	head      *head // nil: not known
	keyStates keyStates
	lastCheck time.Time  // when the newest entry was last known to need no repair
	checking  *headCheck // nil: no read is checking the head
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
	c := &core{opened: store, config: cfg, writes: newWriteLock(), closed: make(chan struct{})}
	if strict, ok := store.(backend.StrictStore); ok {
		c.checkNewName = strict.CheckNewName
		store = strict.AnyName()
	}
	c.store = sizedStore{store}
	return &Client[V]{core: c, codec: codec}, nil
}

// WithCodec returns a client for another value type on the same store. The two clients
// share the connection, the write lock and the cache. Closing either closes both. A
// client decodes only the entries that it returns, so a log may contain values of several
// types if each key is read with the right codec.
func WithCodec[V, W any](c *Client[V], codec Codec[W]) *Client[W] {
	return &Client[W]{core: c.core, codec: codec}
}

// JSONCodec is the codec that a client has by default: encoding/json. A string that is
// not valid UTF-8 is an error; package json would silently replace the invalid bytes.
func JSONCodec[V any]() Codec[V] { return jsonCodec[V]{} }

// Set sets a key to a value: it appends an entry to the log and applies it to the key's
// object. A nil error means that the entry is in the log, once and for ever, with the
// returned version, sequence and hash. If only the apply failed, Set succeeds
// nevertheless: the entry is an orphan, which the next activity of a client repairs.
//
// [ErrOutcomeUnknown] means that the entry may be in the log, now or later; see
// [OutcomeUnknownError]. Any other error means that the entry is not in the log and never
// will be. After a lost race, Set retries until the context ends, or as often as
// [WithMaxAttempts] allows. After a lost answer, it retries a few times. Writes of one
// client wait for one another.
//
// With a condition, [IfAbsent] or [IfSequence], Set appends the entry only if the
// condition holds at that moment. Otherwise nothing is written, and the error is a
// [*ConditionError]. A retry after a lost answer never mistakes the write's own entry for
// that of another writer. A condition takes no more requests: if the client does not know
// the key's newest entry, it sends a GET of the key object in place of a HEAD.
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

// setEntry returns the entry of a value just set, without decoding it. The entry is in
// the log, so the result must not depend on whether the codec can decode what it encoded.
func setEntry[V any](v *version, value V) Entry[V] {
	e := newEntry[V](v)
	e.Value = value
	return e
}

// Settle finds out the outcome of a write that returned [ErrOutcomeUnknown]. If the entry
// is in the log, Settle returns it. If the entry is not in the log and never will be, the
// error is [ErrConflict]. If the outcome is still unknown, the error is
// [ErrOutcomeUnknown] again. Settle may send the identical write again; at most one of
// the two takes effect.
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

// Get returns the newest entry of a key. It takes one request. At the client's first
// read, and whenever the repair interval has passed (see [WithRepairCheckInterval]), Get
// first checks whether the newest entry of the log needs repair.
//
// While the key's newest entry is another client's orphan, Get may return the entry
// before it; with [Consistent] it does not.
//
// If the entry does not match its hash, Get returns the entry together with an error that
// is [ErrVerificationFailed].
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
// error, an [*EntryError], and the sequence continues; any other error ends it.
func (c *Client[V]) History(ctx context.Context, key string, opts ...HistoryOption) iter.Seq2[Entry[V], error] {
	var q historyQuery
	for _, opt := range opts {
		opt.setHistory(&q)
	}
	return observed(ctx, c.core, "history", key, func(ctx context.Context) iter.Seq2[Entry[V], error] {
		return c.entries(c.core.history(ctx, key, q), fmt.Sprintf("history of %q", key))
	})
}

// EntryAt returns the log's entry with a sequence number. It reads the newest entry, the
// listing of versions down to the requested one (a thousand versions in each request),
// and the requested entry. If the log does not have the entry, or no longer has it, the
// error is [ErrNotFound]. EntryAt checks the hash of the entry, but not the chain that
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

// Log returns the entries of the whole log, as [Client.History] returns those of a key:
// newest first, or oldest first with [OldestFirst]. If a version cannot be read as an
// entry, Log continues with the version that the store lists below it. An entry whose
// link does not lead to an older entry ends the sequence.
func (c *Client[V]) Log(ctx context.Context, opts ...LogOption) iter.Seq2[Entry[V], error] {
	q := newLogQuery(opts)
	return observed(ctx, c.core, "log", "", func(ctx context.Context) iter.Seq2[Entry[V], error] {
		return c.entries(c.core.log(ctx, q), "log")
	})
}

// Watch yields every entry of the log exactly once, oldest first, and then waits for new
// entries, until the context ends or the consumer stops. It begins with the first entry,
// or where [After] or [From] says. To continue after a restart, pass [Entry.Checkpoint]
// of the last processed entry to [After].
//
// Watch verifies the log as it follows it: each entry must match its hash and follow the
// entry before it, and the first entry must follow the checkpoint. If the log was cut
// off, rolled back, rewritten or replaced, the sequence ends with an error that is
// [ErrVerificationFailed], in most cases a [Finding], or with [ErrLogDeleted]. The error
// names the sequence number. Watch does not read an entry again after it has yielded it,
// nor any entry before its beginning. If such an entry was changed in place,
// [Client.VerifyLog] detects it. An entry that cannot be decoded is yielded with its
// error, and the sequence continues.
//
// If the store fails, Watch logs the error and retries, until the context ends. If access
// is denied, the sequence ends with the error. If the context ends, the sequence ends
// with the error of the context.
//
// While there are no new entries, Watch sends one HEAD in each [WithPollInterval]. When
// it has to catch up, it fetches several bodies at a time, as [Client.Log] does. If the
// consumer is slow, Watch keeps only these bodies, and the version IDs of the other new
// entries. Watch reads only the log, which has an entry from the moment of its append.
// The key object may not reflect the entry yet.
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
		return fmt.Errorf("verify %q, sequence %d: %w: the hash matches the entry in neither dialect", e.Key, e.Sequence, ErrVerificationFailed)
	}
	return nil
}

// VerifyLog checks only the log: that every hash and every link is correct, that no
// sequence number is missing, and that the log has its beginning. The report lists the
// problems in the log. The error is for a failure of the call itself, for example if the
// store does not answer. Memory does not grow with the log.
func (c *Client[V]) VerifyLog(ctx context.Context, opts ...VerifyOption) (_ *Report, err error) {
	ctx, end := c.core.begin(ctx, "verify_log", "")
	defer func() { end(err) }()
	report, err := c.core.verifyLog(ctx, newVerifyQuery(opts), nil)
	if err != nil {
		return nil, fmt.Errorf("verify log: %w", err)
	}
	return report, nil
}

// Audit checks the log as [Client.VerifyLog] does. It also checks every version of every
// key object against the log. Each entry must have exactly one version of its key object,
// in order; only an entry of the newest log version may have none. No version may hold an
// entry that is not in the log. Writers may write during an audit. An audit needs about
// 32 bytes of memory for each entry.
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
// object from the stored entry. Every write does so before it appends. Call Repair only
// if you cannot wait for the next write.
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
	if c.checkOpen() == nil {
		close(c.closed)
	}
}

func (c *core) checkOpen() error {
	select {
	case <-c.closed:
		return ErrClosed
	default:
		return nil
	}
}

// entry decodes what the core returned. It also decodes a version that has an error about
// itself, so that the caller can inspect it.
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
