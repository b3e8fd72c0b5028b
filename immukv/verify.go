package immukv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// progressEvery is how many entries lie between two calls of a progress function.
const progressEvery = 64

// logVerifier reads the log along the chain, from its newest entry to its first, and
// compares it with the listing: the chain names the versions that must exist, and the
// listing may have others.
type logVerifier struct {
	*core
	verifyQuery
	report *Report
	object string
	reader *chainReader
	// visit is called with every entry that could be read, newest first.
	visit func(v *version, sound bool)

	// newer is the entry read last, which names the next version of the chain; nil before
	// the first entry, and where the chain is broken.
	newer *version
	// dangling is an entry whose previous version does not exist. It is set until the
	// next older entry is found.
	dangling *version
	// passed counts the places between the entry counted last and the current one whose
	// problems are known: a version there was missing or malformed, or had a wrong hash.
	passed int64
	// gone are findings whose sequence becomes known when an older entry is found.
	gone []Finding
	done bool // nothing is left to read
}

// verifyLog is [Client.VerifyLog]. visit may be nil.
func (c *core) verifyLog(ctx context.Context, q verifyQuery, visit func(*version, bool)) (*Report, error) {
	if err := c.checkOpen(); err != nil {
		return nil, err
	}
	l := &logVerifier{core: c, verifyQuery: q, report: newReport(), object: c.prefix + wire.LogName, visit: visit}
	obj, err := c.store.Get(ctx, l.object)
	var listed []backend.Version
	if errors.Is(err, backend.ErrNotFound) {
		if listed, err = c.listLog(ctx); err != nil {
			return nil, err
		}
		// The first entry may have been appended meanwhile.
		obj, err = c.store.Get(ctx, l.object)
	}
	switch {
	case errors.Is(err, backend.ErrNotFound):
		l.noHead(listed)
		return l.report, nil
	case errors.Is(err, backend.ErrDamaged), isEntryError(err):
		if !isEntryError(err) { // a malformed version is reported from the listing
			l.report.add(l.finding(MissingVersion, "", -1, "the newest version cannot be read: "+err.Error()))
		}
		l.reader = c.readChain(ctx, "", 0, l.deleteMarker)
	case err != nil:
		return nil, err
	default:
		l.reader = c.readChain(ctx, obj.ID, l.readLimit(), l.deleteMarker)
		f := &fetchedLog{Version: obj.Version}
		f.Value, f.Err = c.readLogVersion(obj.ID, obj.Body)
		l.version(f)
	}
	defer l.reader.close()
	for !l.done {
		if err := l.step(); err != nil {
			return nil, err
		}
	}
	if err := l.finish(ctx); err != nil {
		return nil, err
	}
	return l.report, nil
}

// readLimit returns how many versions to read after the head at most; 0 means all.
func (l *logVerifier) readLimit() int {
	if l.limit <= 0 || l.trustedHead != nil {
		return 0
	}
	return max(l.limit-1, 1)
}

func (l *logVerifier) finding(kind FindingKind, id backend.VersionID, sequence int64, detail string) Finding {
	return Finding{Kind: kind, Object: l.object, VersionID: id, Sequence: sequence, Detail: detail}
}

// noHead reports on a log without a current version: empty, or deleted.
func (l *logVerifier) noHead(listed []backend.Version) {
	for _, v := range listed {
		if v.DeleteMarker {
			l.report.add(l.finding(DeleteMarker, v.ID, -1, "the log was deleted; its entries still exist as older versions"))
		}
	}
	if l.report.Valid() && len(listed) > 0 {
		l.report.add(l.finding(MissingVersion, "", -1, "the log has versions but no current one"))
	}
	l.report.Complete = l.report.Valid()
	l.checkExtends(-1)
}

// deleteMarker reports a delete marker in the listing of the log.
func (l *logVerifier) deleteMarker(v backend.Version) {
	l.report.add(l.finding(DeleteMarker, v.ID, -1, "the log was deleted, and later continued"))
}

