package immukv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// CopyReport is what [Copy] or [Import] did.
type CopyReport struct {
	// Copied is how many entries were written.
	Copied int64
	// Repaired reports whether the destination's newest entries were orphans. The call
	// applied them first.
	Repaired bool
	// Head is the newest entry of the destination at the end.
	Head Checkpoint
}

// CopyOption is an option of [Copy] and [Import].
type CopyOption interface{ setCopy(*copyQuery) }

type copyQuery struct{ progress func(done, total int64) }

func newCopyQuery(opts []CopyOption) copyQuery {
	var q copyQuery
	for _, opt := range opts {
		opt.setCopy(&q)
	}
	return q
}

// Copy appends the entries of the log of src to the log of dst, unchanged: with the same
// sequences, keys, values, timestamps, hashes, dialects and write IDs, and so with the
// same checkpoints. Only version IDs and ETags differ. Entries that share a log version
// in src also share one in dst.
//
// The last entry that it copies is the newest of src when the call begins. Each entry is
// verified before it is written, and is appended and applied as [Client.Set] does. So dst
// is a valid store at every moment. If a copy was interrupted, run it again: it continues
// where dst ends. Copy reads several entries of src at a time.
//
// The log of dst must be a beginning of the log of src. Otherwise nothing is written, and
// the error is a [*ForkError], which is [ErrDiverged]. It has the first sequence at which
// the logs differ. If somebody else appends another entry to dst during the copy, the copy
// ends with a ForkError, too. If an entry of src fails verification, the copy ends with
// [ErrVerificationFailed] or [ErrMalformedEntry]. If dst cannot hold a key, the copy ends
// with [ErrInvalidKey]. In each of these cases, dst has all entries before the one that
// failed, and nothing of that one.
//
// Other writes through the client dst wait until the copy ends.
func Copy[D, S any](ctx context.Context, dst *Client[D], src *Client[S], opts ...CopyOption) (_ CopyReport, err error) {
	ctx, end := dst.core.begin(ctx, "copy", "")
	defer func() { end(err) }()
	report, err := dst.core.copyLog(ctx, src.core, newCopyQuery(opts))
	if err != nil {
		return report, fmt.Errorf("copy: %w", err)
	}
	return report, nil
}

// copyLog is [Copy].
func (c *core) copyLog(ctx context.Context, src *core, q copyQuery) (report CopyReport, err error) {
	if err := src.checkOpen(); err != nil {
		return report, err
	}
	l, err := src.newestVersion(ctx)
	if err != nil {
		return report, fmt.Errorf("read the source: %w", err)
	}
	var top *version
	if l != nil {
		top = l.newest()
	}
	w, err := c.beginCopy(ctx, q)
	if err != nil {
		return report, err
	}
	defer w.end()
	if err := w.checkContinues(ctx, src, top); err != nil {
		return w.report, err
	}
	if err := w.repairEnd(ctx); err != nil || top == nil {
		return w.report, err
	}
	w.total = top.Sequence + 1
	a, err := src.ascend(ctx, w.last, top)
	if err != nil {
		return w.report, fmt.Errorf("read the source: %w", err)
	}
	defer a.close()
	err = w.copyAll(ctx, a.readVersion)
	return w.report, err
}

// copyWriter writes entries of another log at the end of this one. It holds the write
// lock.
type copyWriter struct {
	*core
	last     link // the newest entry of the log
	progress func(done, total int64)
	total    int64 // -1: not known
	report   CopyReport
}

// beginCopy begins to write at the end of the log.
func (c *core) beginCopy(ctx context.Context, q copyQuery) (*copyWriter, error) {
	if c.readOnly {
		return nil, ErrReadOnly
	}
	if err := c.lockWrites(ctx); err != nil {
		return nil, err
	}
	w := &copyWriter{core: c, last: beginning, progress: q.progress, total: -1}
	h, err := c.readHead(ctx)
	if err != nil {
		c.writes.unlock()
		return nil, err
	}
	if !h.empty() {
		w.last = linkOf(h.version)
	}
	w.report.Head = w.checkpoint()
	return w, nil
}

func (w *copyWriter) end() { w.writes.unlock() }

// checkpoint is the newest entry of the log. For an empty log, it is the checkpoint that
// every log extends.
func (w *copyWriter) checkpoint() Checkpoint {
	if w.last == beginning {
		return newReport().Head()
	}
	return Checkpoint{Sequence: w.last.sequence, Hash: w.last.hash}
}

