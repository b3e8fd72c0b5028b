package immukv

import (
	"context"
	"errors"
	"fmt"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// version is an entry as the protocol handles it: a stored document, and the versions
// that hold it. Values are decoded only for a caller.
type version struct {
	*wire.Document
	object  string            // the object that it was read from
	id      backend.VersionID // its version of that object
	log     LogVersionID      // the log version that holds the entry
	matched wire.Dialect      // the dialect in which its hash holds
	damaged bool              // the copy in a key object is damaged, and the log has the entry

	// In the log, the entry has this place among those of its version.
	among logVersion
	place int
}

// before is the log version that holds the previous entry; empty if there is none. v must
// have been read from the log.
func (v *version) before() LogVersionID {
	if v.place > 0 {
		return v.log
	}
	return v.PreviousVersionID
}

// checkHash returns an error unless the entry's hash matches in one of the dialects.
func (v *version) checkHash() error {
	if v.matched == 0 {
		return v.wrong(fmt.Errorf("%w: the hash matches the entry in neither dialect", ErrVerificationFailed))
	}
	return nil
}

// at returns the entry of a sequence if it is in the same log version as v, or nil. For a
// version of a key object that is v or nil.
func (v *version) at(sequence int64) *version {
	switch {
	case v == nil:
		return nil
	case v.Sequence == sequence:
		return v
	}
	for _, w := range v.among {
		if w.Sequence == sequence {
			return w
		}
	}
	return nil
}

// logVersion is a version of the log: one or more entries, oldest first. They have
// distinct keys, and each follows the one before it.
type logVersion []*version

func (l logVersion) oldest() *version { return l[0] }

func (l logVersion) newest() *version { return l[len(l)-1] }

// ofKey returns the entry of a key, or nil.
func (l logVersion) ofKey(key string) *version {
	for _, v := range l {
		if v.Key == key {
			return v
		}
	}
	return nil
}

// checkHashes returns an error unless the hashes of all entries match.
func (l logVersion) checkHashes() error {
	for _, v := range l {
		if err := v.checkHash(); err != nil {
			return err
		}
	}
	return nil
}

// readLogVersion parses a version of the log strictly. It does not check the hashes of
// the entries: see checkHash.
func (c *core) readLogVersion(id backend.VersionID, body []byte) (logVersion, error) {
	object := c.prefix + wire.LogName
	docs, err := wire.ParseLog(body)
	if err != nil {
		return nil, malformed(object, id, err)
	}
	return c.newLogVersion(id, docs), nil
}

// newLogVersion returns the version of the log that holds these documents.
func (c *core) newLogVersion(id backend.VersionID, docs []*wire.Document) logVersion {
	l := make(logVersion, len(docs))
	entries := make([]version, len(docs))
	for i, d := range docs {
		entries[i] = version{Document: d, object: c.prefix + wire.LogName, id: id, log: LogVersionID(id), among: l, place: i}
		l[i] = &entries[i]
		c.findDialect(l[i])
	}
	return l
}

// readKeyVersion parses a version of a key object strictly. If its hash does not match,
// it compares the version with the entry in the log: see confirm. A version whose hash
// does not match is returned with the error.
func (c *core) readKeyVersion(ctx context.Context, object string, id backend.VersionID, body []byte) (*version, error) {
	d, err := wire.ParseKey(body)
	if err != nil {
		return nil, malformed(object, id, err)
	}
	v := &version{Document: d, object: object, id: id, log: d.LogVersionID}
	if c.findDialect(v); v.matched == 0 {
		return c.confirm(ctx, v)
	}
	return v, nil
}

// findDialect finds the dialect in which a version's hash matches. It first tries the
// dialect of the version read last, because logs seldom change the dialect.
func (c *core) findDialect(v *version) {
	if v.matched = v.DialectHint(wire.Dialect(c.lastDialect.Load())); v.matched != 0 {
		c.lastDialect.Store(uint32(v.matched))
	}
}

// confirm handles a key object's version whose hash does not match. If the log version
// that it names holds a valid entry of this key and sequence, confirm returns that entry
// in place of the copy.
//
// A repair by a client in the other language re-formats the value, and the hash may no
// longer match: 1.0, written in Python, becomes 1 when the TypeScript client repairs it.
// This is no damage. Any other difference is damage: a reader gets the entry from the
// log, and an audit reports it.
func (c *core) confirm(ctx context.Context, v *version) (*version, error) {
	obj, err := c.store.GetVersion(ctx, c.prefix+wire.LogName, backend.VersionID(v.log))
	switch {
	case gone(err), isEntryError(err):
		return v, v.checkHash()
	case err != nil:
		return nil, err
	}
	var original *version
	if l, err := c.readLogVersion(obj.ID, obj.Body); err == nil {
		original = l.ofKey(v.Key)
	}
	if original == nil || original.matched == 0 || original.Sequence != v.Sequence {
		return v, v.checkHash()
	}
	d := *v.Document
	d.Value, d.TimestampMS, d.Hash, d.PreviousHash, d.WriteID = original.Value, original.TimestampMS, original.Hash, original.PreviousHash, original.WriteID
	confirmed := *v
	confirmed.Document, confirmed.matched = &d, original.matched
	if confirmed.damaged = !v.Reformats(original.Document); confirmed.damaged {
		c.logger.WarnContext(ctx, "a key object is damaged: the entry was read from the log; run an audit",
			"object", v.object, "version", v.id, "sequence", v.Sequence)
	}
	return &confirmed, nil
}

// sizedStore reports a version that is too large to be read as a malformed entry. Another
// client, or an attacker, may have written it. The problem is in that version, not in the
// call that reads it.
type sizedStore struct{ backend.VersionedStore }

func (s sizedStore) Get(ctx context.Context, name string) (backend.Object, error) {
	obj, err := s.VersionedStore.Get(ctx, name)
	return obj, tooLarge(name, "", err)
}

func (s sizedStore) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	obj, err := s.VersionedStore.GetVersion(ctx, name, id)
	return obj, tooLarge(name, id, err)
}

func tooLarge(object string, id backend.VersionID, err error) error {
	if errors.Is(err, backend.ErrTooLarge) {
		return malformed(object, id, fmt.Errorf("%w: %w", ErrMalformedEntry, err))
	}
	return err
}

func malformed(object string, id backend.VersionID, err error) error {
	return &EntryError{Object: object, VersionID: id, Sequence: -1, Err: err}
}

// wrong returns an error about this version.
func (v *version) wrong(err error) error {
	return &EntryError{Object: v.object, VersionID: v.id, Sequence: v.Sequence, Err: err}
}

// isEntryError reports whether an error is about one entry, and not about the call.
func isEntryError(err error) bool {
	var e *EntryError
	return errors.As(err, &e)
}
