package immukv

import (
	"encoding/json"
	"time"
)

// The options of reads and verifications. Each call takes those that make sense
// for it; others do not compile.
type (
	// GetOption is an option of [Client.Get] and [Client.GetAll].
	GetOption interface{ setGet(*getQuery) }
	// HistoryOption is an option of [Client.History].
	HistoryOption interface{ setHistory(*historyQuery) }
	// LogOption is an option of [Client.Log].
	LogOption interface{ setLog(*logQuery) }
	// KeysOption is an option of [Client.Keys].
	KeysOption interface{ setKeys(*keysQuery) }
	// WatchOption is an option of [Client.Watch].
	WatchOption interface{ setWatch(*watchQuery) }
	// VerifyOption is an option of [Client.VerifyLog] and [Client.Audit].
	VerifyOption interface{ setVerify(*verifyQuery) }
)

type getQuery struct {
	consistent bool
	atSequence *int64
	asOf       *time.Time
}

func newGetQuery(opts []GetOption) getQuery {
	var q getQuery
	for _, opt := range opts {
		opt.setGet(&q)
	}
	return q
}

// past reports whether the query is about what was, and not about what is.
func (q getQuery) past() bool { return q.atSequence != nil || q.asOf != nil }

type historyQuery struct {
	limit     int
	before    LogVersionID
	beforeKey KeyVersionID
}

type logQuery struct {
	limit       int
	before      LogVersionID
	from        int64
	oldestFirst bool
}

func newLogQuery(opts []LogOption) logQuery {
	var q logQuery
	for _, opt := range opts {
		opt.setLog(&q)
	}
	return q
}

type keysQuery struct {
	limit  int
	after  *string // nil: from the first key on, which may be the empty one
	prefix string
}

type watchQuery struct {
	after     *Checkpoint
	from      *int64
	keyPrefix string
	interval  time.Duration
	untilIdle bool
}

func newWatchQuery(opts []WatchOption) watchQuery {
	q := watchQuery{interval: DefaultPollInterval}
	for _, opt := range opts {
		opt.setWatch(&q)
	}
	return q
}

type verifyQuery struct {
	limit        int
	trustedHead  *Checkpoint
	trustedStart *Checkpoint
	progress     func(done, total int64)
	each         func(Entry[json.RawMessage])
}

func newVerifyQuery(opts []VerifyOption) verifyQuery {
	var q verifyQuery
	for _, opt := range opts {
		opt.setVerify(&q)
	}
	return q
}

type consistentOption struct{}

// Consistent makes a read linearizable: it returns the effect of every write that any
// client of the store completed before the read began, also where the apply is deferred
// or failed. The read asks for the head of the log first, and then for the key object,
// unless the head is the key's newest entry itself: two requests at most, one after the
// other. On a log that is just being begun, or was deleted, it takes up to two more.
//
// It fails if the head of the log cannot be read or trusted, and it repairs nothing.
func Consistent() GetOption { return consistentOption{} }

func (consistentOption) setGet(q *getQuery) { q.consistent = true }

type atSequenceOption int64

// AtSequence returns what a key had when the log had come to that sequence: the key's
// newest entry among those up to it. If the log has not come so far, that is the newest
// of all. Once it has, the answer never changes.
//
// It reads the head of the log, the key object and, if the entry is an older one,
// the listing of the object's versions, a thousand a request, and a number of
// bodies that grows with the logarithm of the number of versions. It is
// linearizable as [Consistent] is, and repairs nothing.
func AtSequence(sequence int64) GetOption { return atSequenceOption(sequence) }

func (o atSequenceOption) setGet(q *getQuery) { q.atSequence = (*int64)(&o) }

type asOfOption time.Time

// AsOf returns what a key had at a time: going back from its newest entry, the
// first whose timestamp is not after t. Timestamps are to the millisecond, and they
// are the writers' clocks. Where these disagree or run backwards, an entry may be
// returned though an older one has a later timestamp. [AtSequence] uses the order
// of the log instead, which is certain.
//
// It reads the head of the log, and the versions of the key object from the newest back
// to the one returned. It is linearizable as [Consistent] is, and repairs nothing.
func AsOf(t time.Time) GetOption { return asOfOption(t) }

func (o asOfOption) setGet(q *getQuery) { q.asOf = (*time.Time)(&o) }

type limitOption int

// Limit returns at most n items, or verifies the newest n entries. Zero or less
// means no limit. A verification with a limit reports that it is not complete.
func Limit(n int) interface {
	HistoryOption
	LogOption
	KeysOption
	VerifyOption
} {
	return limitOption(max(n, 0))
}

func (o limitOption) setHistory(q *historyQuery) { q.limit = int(o) }
func (o limitOption) setLog(q *logQuery)         { q.limit = int(o) }
func (o limitOption) setKeys(q *keysQuery)       { q.limit = int(o) }
func (o limitOption) setVerify(q *verifyQuery)   { q.limit = int(o) }

type beforeOption LogVersionID

// Before begins with the entry before (older than) the one that the log version
// holds. In a history the version must hold an entry of the key. It costs one
// request, and in a history also the listing of versions down to that entry.
func Before(id LogVersionID) interface {
	HistoryOption
	LogOption
} {
	return beforeOption(id)
}

func (o beforeOption) setHistory(q *historyQuery) { q.before = LogVersionID(o) }
func (o beforeOption) setLog(q *logQuery)         { q.before = LogVersionID(o) }

type fromOption int64

// From leaves out entries with a lower sequence. Read oldest first, the log begins
// with the entry of that sequence; read newest first, it ends with it. If the log
// does not have the entry yet, a watch waits for it.
func From(sequence int64) interface {
	LogOption
	WatchOption
} {
	return fromOption(max(sequence, 0))
}

