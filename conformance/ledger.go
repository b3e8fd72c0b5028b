package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// The checks of the protocol set each value, a string, only once. So the value
// identifies the entry.
type (
	client = immukv.Client[string]
	entry  = immukv.Entry[string]
)

// A lazy client never checks for orphans, so that a check controls every
// request. An eager client checks at every read.
var (
	lazy  = immukv.WithRepairCheckInterval(-1)
	eager = immukv.WithRepairCheckInterval(0)
)

// connect opens a client. The caller closes it.
func connect(ctx context.Context, s backend.VersionedStore, prefix string, opts ...immukv.Option) (*client, error) {
	c, err := immukv.Open[string](ctx, s, append(opts, immukv.WithPrefix(prefix))...)
	if err != nil {
		return nil, fmt.Errorf("open a client: %w", err)
	}
	return c, nil
}

// attempt is one entry that a call was to write, and the outcome.
type attempt struct {
	key, value   string
	with         []*attempt // of the same SetAll, this one included; nil for a Set
	entry        entry
	err          error
	began, ended int // ticks of the ledger's clock
}

// ledger records the outcome of every Set and SetAll.
type ledger struct {
	mu       sync.Mutex
	ticks    int
	attempts []*attempt
}

// set sets a key through a client and records the outcome.
func (l *ledger) set(ctx context.Context, c *client, key, value string, opts ...immukv.SetOption) error {
	a := &attempt{key: key, value: value}
	l.begin(a)
	e, err := c.Set(ctx, key, value, opts...)
	l.end([]*attempt{a}, []entry{e}, err)
	return err
}

// setAll sets keys through a client, all or none, and records the outcome.
func (l *ledger) setAll(ctx context.Context, c *client, writes []immukv.Write[string]) error {
	attempts := make([]*attempt, len(writes))
	for i, w := range writes {
		attempts[i] = &attempt{key: w.Key, value: w.Value, with: attempts}
	}
	l.begin(attempts...)
	entries, err := c.SetAll(ctx, writes...)
	l.end(attempts, entries, err)
	return err
}

// begin records that a call begins.
func (l *ledger) begin(attempts ...*attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ticks++
	for _, a := range attempts {
		a.began = l.ticks
	}
	l.attempts = append(l.attempts, attempts...)
}

// end records how the call ended.
func (l *ledger) end(attempts []*attempt, entries []entry, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ticks++
	for i, a := range attempts {
		a.ended, a.err = l.ticks, err
		if err == nil {
			a.entry = entries[i]
		}
	}
}

// writesOf gives each key a value of its own, which begins with value.
func writesOf(value string, keys ...string) []immukv.Write[string] {
	writes := make([]immukv.Write[string], len(keys))
	for i, key := range keys {
		writes[i] = immukv.Write[string]{Key: key, Value: value + " of " + key}
	}
	return writes
}

// agrees compares the recorded outcomes with the log, which is given oldest
// first.
func (l *ledger) agrees(log []entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := make(map[string][]entry)
	for _, e := range log {
		found[e.Value] = append(found[e.Value], e)
	}
	for _, a := range l.attempts {
		n := len(found[a.value])
		switch {
		case n > 1:
			return unlike("every write to be in the log once", "%q at %d places", a.value, n)
		case a.err == nil && n == 0:
			return unlike("an acknowledged write to be in the log", "%q nowhere", a.value)
		case a.err == nil && (found[a.value][0].VersionID != a.entry.VersionID || found[a.value][0].Hash != a.entry.Hash):
			return unlike(fmt.Sprintf("%q in the log as it was acknowledged, at %d", a.value, a.entry.Sequence), "%d", found[a.value][0].Sequence)
		case a.err != nil && !errors.Is(a.err, immukv.ErrOutcomeUnknown) && n == 1:
			return unlike("a write that failed not to be in the log", "%q at %d, which ended with %q", a.value, found[a.value][0].Sequence, a.err)
		}
	}
	for _, a := range l.attempts {
		if err := a.undivided(found); err != nil {
			return err
		}
	}
	for _, a := range l.attempts {
		delete(found, a.value)
	}
	for value, entries := range found {
		return unlike("nothing in the log but what was set", "%q at %d", value, entries[0].Sequence)
	}
	return nil
}

