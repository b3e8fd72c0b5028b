package immukv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// LogVersionID names one version of the log, and so one entry. It is opaque, and
// another type than [KeyVersionID], lest one be taken for the other.
type LogVersionID = wire.LogVersionID

// KeyVersionID names one version of a key object. It is opaque.
type KeyVersionID string

// Entry is one entry of the log: a value that a key was set to. It carries what
// is needed to verify it without its codec.
type Entry[V any] struct {
	Key   string
	Value V
	// Timestamp is the writer's clock, to the millisecond. It orders nothing.
	Timestamp time.Time
	// Sequence is the entry's place in the log: 0, 1, 2, …
	Sequence int64
	// VersionID names the log version that holds the entry.
	VersionID LogVersionID
	// PreviousVersionID names the log version before. It is empty on the first
	// entry, and on one that was read from its key object, which does not hold
	// it.
	PreviousVersionID LogVersionID
	// KeyVersionID names the key object's version that the entry was read from;
	// empty when it was read from the log or has just been set.
	KeyVersionID KeyVersionID
	Hash         Hash
	PreviousHash Hash
	// Dialect is the one in which Hash was computed.
	Dialect Dialect
	// WriteID is the writer's unique name for the append. Clients other than
	// this one leave it out.
	WriteID string
	// JSON is the value as it is stored.
	JSON json.RawMessage
}

// Checkpoint is the entry's place and hash: kept somewhere safe, it lets a later
// verification prove that the log still extends it.
func (e Entry[V]) Checkpoint() Checkpoint {
	return Checkpoint{Sequence: e.Sequence, Hash: e.Hash}
}

// Codec turns values into JSON text and back. Decode must accept the canonical
// form of what Encode returned: members sorted, no white space, numbers
// rewritten by the rules of the dialect.
type Codec[V any] interface {
	Encode(V) ([]byte, error)
	Decode([]byte) (V, error)
}

// jsonCodec is encoding/json, except that it refuses strings that are not valid
// UTF-8.
type jsonCodec[V any] struct{}

func (c jsonCodec[V]) Encode(v V) ([]byte, error) {
	text, err := encodeJSON(v)
	if err != nil || !bytes.Contains(text, []byte(`\ufffd`)) {
		return text, err
	}
	// So package json writes what is not valid UTF-8, and nothing else of its
	// own: U+FFFD itself stands raw. Only what a Marshaler wrote so comes back
	// from decoding as it is.
	back, err := c.Decode(text)
	if err == nil {
		var again []byte
		if again, err = encodeJSON(back); err == nil && bytes.Equal(again, text) {
			return text, nil
		}
	}
	return nil, errors.New("a string is not valid UTF-8")
}

func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func (jsonCodec[V]) Decode(data []byte) (V, error) {
	var v V
	err := json.Unmarshal(data, &v)
	return v, err
}

// version is an entry as the protocol core handles it: a stored document, and the
// versions that name it. Values are decoded only for a caller.
type version struct {
	*wire.Document
	object  string            // the object that it was read from
	id      backend.VersionID // its version of that object
	log     LogVersionID      // the log version that holds the entry
	matched wire.Dialect      // the dialect in which its hash holds
	damaged bool              // the copy in a key object is not, and the log has the entry
}

// readLogVersion reads a version of the log strictly and checks its hash. A
// version whose hash does not hold is returned with the error.
func (c *core) readLogVersion(id backend.VersionID, body []byte) (*version, error) {
	object := c.prefix + wire.LogName
	d, err := wire.ParseLog(body)
	if err != nil {
		return nil, malformed(object, id, err)
	}
	return c.checkHash(&version{Document: d, object: object, id: id, log: LogVersionID(id)})
}

// readKeyVersion does the same for a version of a key object. If its hash does not
// hold, it looks in the log for what the version copies: see confirm.
func (c *core) readKeyVersion(ctx context.Context, object string, id backend.VersionID, body []byte) (*version, error) {
	d, err := wire.ParseKey(body)
	if err != nil {
		return nil, malformed(object, id, err)
	}
	v, err := c.checkHash(&version{Document: d, object: object, id: id, log: d.LogVersionID})
	if err != nil {
		return c.confirm(ctx, v, err)
	}
	return v, nil
}

// checkHash finds the dialect in which a version's hash holds. It tries that of the
// version before first: logs seldom change from one to the other.
func (c *core) checkHash(v *version) (*version, error) {
	v.matched = v.DialectHint(wire.Dialect(c.lastDialect.Load()))
	if v.matched == 0 {
		return v, v.wrong(fmt.Errorf("%w: its hash is that of no dialect", ErrVerificationFailed))
	}
	c.lastDialect.Store(uint32(v.matched))
	return v, nil
}

// confirm looks in the log for the entry that a key object's version copies, if the
// copy's hash does not hold by itself, as err says. If the log version that it names
// holds the entry of this key and sequence, and that verifies, it is returned in place
// of the copy.
//
// A repair by a client in the other language re-formats the value, and that may lose
// what the hash was made of: 1.0, written in Python, is 1 when the TypeScript client
// has repaired it. Such a copy stands for its entry. Any other is damaged: a reader is
// answered from the log, and an audit reports it.
func (c *core) confirm(ctx context.Context, v *version, err error) (*version, error) {
	obj, getErr := c.store.GetVersion(ctx, c.prefix+wire.LogName, backend.VersionID(v.log))
	switch {
	case gone(getErr), isEntryError(getErr):
		return v, err
	case getErr != nil:
		return nil, getErr
	}
	original, readErr := c.readLogVersion(obj.ID, obj.Body)
	if readErr != nil || original.Key != v.Key || original.Sequence != v.Sequence {
		return v, err
	}
	d := *v.Document
	d.Value, d.TimestampMS, d.Hash, d.PreviousHash, d.WriteID = original.Value, original.TimestampMS, original.Hash, original.PreviousHash, original.WriteID
	confirmed := *v
	confirmed.Document, confirmed.matched = &d, original.matched
	if confirmed.damaged = !v.Reformats(original.Document); confirmed.damaged {
		c.logger.WarnContext(ctx, "a key object is damaged; its entry is read from the log; run an audit",
			"object", v.object, "version", v.id, "sequence", v.Sequence)
	}
	return &confirmed, nil
}

// sizedStore is a store of which a version too large to be read is a malformed entry.
// Another client may have written it, or somebody who means harm: it is that version
// which has something wrong with it, and not the call that met with it.
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

// wrong is an error about this version.
func (v *version) wrong(err error) error {
	return &EntryError{Object: v.object, VersionID: v.id, Sequence: v.Sequence, Err: err}
}

// isEntryError tells whether an error is about one entry, and not about the call.
func isEntryError(err error) bool {
	var e *EntryError
	return errors.As(err, &e)
}

// newEntry is the entry that a caller gets, its value not yet decoded.
func newEntry[V any](v *version) Entry[V] {
	e := Entry[V]{
		Key:               v.Key,
		Timestamp:         time.UnixMilli(v.TimestampMS).UTC(),
		Sequence:          v.Sequence,
		VersionID:         v.log,
		PreviousVersionID: v.PreviousVersionID,
		Hash:              v.Hash,
		PreviousHash:      v.PreviousHash,
		Dialect:           Dialect(v.matched),
		WriteID:           v.WriteID,
		JSON:              bytes.Clone(v.Value), // the client may still have to repair from v
	}
	if v.LogVersionID != "" {
		e.KeyVersionID = KeyVersionID(v.id)
	}
	return e
}