// checkContinues returns an error unless the log is a beginning of the log of src, whose
// newest entry is top.
func (w *copyWriter) checkContinues(ctx context.Context, src *core, top *version) error {
	ends := int64(-1)
	if top != nil {
		ends = top.Sequence
	}
	common := min(w.last.sequence, ends)
	if common >= 0 {
		same, err := w.sameAt(ctx, src, top, common)
		if err != nil {
			return err
		}
		if !same {
			return w.fork(ctx, src, top, common)
		}
	}
	if w.last.sequence > ends {
		return &ForkError{Sequence: ends + 1, Problem: "the destination has an entry and the source has none"}
	}
	return nil
}

// sameAt reports whether both logs have the same entry at a sequence. Each hash covers
// the entry before, so all entries up to it are the same, too.
func (w *copyWriter) sameAt(ctx context.Context, src *core, top *version, sequence int64) (bool, error) {
	theirs, err := src.entryUpTo(ctx, top, sequence)
	if err != nil {
		return false, fmt.Errorf("read the source: %w", err)
	}
	ours, err := w.entryUpTo(ctx, w.knownHead().version, sequence)
	if err != nil {
		return false, fmt.Errorf("read the destination: %w", err)
	}
	return ours.Hash == theirs.Hash, nil
}

// entryUpTo returns the entry of a sequence, in a log whose newest entry is top.
func (c *core) entryUpTo(ctx context.Context, top *version, sequence int64) (*version, error) {
	if v := top.at(sequence); v != nil {
		return v, v.checkHash()
	}
	return c.entryBelow(ctx, top, sequence)
}

// fork finds the first sequence at which the two logs differ. They differ at the given
// one.
func (w *copyWriter) fork(ctx context.Context, src *core, top *version, differ int64) error {
	same := int64(-1)
	for differ-same > 1 {
		middle := same + (differ-same)/2
		isSame, err := w.sameAt(ctx, src, top, middle)
		switch {
		case err != nil:
			return errors.Join(&ForkError{Sequence: differ, Problem: "or before it, the entries differ"}, err)
		case isSame:
			same = middle
		default:
			differ = middle
		}
	}
	return &ForkError{Sequence: differ, Problem: "the entries differ"}
}

// repairEnd applies the orphans at the end of the log.
func (w *copyWriter) repairEnd(ctx context.Context) error {
	h, err := w.check(ctx, w.knownHead())
	if err != nil {
		return fmt.Errorf("check the end of the destination: %w", err)
	}
	if h.first(orphan) == nil {
		return nil
	}
	if _, err := w.repairHead(ctx, h); err != nil {
		return fmt.Errorf("repair the end of the destination: %w", err)
	}
	w.report.Repaired = true
	return nil
}

// copyAll writes all versions that next returns, up to io.EOF. At the end it makes sure
// that no other client has written.
func (w *copyWriter) copyAll(ctx context.Context, next func() (logVersion, error)) error {
	for {
		l, err := next()
		switch {
		case errors.Is(err, io.EOF):
			return w.checkStillLast(ctx)
		case err != nil:
			return fmt.Errorf("read the source: %w", err)
		}
		if err := w.copyVersion(ctx, l); err != nil {
			return err
		}
		if w.progress != nil {
			w.progress(w.last.sequence+1, w.total)
		}
	}
}

// copyVersion writes the entries of one version. If they are too large for one version
// here, it writes them as several.
func (w *copyWriter) copyVersion(ctx context.Context, l logVersion) error {
	for _, v := range l {
		if err := w.checkCopied(v); err != nil {
			return err
		}
	}
	failed := func(err error) error { return fmt.Errorf("write sequence %d: %w", l.oldest().Sequence, err) }
	wait := w.newBackoff()
	for n := len(l); len(l) > 0; { // the number of entries to write next
		h, states, err := w.prepare(ctx, writesTo(l[:n]))
		switch {
		case err != nil:
			return failed(err)
		case h.last() != w.last.sequence || !h.empty() && h.Hash != w.last.hash:
			// The write of a copy that was interrupted may have arrived. Preparing has
			// applied it. It may hold only the first of these entries.
			i := slices.IndexFunc(l, func(v *version) bool { return v.Sequence == h.last() && v.Hash == h.Hash })
			if i < 0 {
				return w.interrupted()
			}
			w.copied(h.version)
			l = l[i+1:]
			n = len(l)
			continue
		}
		p, err := w.proposeMoved(h, states, l[:n])
		switch {
		case errors.Is(err, errTooManyBytes):
			n /= 2
			continue
		case err != nil:
			return failed(err)
		}
		appended, err := w.append(ctx, p, wait)
		switch {
		case errors.Is(err, errLost):
			continue
		case err != nil:
			return failed(err)
		case appended.newest().Hash != l[n-1].Hash:
			continue // such a late write: its first entry is the same, its newest is not
		}
		if err := w.applyCopied(ctx, appended); err != nil {
			return err
		}
		l = l[n:]
		n = len(l)
	}
	return nil
}