// step reads the next older version: the one that the chain names or, where the chain is
// broken, the next one listed.
func (l *logVerifier) step() error {
	if l.newer == nil {
		f, err := l.reader.any()
		if err != nil {
			return err
		}
		if f == nil {
			l.endOfListing()
			return nil
		}
		return l.take(f)
	}
	f, err := l.reader.take(l.newer.before())
	if err != nil {
		return err
	}
	if gone(f.Err) {
		l.missing()
		return nil
	}
	return l.take(f)
}

// gone reports whether reading a version failed because the version no longer exists.
func gone(err error) bool {
	return errors.Is(err, backend.ErrNotFound) || errors.Is(err, backend.ErrDamaged)
}

// take checks the version that was read. It returns an error only if the call itself
// failed.
func (l *logVerifier) take(f *fetchedLog) error {
	switch {
	case gone(f.Err):
		l.settleDangling(nil)
		l.passed++
		l.gone = append(l.gone, l.finding(MissingVersion, f.ID, -1, "the version is listed but cannot be read"))
	case f.Err != nil && !isEntryError(f.Err):
		return f.Err
	default:
		l.version(f)
	}
	return nil
}

// missing records that the chain names a version that does not exist. The next older
// version is taken from the listing.
func (l *logVerifier) missing() {
	if l.trustedStart != nil && l.newer.Sequence-1 == l.trustedStart.Sequence {
		// The missing version is that of the trusted start, against which newer has been
		// checked.
		l.done = true
		return
	}
	l.dangling, l.newer = l.newer, nil
	l.passed++
}

// settleDangling reports the entry that missing recorded, now that next, the next older
// entry, is known; nil if there is none. If next is the entry before it, only the
// previous_version_id is wrong.
func (l *logVerifier) settleDangling(next *version) {
	d := l.dangling
	if d == nil {
		return
	}
	l.dangling = nil
	if next != nil && next.matched != 0 && next.Hash == d.PreviousHash {
		l.passed--
		l.report.add(l.finding(BrokenLink, d.id, d.Sequence, fmt.Sprintf("its previous_version_id %q does not exist; the entry before it is in version %q", d.before(), next.id)))
		return
	}
	l.report.add(l.finding(MissingVersion, backend.VersionID(d.before()), d.Sequence-1, fmt.Sprintf("sequence %d names this version, which does not exist", d.Sequence)))
}

// version checks the entries of one version of the log, newest first.
func (l *logVerifier) version(f *fetchedLog) {
	if f.Value == nil {
		l.settleDangling(nil)
		l.malformed(f)
		return
	}
	l.settleDangling(f.Value.newest())
	for _, v := range slices.Backward(f.Value) {
		if !l.hasPlace(v) {
			l.misplaced(v)
			return
		}
		if l.entry(v); l.done {
			return
		}
	}
}

func (l *logVerifier) entry(v *version) {
	sound := l.checkEntry(v)
	l.checkLink(v)
	l.placeGone(v.Sequence)
	l.count(v)
	if l.visit != nil {
		l.visit(v, sound)
	}
	if l.each != nil {
		e := newEntry[json.RawMessage](v)
		e.Value = e.JSON
		l.each(e)
	}
	l.checkTrusted(v)
	l.newer = v
	l.checkBeginning(v)
}

// malformed reports a version that cannot be read. The next older version is taken from
// the listing.
func (l *logVerifier) malformed(f *fetchedLog) {
	bad := l.finding(MalformedVersion, f.ID, -1, f.Err.Error())
	if l.newer == nil {
		l.gone = append(l.gone, bad)
	} else {
		bad.Sequence = l.newer.Sequence - 1
		l.report.add(bad)
	}
	l.passed++
	l.newer = nil
}

// hasPlace reports whether an entry may have its place in the log. Sequence numbers must
// decrease, so that even a forged chain ends. An entry whose hash does not match is
// accepted only with the expected sequence.
func (l *logVerifier) hasPlace(v *version) bool {
	last := l.report.FirstSequence
	switch {
	case l.report.Entries == 0:
		return true
	case v.matched == 0:
		return v.Sequence == last-1-l.passed
	default:
		return v.Sequence < last
	}
}