// undivided checks that the entries of a SetAll are in one version of the log,
// side by side, or nowhere.
func (a *attempt) undivided(log map[string][]entry) error {
	if len(a.with) == 0 || a != a.with[0] {
		return nil
	}
	first := log[a.value]
	for i, other := range a.with {
		there := log[other.value]
		if len(there) != len(first) {
			return unlike(fmt.Sprintf("all %d entries of a batch to be in the log, or none", len(a.with)), "%d of %q and %d of %q", len(first), a.value, len(there), other.value)
		}
		if len(there) > 0 && (there[0].VersionID != first[0].VersionID || there[0].Sequence != first[0].Sequence+int64(i)) {
			return unlike(fmt.Sprintf("entry %d of a batch side by side with the others, in version %q at %d", i, first[0].VersionID, first[0].Sequence+int64(i)),
				"it in version %q at %d", there[0].VersionID, there[0].Sequence)
		}
	}
	return nil
}

// ordered checks that a write which was acknowledged before another began
// precedes it in the log.
func (l *ledger) ordered() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var newest *attempt // of those that ended so far, the one furthest in the log
	byEnd := slices.Clone(l.attempts)
	slices.SortFunc(byEnd, func(a, b *attempt) int { return a.ended - b.ended })
	byBegin := slices.Clone(l.attempts)
	slices.SortFunc(byBegin, func(a, b *attempt) int { return a.began - b.began })
	for _, b := range byBegin {
		for len(byEnd) > 0 && byEnd[0].ended < b.began {
			if a := byEnd[0]; a.err == nil && (newest == nil || a.entry.Sequence > newest.entry.Sequence) {
				newest = a
			}
			byEnd = byEnd[1:]
		}
		if b.err == nil && newest != nil && b.entry.Sequence < newest.entry.Sequence {
			return unlike(fmt.Sprintf("%q, which was acknowledged before %q was begun, to precede it", newest.value, b.value),
				"it at %d and the later at %d", newest.entry.Sequence, b.entry.Sequence)
		}
	}
	return nil
}

// readLog reads the whole log, oldest first.
func readLog(ctx context.Context, c *client) ([]entry, error) {
	var log []entry
	for e, err := range c.Log(ctx) {
		if err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
		log = append(log, e)
	}
	slices.Reverse(log)
	for i, e := range log {
		if e.Sequence != int64(i) {
			return nil, unlike("sequence numbers without a gap", "%d at place %d", e.Sequence, i)
		}
	}
	return log, nil
}

// logOf reads the whole log with a client of its own, oldest first.
func logOf(ctx context.Context, s backend.VersionedStore) ([]entry, error) {
	c, err := connect(ctx, s, "", immukv.WithReadOnly())
	if err != nil {
		return nil, err
	}
	defer c.Close() //nolint:errcheck // it wrote nothing
	return readLog(ctx, c)
}

// audit audits the objects under a prefix with a new client that never repairs.
func audit(ctx context.Context, s backend.VersionedStore, prefix string) (*immukv.Report, error) {
	c, err := connect(ctx, s, prefix, immukv.WithReadOnly(), lazy)
	if err != nil {
		return nil, err
	}
	defer c.Close() //nolint:errcheck // it wrote nothing
	report, err := c.Audit(ctx)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return report, nil
}

// audited audits, and fails on any finding.
func audited(ctx context.Context, s backend.VersionedStore, prefix string) (*immukv.Report, error) {
	report, err := audit(ctx, s, prefix)
	if err == nil && (!report.Valid() || !report.Complete) {
		err = unlike("an audit without findings", "%v", report.Err())
	}
	return report, err
}

// sound checks what must hold at the end of every check: the next write leaves
// no orphan, an audit finds nothing, and every recorded outcome is true.
func sound(ctx context.Context, s backend.VersionedStore, prefix string, l *ledger) error {
	if _, err := audited(ctx, s, prefix); err != nil {
		return err
	}
	c, err := connect(ctx, s, prefix)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // others read what it wrote
	if err := l.set(ctx, c, "the next", "the next write "+prefix); err != nil {
		return unlike("the next write to commit", "%v", err)
	}
	report, err := audited(ctx, s, prefix)
	if err != nil {
		return err
	}
	if len(report.Orphans) > 0 {
		return unlike("no orphan after the next write", "entry %d, of %q", report.Orphans[0].Sequence, report.Orphans[0].Key)
	}
	log, err := readLog(ctx, c)
	if err != nil {
		return err
	}
	return l.agrees(log)
}