func (o fromOption) setLog(q *logQuery)     { q.from = int64(o) }
func (o fromOption) setWatch(q *watchQuery) { q.from = (*int64)(&o) }

type oldestFirstOption struct{}

// OldestFirst returns the entries of the log in the order in which they were appended,
// up to the one that is the newest when the call begins. Stores list versions newest
// first: all of the listing, down to the entry to begin with, is read before the first
// entry is returned, and its version IDs are in memory, about 40 bytes each, until
// their entries are returned.
//
// Each entry is checked to follow the one before. One that does not ends the sequence
// with a [Finding].
func OldestFirst() LogOption { return oldestFirstOption{} }

func (oldestFirstOption) setLog(q *logQuery) { q.oldestFirst = true }

type beforeKeyOption KeyVersionID

// BeforeKeyVersion begins with the entry before the one that this version of the
// key object holds, as Entry.KeyVersionID gives it. It costs as much as [Before],
// because a listing that begins at the version could miss an older one that the
// store lists out of order.
func BeforeKeyVersion(id KeyVersionID) HistoryOption { return beforeKeyOption(id) }

func (o beforeKeyOption) setHistory(q *historyQuery) { q.beforeKey = KeyVersionID(o) }

type afterKeyOption string

// AfterKey begins with the first key greater than this one, which need not exist.
func AfterKey(key string) KeysOption { return afterKeyOption(key) }

func (o afterKeyOption) setKeys(q *keysQuery) { q.after = (*string)(&o) }

type afterOption Checkpoint

// After begins with the entry after a checkpoint, such as [Entry.Checkpoint] of the
// last entry that was processed, or [Report.Head]. The log must have the
// checkpoint's entry.
func After(c Checkpoint) interface {
	WatchOption
	ExportOption
} {
	return afterOption(c)
}

func (o afterOption) setWatch(q *watchQuery)   { q.after = (*Checkpoint)(&o) }
func (o afterOption) setExport(q *exportQuery) { q.after = (*Checkpoint)(&o) }

type watchKeysOption string

// WatchKeys yields only entries of keys that begin with prefix. The others are read
// and checked nevertheless.
func WatchKeys(prefix string) WatchOption { return watchKeysOption(prefix) }

func (o watchKeysOption) setWatch(q *watchQuery) { q.keyPrefix = string(o) }

type pollIntervalOption time.Duration

// WithPollInterval sets how long a watch that has yielded everything waits before it
// asks for more, one second by default. Each wait is drawn from half to one and a half
// times that.
func WithPollInterval(d time.Duration) WatchOption { return pollIntervalOption(d) }

func (o pollIntervalOption) setWatch(q *watchQuery) { q.interval = time.Duration(o) }

type untilIdleOption struct{}

// UntilIdle ends a watch when there is nothing more to yield.
func UntilIdle() WatchOption { return untilIdleOption{} }

func (untilIdleOption) setWatch(q *watchQuery) { q.untilIdle = true }

type keyPrefixOption string

// KeyPrefix restricts the keys to those that begin with prefix.
func KeyPrefix(prefix string) KeysOption { return keyPrefixOption(prefix) }

func (o keyPrefixOption) setKeys(q *keysQuery) { q.prefix = string(o) }

// Checkpoint is a place in the log and the hash of the entry there.
type Checkpoint struct {
	Sequence int64
	Hash     Hash
}

// trusted is nil for the head of an empty log: every log extends it.
func (c Checkpoint) trusted() *Checkpoint {
	if c == newReport().Head() {
		return nil
	}
	return &c
}

type trustedHeadOption Checkpoint

// TrustedHead gives an earlier head that the caller trusts, such as one kept from
// the last verification. The log must extend it. Without one, a verification cannot
// detect that entries were cut off the end of the log, or that someone with the
// right to write rewrote everything from some entry on.
func TrustedHead(c Checkpoint) VerifyOption { return trustedHeadOption(c) }

func (o trustedHeadOption) setVerify(q *verifyQuery) { q.trustedHead = Checkpoint(o).trusted() }

type trustedStartOption Checkpoint

// TrustedStart gives an entry that the caller trusts, with all before it: only what
// follows is verified. The entry itself need not exist any more. Use it for logs
// whose oldest versions have expired, and to continue from where the last
// verification ended.
func TrustedStart(c Checkpoint) VerifyOption { return trustedStartOption(c) }

func (o trustedStartOption) setVerify(q *verifyQuery) { q.trustedStart = Checkpoint(o).trusted() }

type progressOption func(done, total int64)

// Progress sets a function that is called from time to time with how many entries
// were read and how many there are, by one goroutine at a time. An audit reads each
// twice, once in the log and once in its key object. A copy tells how many entries the
// destination has, and the source; for an import the total is -1.
func Progress(f func(done, total int64)) interface {
	VerifyOption
	CopyOption
} {
	return progressOption(f)
}

func (o progressOption) setCopy(q *copyQuery) { q.progress = o }

func (o progressOption) setVerify(q *verifyQuery) { q.progress = o }

type eachOption func(Entry[json.RawMessage])

// EachEntry has a function called with every entry of the log that can be read, the
// newest first, by one goroutine, while it is verified: for other checks that would have
// to read the log once more. The entry's Value is its JSON. It may be an entry that the
// report finds fault with.
func EachEntry(f func(Entry[json.RawMessage])) VerifyOption { return eachOption(f) }

func (o eachOption) setVerify(q *verifyQuery) { q.each = o }
