package immukv

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// VerifyExport verifies what [Client.Export] wrote, without a store and in constant
// memory: that every hash and every link is correct, that no sequence number is missing,
// and that the export has its beginning. The report is as from [Client.VerifyLog], but a
// finding names a line instead of an object. If the export begins after a checkpoint,
// give that checkpoint as [TrustedStart]. All options of VerifyLog are allowed except
// [Limit]. An error means that reading failed.
//
// Without [TrustedHead], a verification cannot detect that whole lines were cut off at
// the end.
func VerifyExport(ctx context.Context, r io.Reader, opts ...VerifyOption) (*Report, error) {
	x := &exportVerifier{verifyQuery: newVerifyQuery(opts), report: newReport()}
	if x.limit > 0 {
		return nil, fmt.Errorf("verify export: %w: Limit is not allowed for an export", ErrInvalidOption)
	}
	lines := newExportReader(r)
	for {
		v, err := lines.next()
		if err == nil || isEntryError(err) {
			x.entry(lines.line, v, err)
			err = ctx.Err()
		}
		switch {
		case errors.Is(err, io.EOF):
			x.end()
			return x.report, nil
		case err != nil:
			return nil, fmt.Errorf("verify export: line %d: %w", lines.line, err)
		}
	}
}

// exportVerifier checks the entries of an export, oldest first.
type exportVerifier struct {
	verifyQuery
	report *Report
	// last is the link that the next entry must follow, as far as it is known.
	last    link
	started bool // last is set
}

func (x *exportVerifier) found(kind FindingKind, line, sequence int64, detail string, args ...any) {
	x.report.add(Finding{Kind: kind, Object: fmt.Sprint("line ", line), Sequence: sequence, Detail: fmt.Sprintf(detail, args...)})
}

// entry checks one line.
func (x *exportVerifier) entry(line int64, v *version, err error) {
	if v == nil {
		expected := int64(-1)
		if x.started {
			x.last = link{sequence: x.last.sequence + 1}
			expected = x.last.sequence
		}
		x.found(MalformedVersion, line, expected, "%v", errors.Unwrap(err))
		return
	}
	switch {
	case v.matched == 0:
		x.found(HashMismatch, line, v.Sequence, "the hash matches the entry in neither dialect: the entry was changed")
		if x.started && v.Sequence != x.last.sequence+1 {
			return // its sequence cannot be trusted, either
		}
	case !v.IsCanonical():
		x.found(NotCanonical, line, v.Sequence, "its bytes are not those that a client writes for this entry")
	}
	switch {
	case !x.started:
		x.first(line, v)
	case v.Sequence <= x.last.sequence:
		x.found(UnexpectedVersion, line, v.Sequence, "the entry before it has sequence %d", x.last.sequence)
		return
	case v.Sequence > x.last.sequence+1:
		x.found(SequenceGap, line, v.Sequence, "the entry before it has sequence %d", x.last.sequence)
	case x.last.hash != "" && v.PreviousHash != x.last.hash:
		x.found(BrokenLink, line, v.Sequence, "its previous_hash is not the hash of the entry before it")
	}
	x.last, x.started = link{sequence: v.Sequence, hash: v.Hash}, true
	x.count(v)
	x.checkTrusted(line, v)
}

// first checks the first entry. A trusted head before it is not in the export, so only the
// entry's link can prove it.
func (x *exportVerifier) first(line int64, v *version) {
	r := x.report
	start := x.trustedStart
	r.Complete = v.Sequence == 0 || start != nil && v.Sequence <= start.Sequence+1
	switch {
	case v.Sequence == 0 && (v.PreviousHash != GenesisHash || v.PreviousVersionID != ""):
		x.found(BrokenLink, line, 0, "the first entry must have the previous_hash %s and no previous_version_id", GenesisHash)
	case !r.Complete:
		x.found(MissingBeginning, line, v.Sequence-1, "the export begins with sequence %d; if it was made after a checkpoint, give that as the trusted start", v.Sequence)
	}
	switch t := x.trustedHead; {
	case t == nil, t.Sequence >= v.Sequence, start != nil && *t == *start:
	case t.Sequence < v.Sequence-1 || t.Hash != v.PreviousHash:
		x.found(NotExtended, line, t.Sequence, "the export begins with sequence %d, after the trusted head", v.Sequence)
	}
}

func (x *exportVerifier) count(v *version) {
	r := x.report
	if r.Entries == 0 {
		r.FirstSequence = v.Sequence
	}
	r.Entries++
	r.LastSequence, r.HeadHash = v.Sequence, v.Hash
	r.sawDialect(Dialect(v.matched))
	if x.progress != nil && r.Entries%progressEvery == 0 {
		x.progress(r.Entries, -1)
	}
}

// checkTrusted compares an entry with the trusted head and start.
func (x *exportVerifier) checkTrusted(line int64, v *version) {
	if t := x.trustedHead; t != nil && v.Sequence == t.Sequence && v.Hash != t.Hash {
		x.found(NotExtended, line, v.Sequence, "the trusted head has another hash")
	}
	switch t := x.trustedStart; {
	case t == nil:
	case v.Sequence == t.Sequence && v.Hash != t.Hash:
		x.found(NotExtended, line, v.Sequence, "the trusted start has another hash")
	case v.Sequence == t.Sequence+1 && v.PreviousHash != t.Hash:
		x.found(NotExtended, line, v.Sequence, "its previous_hash is not the hash of the trusted start")
	}
}

// end checks that the export reaches the trusted head and start. An export without
// entries is that of an empty log, or of a log with no entry after the trusted start.
func (x *exportVerifier) end() {
	r := x.report
	if r.Entries == 0 {
		r.Complete = r.Valid()
		if x.trustedStart != nil && x.trustedHead != nil && *x.trustedHead == *x.trustedStart {
			return
		}
	}
	for _, t := range []*Checkpoint{x.trustedHead, x.trustedStart} {
		if t == nil || r.LastSequence >= t.Sequence || t == x.trustedStart && r.Entries == 0 {
			continue
		}
		r.add(Finding{Kind: NotExtended, Object: "the end", Sequence: t.Sequence, Detail: fmt.Sprintf(
			"the export ends with sequence %d, before the trusted sequence %d", r.LastSequence, t.Sequence)})
	}
}
