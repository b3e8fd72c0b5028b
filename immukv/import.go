package immukv

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// Import appends the entries of an export to the log of dst, as [Copy] does with those of
// another log, in constant memory. The export may begin at any entry that dst has, or at
// the one after. Import skips the entries that dst has already; they must be the same.
// Each line is verified before its entry is written. If a line fails verification, the
// import ends with an error that names the line. Then dst has all entries before that
// line, except those that share a log version with it, and none after it.
//
// If the log of dst and the export differ, nothing is written, and the error is a
// [*ForkError]. It can name the first sequence at which they differ only if r is also an
// [io.Seeker].
func Import[D any](ctx context.Context, dst *Client[D], r io.Reader, opts ...CopyOption) (_ CopyReport, err error) {
	ctx, end := dst.core.begin(ctx, "import", "")
	defer func() { end(err) }()
	report, err := dst.core.importLog(ctx, r, newCopyQuery(opts))
	if err != nil {
		return report, fmt.Errorf("import: %w", err)
	}
	return report, nil
}

// importLog is [Import].
func (c *core) importLog(ctx context.Context, r io.Reader, q copyQuery) (CopyReport, error) {
	w, err := c.beginCopy(ctx, q)
	if err != nil {
		return CopyReport{}, err
	}
	defer w.end()
	from := &exportSource{lines: newExportReader(r)}
	if s, ok := r.(io.Seeker); ok {
		if at, err := s.Seek(0, io.SeekCurrent); err == nil {
			from.again = func() (*exportReader, error) {
				_, err := s.Seek(at, io.SeekStart)
				return newExportReader(r), err
			}
		}
	}
	if err := w.passOver(ctx, from); err != nil {
		return w.report, err
	}
	if err := w.repairEnd(ctx); err != nil {
		return w.report, err
	}
	err = w.copyAll(ctx, from.next)
	return w.report, err
}

// exportSource reads the versions of an export.
type exportSource struct {
	lines  *exportReader
	again  func() (*exportReader, error) // reads from the beginning again; nil if r is not a Seeker
	last   *version                      // nil: none yet
	held   *version                      // the first of the next version
	failed error                         // the error after held
}

// entry returns the next entry, or io.EOF. An entry that does not follow the last one, or
// whose hash does not match, is returned with the error.
func (s *exportSource) entry() (*version, error) {
	v, err := s.lines.next()
	if err != nil {
		return nil, err
	}
	behind := linkBefore(v.Sequence)
	if s.last != nil {
		behind = link{sequence: s.last.Sequence, hash: s.last.Hash}
	}
	if err = v.checkHash(); err == nil {
		err = behind.check(v)
	}
	if err == nil {
		s.last = v
	}
	return v, err
}

// next returns the entries of the next version. A line with no previous_version_id
// belongs to the version of the line before it.
func (s *exportSource) next() (logVersion, error) {
	if s.held == nil && s.failed == nil {
		s.held, s.failed = s.entry()
	}
	if s.failed != nil {
		return nil, s.failed
	}
	l := logVersion{s.held}
	keys := map[string]bool{s.held.Key: true}
	bytes := len(s.held.Stored())
	s.held = nil
	for {
		v, err := s.entry()
		begins := v != nil && (v.PreviousVersionID != "" || v.Sequence == 0)
		switch {
		case errors.Is(err, io.EOF):
			s.failed = err
			return l, nil
		case err != nil && (begins || v == nil && len(l) == 1):
			s.failed = err
			return l, nil
		case err != nil:
			// The version is incomplete, or may be.
			s.failed = err
			return nil, err
		}
		bytes += 1 + len(v.Stored())
		if begins || len(l) == wire.MaxEntries || bytes > wire.MaxBatchBytes || keys[v.Key] {
			s.held = v
			return l, nil
		}
		l = append(l, v)
		keys[v.Key] = true
	}
}

// passOver reads the entries that the log has already, and checks that they are the same.
func (w *copyWriter) passOver(ctx context.Context, from *exportSource) error {
	first := true
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		last := from.last
		v, err := from.entry()
		switch {
		case errors.Is(err, io.EOF):
			return w.endsBefore(ctx, from, last)
		case err != nil:
			return fmt.Errorf("read the export: %w", err)
		case first && v.Sequence > w.last.sequence+1:
			return &ForkError{Sequence: w.last.sequence + 1, Problem: fmt.Sprintf("the destination ends, but the export begins with sequence %d", v.Sequence)}
		case v.Sequence == w.last.sequence && v.Hash != w.last.hash:
			return w.forkFromExport(ctx, from, v.Sequence)
		case v.Sequence == w.last.sequence+1 && w.last.hash != v.PreviousHash:
			return w.forkFromExport(ctx, from, w.last.sequence)
		case v.Sequence > w.last.sequence:
			from.held = v
			return nil
		}
		first = false
	}
}

// endsBefore handles an export that ends at or before the end of the log. last is its
// newest entry, or nil.
func (w *copyWriter) endsBefore(ctx context.Context, from *exportSource, last *version) error {
	from.failed = io.EOF
	switch {
	case last == nil || last.Sequence == w.last.sequence:
		return nil // nothing to write
	default:
		ours, err := w.entryUpTo(ctx, w.knownHead().version, last.Sequence)
		if err != nil {
			return fmt.Errorf("read the destination: %w", err)
		}
		if ours.Hash != last.Hash {
			return w.forkFromExport(ctx, from, last.Sequence)
		}
		return &ForkError{Sequence: last.Sequence + 1, Problem: "the destination has an entry and the export has none"}
	}
}

// forkFromExport finds the first sequence at which the log and an export differ. They
// differ at the given one. If the export can be read again, both are read in parallel.
func (w *copyWriter) forkFromExport(ctx context.Context, from *exportSource, differ int64) error {
	unsure := &ForkError{Sequence: differ, Problem: "or before it, the entries differ"}
	if from.again == nil {
		return unsure
	}
	lines, err := from.again()
	if err != nil {
		return errors.Join(unsure, err)
	}
	theirs, err := lines.next()
	if err != nil {
		return errors.Join(unsure, err)
	}
	for ours, err := range w.ascending(ctx, linkBefore(theirs.Sequence), w.knownHead().version) {
		if err != nil {
			return errors.Join(unsure, fmt.Errorf("read the destination: %w", err))
		}
		if ours.Hash != theirs.Hash {
			return &ForkError{Sequence: ours.Sequence, Problem: "the entries differ"}
		}
		if theirs, err = lines.next(); err != nil {
			return errors.Join(unsure, err)
		}
	}
	return errors.Join(unsure, backend.ErrDamaged)
}