// writesTo returns writes of the keys of these entries.
func writesTo(l logVersion) []*write {
	writes := make([]*write, len(l))
	for i, v := range l {
		writes[i] = &write{key: v.Key}
	}
	return writes
}

// errTooManyBytes means that the entries are too large for one log version.
var errTooManyBytes = errors.New("too many bytes for one log version")

// proposeMoved returns the log version that follows the head and holds these entries of
// another log. Its version IDs and ETags may be longer than in the source, so a version
// of several entries may become too large.
func (w *copyWriter) proposeMoved(h *head, states []keyState, l logVersion) (*proposal, error) {
	cond, _, _, follows := h.next()
	p := &proposal{at: h, cond: cond}
	for i, v := range l {
		p.docs = append(p.docs, v.Moved(follows, states[i].etag, states[i].exists))
		follows = ""
	}
	p.body = wire.JoinLog(p.docs)
	switch {
	case len(l) > 1 && len(p.body) > wire.MaxBatchBytes:
		return nil, errTooManyBytes
	case len(l[0].Value) > maxValueBytes || len(p.body) > backend.MaxBodyBytes:
		return nil, fmt.Errorf("%w: with its key, the entry has %d bytes; the limit is %d", ErrValueTooLarge, len(p.body), backend.MaxBodyBytes)
	}
	return p, nil
}

// copied records the newest entry that is copied.
func (w *copyWriter) copied(v *version) {
	w.last = linkOf(v)
	w.report.Head = w.checkpoint()
}

// applyCopied applies entries just appended.
func (w *copyWriter) applyCopied(ctx context.Context, appended logVersion) error {
	w.copied(appended.newest())
	w.report.Copied += int64(len(appended))
	h := w.knownHead()
	if h.log != appended.newest().log {
		return w.interrupted()
	}
	if h.first(unchecked) != nil { // the answer of the append was lost
		var err error
		if h, err = w.check(ctx, h); err != nil {
			return fmt.Errorf("apply sequence %d: %w", w.last.sequence, err)
		}
	}
	if _, err := w.apply(ctx, h); err != nil {
		return fmt.Errorf("apply sequence %d: %w", w.last.sequence, err)
	}
	return nil
}

// checkCopied checks an entry before it is written. Its hash and its link were checked
// when it was read. checkCopied checks that it is stored in canonical form, and that this
// store can hold its key.
func (w *copyWriter) checkCopied(v *version) error {
	if !v.IsCanonical() {
		return fmt.Errorf("read the source: %w", Finding{
			Kind: NotCanonical, Object: v.object, VersionID: v.id, Sequence: v.Sequence,
			Detail: "its bytes are not those that a client writes for this entry",
		})
	}
	err := checkKey(w.prefix, v.Key)
	if err == nil && w.checkNewName != nil {
		err = keyError(w.checkNewName(wire.KeyObject(w.prefix, v.Key)))
	}
	if err != nil {
		return fmt.Errorf("the destination cannot hold the key of sequence %d: %w", v.Sequence, err)
	}
	return nil
}

// interrupted is the error if another client has written to the destination.
func (w *copyWriter) interrupted() error {
	return &ForkError{Sequence: w.last.sequence + 1, Problem: "another client appended to the destination during the copy"}
}

// checkStillLast makes sure that the log still ends with the entry written last.
func (w *copyWriter) checkStillLast(ctx context.Context) error {
	if w.report.Copied == 0 {
		return nil
	}
	v, err := w.store.Head(ctx, w.prefix+wire.LogName)
	if err != nil {
		return fmt.Errorf("check the end of the destination: %w", err)
	}
	if LogVersionID(v.ID) != w.last.log {
		return w.interrupted()
	}
	return nil
}