// misplaced reports an entry that is in the wrong place. The next older version is taken
// from the listing.
func (l *logVerifier) misplaced(v *version) {
	switch {
	case v.matched == 0:
		l.checkEntry(v)
		l.passed++
	case l.newer == nil:
		l.report.add(l.finding(UnexpectedVersion, v.id, v.Sequence, "it is listed as older than an entry that is not newer"))
	}
	if l.newer != nil {
		l.report.add(l.finding(BrokenLink, l.newer.id, l.newer.Sequence, fmt.Sprintf("its previous_version_id %s does not hold the entry before it", v.id)))
		l.newer = nil
	}
}

// checkEntry checks an entry by itself.
func (l *logVerifier) checkEntry(v *version) (sound bool) {
	switch {
	case v.matched == 0:
		l.report.add(l.finding(HashMismatch, v.id, v.Sequence, "the hash matches the entry in neither dialect: the entry was changed"))
	case !v.IsCanonical():
		l.report.add(l.finding(NotCanonical, v.id, v.Sequence, "its bytes are not those that a client writes for this entry"))
	default:
		return true
	}
	return false
}

// checkLink checks that this entry directly precedes the one counted last, except for the
// places that were passed.
func (l *logVerifier) checkLink(v *version) {
	if last := l.report.FirstSequence; l.report.Entries > 0 && v.Sequence != last-1-l.passed {
		l.report.add(l.finding(SequenceGap, v.id, v.Sequence, fmt.Sprintf("sequence %d is followed by sequence %d", v.Sequence, last)))
	}
	if newer := l.newer; newer != nil && newer.PreviousHash != v.Hash {
		l.report.add(l.finding(BrokenLink, newer.id, newer.Sequence, fmt.Sprintf("its previous_hash is not the hash of the entry before it, in version %s", v.id)))
	}
}

// placeGone reports the versions lost just before this one in reading order, now that
// their sequence is known.
func (l *logVerifier) placeGone(sequence int64) {
	for i, f := range l.gone {
		f.Sequence = sequence + int64(len(l.gone)-i)
		l.report.add(f)
	}
	l.gone = nil
	l.passed = 0
}

func (l *logVerifier) count(v *version) {
	r := l.report
	if r.Entries == 0 {
		r.LastSequence = v.Sequence
		r.HeadHash = v.Hash
	}
	r.Entries++
	r.FirstSequence = v.Sequence
	r.sawDialect(Dialect(v.matched))
	if l.progress != nil && (r.Entries%progressEvery == 0 || v.Sequence == 0) {
		l.progress(r.Entries, r.LastSequence+1)
	}
}

// checkTrusted compares an entry with the trusted head and start.
func (l *logVerifier) checkTrusted(v *version) {
	if l.report.Entries == 1 {
		l.checkExtends(v.Sequence)
	}
	if l.trustedHead != nil && v.Sequence == l.trustedHead.Sequence {
		if v.Hash != l.trustedHead.Hash {
			l.report.add(l.finding(NotExtended, v.id, v.Sequence, "the log was rewritten: the trusted head has another hash"))
		}
		l.trustedHead = nil
	}
	if l.trustedStart == nil {
		return
	}
	switch {
	case v.Sequence == l.trustedStart.Sequence+1 && v.PreviousHash != l.trustedStart.Hash:
		l.report.add(l.finding(NotExtended, v.id, v.Sequence, "its previous_hash is not the hash of the trusted start"))
	case v.Sequence == l.trustedStart.Sequence && v.Hash != l.trustedStart.Hash:
		l.report.add(l.finding(NotExtended, v.id, v.Sequence, "the trusted start has another hash"))
	}
}

// checkExtends checks that the log reaches the trusted head and start.
func (l *logVerifier) checkExtends(last int64) {
	for _, trusted := range []*Checkpoint{l.trustedHead, l.trustedStart} {
		if trusted != nil && last < trusted.Sequence {
			l.report.add(l.finding(NotExtended, "", trusted.Sequence, fmt.Sprintf("the log ends with sequence %d, before the trusted sequence %d: its end was cut off", last, trusted.Sequence)))
		}
	}
	if l.trustedHead != nil && last < l.trustedHead.Sequence {
		l.trustedHead = nil
	}
}

