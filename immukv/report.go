package immukv

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-multierror"

	"github.com/immukv/immukv-go/backend"
)

// FindingKind says what sort of thing a verification found.
type FindingKind string

// The kinds of findings.
const (
	// MalformedVersion: a version cannot be read as an entry.
	MalformedVersion FindingKind = "malformed"
	// HashMismatch: an entry does not match its hash.
	HashMismatch FindingKind = "hash-mismatch"
	// NotCanonical: a version has the right content, but not the bytes that a client
	// writes for it.
	NotCanonical FindingKind = "not-canonical"
	// BrokenLink: an entry does not follow the one before it.
	BrokenLink FindingKind = "broken-link"
	// SequenceGap: sequence numbers do not go up by one.
	SequenceGap FindingKind = "sequence-gap"
	// MissingVersion: a version that something refers to is gone.
	MissingVersion FindingKind = "missing-version"
	// UnexpectedVersion: there is a version to which nothing refers.
	UnexpectedVersion FindingKind = "unexpected-version"
	// DeleteMarker: an object, or a version of it, was deleted.
	DeleteMarker FindingKind = "delete-marker"
	// MissingBeginning: the log does not begin with sequence 0, and no trusted
	// start was given.
	MissingBeginning FindingKind = "missing-beginning"
	// NotExtended: the log does not extend the trusted head, or does not follow
	// the trusted start.
	NotExtended FindingKind = "not-extended"
	// KeyMismatch: a key object is not as the log says.
	KeyMismatch FindingKind = "key-mismatch"
)

// Finding is one fault that a verification found. It is an error, and
// [ErrVerificationFailed] for errors.Is.
type Finding struct {
	Kind      FindingKind
	Object    string            // name of the object
	VersionID backend.VersionID // its version; empty if it is about no single one
	Sequence  int64             // the place in the log; -1 if not known
	Detail    string            // in a [Report], at most 2,000 bytes and an ellipsis
}

func (f Finding) Error() string {
	return fmt.Sprintf("%s: %s: %s", where(f.Object, f.VersionID, f.Sequence), f.Kind, f.Detail)
}

// Is makes a finding [ErrVerificationFailed].
func (f Finding) Is(target error) bool { return target == ErrVerificationFailed }

// Orphan is an entry whose key object does not reflect it yet. Only the newest entry, or
// the entries that share the newest log version, can be orphans. An orphan is not a
// finding: the next write repairs it.
type Orphan struct {
	Key       string
	Sequence  int64
	VersionID LogVersionID
}

func newOrphan(v *version) Orphan {
	return Orphan{Key: v.Key, Sequence: v.Sequence, VersionID: v.log}
}

const (
	// maxFindings bounds a report. Otherwise a store with errors everywhere would need as
	// much memory as it has entries.
	maxFindings = 1000
	// maxDetail bounds the detail of a finding, in bytes. It may quote a document, whose
	// fields may be as long as an object.
	maxDetail = 2000
)

// Report is what a verification found.
type Report struct {
	// Entries is how many entries were verified.
	Entries int64
	// FirstSequence and LastSequence are the range verified; -1 if there was
	// none.
	FirstSequence, LastSequence int64
	// HeadHash is the hash of the newest entry; empty if the log is.
	HeadHash Hash
	// Dialects are those in which entries were found, in ascending order.
	Dialects []Dialect
	// Complete: the range begins with the first entry or at the trusted start.
	Complete bool
	// Orphans are the entries that need repair, oldest first. Only an audit finds them.
	// There is more than one only if the newest log version is a batch.
	Orphans []Orphan
	// Findings are in the order in which they were found: first those of the log, from
	// its end to its beginning, then those of the keys. There are at most 1,000.
	Findings []Finding
	// MoreFindings is how many findings were left out beyond those.
	MoreFindings int64
}

func newReport() *Report { return &Report{FirstSequence: -1, LastSequence: -1} }

// Valid reports whether there are no findings.
func (r *Report) Valid() bool { return len(r.Findings) == 0 }

// Head returns the sequence and hash of the newest entry. Keep it, and give it to a later
// verification as [TrustedHead] or [TrustedStart]. Use it only if the report is valid.
// Every log extends the head of an empty log.
func (r *Report) Head() Checkpoint {
	return Checkpoint{Sequence: r.LastSequence, Hash: r.HeadHash}
}

// Err is nil if the report is valid. Otherwise it is a *multierror.Error of the
// findings, each of which is [ErrVerificationFailed] for errors.Is.
func (r *Report) Err() error {
	var errs *multierror.Error
	for _, f := range r.Findings {
		errs = multierror.Append(errs, f)
	}
	if r.MoreFindings > 0 {
		errs = multierror.Append(errs, fmt.Errorf("%w: %d more findings", ErrVerificationFailed, r.MoreFindings))
	}
	return errs.ErrorOrNil()
}

func (r *Report) add(f Finding) {
	if len(r.Findings) >= maxFindings {
		r.MoreFindings++
		return
	}
	if len(f.Detail) > maxDetail {
		f.Detail = strings.ToValidUTF8(f.Detail[:maxDetail], "") + "…"
	}
	r.Findings = append(r.Findings, f)
}

// addAll adds the findings of another report.
func (r *Report) addAll(other *Report) {
	for _, f := range other.Findings {
		r.add(f)
	}
	r.MoreFindings += other.MoreFindings
}

func (r *Report) sawDialect(d Dialect) {
	if d == 0 || slices.Contains(r.Dialects, d) {
		return
	}
	r.Dialects = append(r.Dialects, d)
	slices.Sort(r.Dialects)
}
