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

// Consistent makes a read linearizable: it reflects every write that any client of the
// store completed before the read began, even if the apply was deferred or failed. The
// read first requests the head of the log. If the head is not an entry of the key, it
// then requests the key object. So it takes at most two requests, one after the other. If
// the log was only just created, or was deleted, it takes up to two more.
//
// It fails if the head of the log cannot be read or trusted, and it repairs nothing.
func Consistent() GetOption { return consistentOption{} }

func (consistentOption) setGet(q *getQuery) { q.consistent = true }

type atSequenceOption int64

// AtSequence returns the entry that a key had when the log ended with the given sequence:
// the newest entry of the key up to that sequence. If the log does not reach that
// sequence yet, this is the key's newest entry. Once the log has reached it, the result
// never changes.
//
// It reads the head of the log and the key object. For an entry that is not the newest,
// it also reads the listing of the object's versions, a thousand in each request, and
// some bodies: their number grows with the logarithm of the number of versions. It is
// linearizable as [Consistent] is, and repairs nothing.
func AtSequence(sequence int64) GetOption { return atSequenceOption(sequence) }

func (o atSequenceOption) setGet(q *getQuery) { q.atSequence = (*int64)(&o) }

type asOfOption time.Time

// AsOf returns the entry that a key had at time t. It goes back from the key's newest
// entry to the first whose timestamp is not after t. Timestamps come from the writers'
// clocks and have a precision of a millisecond. If the clocks differ or were set back, an
// entry that is older than the returned one may have a later timestamp. The order of the
// log has no such uncertainty: see [AtSequence].
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

// Before begins with the newest entry that is older than the given log version. In a
// history, that version must hold an entry of the key. Before costs one request; in a
// history it also costs the listing of versions down to that entry.
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

// OldestFirst returns the entries of the log in the order in which they were appended, up
// to the one that is the newest when the call begins. Stores list versions newest first:
// so the listing is read down to the entry to begin with before the first entry is
// returned. The version IDs, about 40 bytes each, stay in memory until their entries are
// returned.
//
// Each entry must follow the one before it. One that does not ends the sequence with a
// [Finding].
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

// After begins with the entry that follows a checkpoint, for example [Entry.Checkpoint]
// of the last processed entry, or [Report.Head]. The log must contain the entry of the
// checkpoint.
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

// UntilIdle ends a watch as soon as there is no entry left to yield.
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

// TrustedHead gives an earlier head that the caller trusts, such as one kept from the
// last verification. The log must extend it. Without a trusted head, a verification
// cannot detect that entries were cut off at the end of the log, or that someone with
// write permission rewrote the log from some entry on.
func TrustedHead(c Checkpoint) VerifyOption { return trustedHeadOption(c) }

func (o trustedHeadOption) setVerify(q *verifyQuery) { q.trustedHead = Checkpoint(o).trusted() }

type trustedStartOption Checkpoint

// TrustedStart gives an entry that the caller trusts, together with all entries before
// it. Only the entries after it are verified. The trusted entry itself need not exist any
// more. Use TrustedStart for logs whose oldest versions have expired, and to continue
// where the last verification ended.
func TrustedStart(c Checkpoint) VerifyOption { return trustedStartOption(c) }

func (o trustedStartOption) setVerify(q *verifyQuery) { q.trustedStart = Checkpoint(o).trusted() }

type progressOption func(done, total int64)

// Progress sets a function that is called from time to time, by one goroutine at a time.
// A verification passes the number of entries that it has read, and the number of all
// entries. An audit counts each entry twice, because it reads it in the log and in its
// key object. A copy passes the number of entries in the destination and in the source.
// [VerifyExport] and [Import] pass -1 as the total.
func Progress(f func(done, total int64)) interface {
	VerifyOption
	CopyOption
} {
	return progressOption(f)
}

func (o progressOption) setCopy(q *copyQuery) { q.progress = o }

func (o progressOption) setVerify(q *verifyQuery) { q.progress = o }

type eachOption func(Entry[json.RawMessage])

// EachEntry sets a function that the verification calls with every entry of the log that
// can be read, newest first, from one goroutine. Use it for further checks, so that the
// log is not read twice. The Value of the entry is its JSON. The report may have a
// finding about the same entry.
func EachEntry(f func(Entry[json.RawMessage])) VerifyOption { return eachOption(f) }

func (o eachOption) setVerify(q *verifyQuery) { q.each = o }