// checkBeginning decides whether to read older entries.
func (l *logVerifier) checkBeginning(v *version) {
	r := l.report
	wanted := l.trustedHead != nil // the trusted head is older
	switch {
	case v.before() == "" || v.Sequence == 0 || v.PreviousHash == GenesisHash:
		l.checkGenesis(v)
		r.Complete = v.Sequence == 0
		l.done = v.Sequence == 0
		l.newer = nil
	case l.trustedStart != nil && v.Sequence <= l.trustedStart.Sequence+1 && !wanted:
		r.Complete = true
		l.done = true
	case l.limit > 0 && r.Entries >= int64(l.limit) && !wanted:
		l.done = true
	}
}

func (l *logVerifier) checkGenesis(v *version) {
	if v.Sequence != 0 {
		l.report.add(l.finding(SequenceGap, v.id, v.Sequence, "the chain begins with it, but its sequence is not 0"))
	}
	if v.PreviousHash != GenesisHash {
		l.report.add(l.finding(BrokenLink, v.id, v.Sequence, fmt.Sprintf("the first entry's previous_hash must be %s", GenesisHash)))
	}
	if v.before() != "" {
		l.report.add(l.finding(BrokenLink, v.id, v.Sequence, "the first entry has a previous_version_id"))
	}
}

// endOfListing ends the verification where the chain is broken and nothing older is
// listed.
func (l *logVerifier) endOfListing() {
	l.done = true
	l.settleDangling(nil)
	for _, f := range l.gone {
		l.report.add(f)
	}
	if l.reader.listed.LimitReached() {
		return // the limit was reached
	}
	l.report.add(l.finding(MissingBeginning, "", max(l.report.FirstSequence-1, 0), fmt.Sprintf(
		"the oldest entry is sequence %d; if older versions have expired, give a trusted start", l.report.FirstSequence)))
}

// finish checks the listed versions that are not in the chain: all of them if the chain
// was followed to the beginning, or else those that were listed so far.
func (l *logVerifier) finish(ctx context.Context) error {
	if l.trustedHead != nil {
		l.report.add(l.finding(NotExtended, "", l.trustedHead.Sequence, "the log has no entry with the sequence of the trusted head"))
	}
	for l.report.FirstSequence == 0 || len(l.reader.skipped) > 0 {
		f, err := l.reader.any()
		if f == nil || err != nil {
			return err
		}
		if err := l.unexpected(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// unexpected reports a version of the log that is not in the chain.
func (l *logVerifier) unexpected(ctx context.Context, f *fetchedLog) error {
	if f.Value == nil {
		if !isEntryError(f.Err) && !gone(f.Err) {
			return f.Err
		}
		l.report.add(l.finding(MalformedVersion, f.ID, -1, f.Err.Error()))
		return nil
	}
	newest := f.Value.newest()
	switch {
	case newest.Sequence < l.report.FirstSequence:
		return nil // older than the verified range
	case newest.Sequence > l.report.LastSequence:
		came, err := l.cameSince(ctx, newest)
		if came || err != nil {
			return err
		}
	}
	l.report.add(l.finding(UnexpectedVersion, f.ID, newest.Sequence, "no entry of the chain leads to this version"))
	return nil
}

// cameSince reports whether an entry newer than the verified range, but listed among
// older ones, was appended during the verification.
func (l *logVerifier) cameSince(ctx context.Context, v *version) (bool, error) {
	obj, err := l.store.Get(ctx, l.object)
	if isEntryError(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	head, err := l.readLogVersion(obj.ID, obj.Body)
	if err != nil || head.newest().Sequence < v.Sequence {
		return false, nil
	}
	there, err := l.versionAt(l.reader.ctx, head.newest(), v.Sequence)
	switch {
	case isEntryError(err) || gone(err):
		return false, nil
	case err != nil:
		return false, err
	}
	return there.id == v.id, nil
}
