package immukv

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// LogVersionID names one version of the log. It is opaque. Its type differs from
// [KeyVersionID] so that the two cannot be confused.
type LogVersionID = wire.LogVersionID

// KeyVersionID names one version of a key object. It is opaque.
type KeyVersionID string

// Entry is one entry of the log: a value that a key was set to. It carries what
// is needed to verify it without its codec.
type Entry[V any] struct {
	Key   string
	Value V
	// Timestamp is the time of the writer's clock, to the millisecond. It does not
	// order entries.
	Timestamp time.Time
	// Sequence is the entry's place in the log: 0, 1, 2, …
	Sequence int64
	// VersionID names the log version that holds the entry.
	VersionID LogVersionID
	// PreviousVersionID names the log version that holds the entry before. If both
	// entries were written as one batch, it equals VersionID. It is empty in the first
	// entry of the log, and in an entry that was read from its key object, which does not
	// store it.
	PreviousVersionID LogVersionID
	// KeyVersionID names the key object's version that the entry was read from;
	// empty when it was read from the log or has just been set.
	KeyVersionID KeyVersionID
	Hash         Hash
	PreviousHash Hash
	// Dialect is the one in which Hash was computed.
	Dialect Dialect
	// WriteID is a unique ID that the writer gives to each entry. The Python and
	// TypeScript clients do not write it.
	WriteID string
	// JSON is the value as it is stored.
	JSON json.RawMessage
}

// Checkpoint returns the entry's sequence and hash. Keep it in a safe place: with it, a
// later verification proves that the log still contains this entry and all before it.
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

// jsonCodec is encoding/json, except that a string that is not valid UTF-8 is an error.
type jsonCodec[V any] struct{}

func (c jsonCodec[V]) Encode(v V) ([]byte, error) {
	text, err := encodeJSON(v)
	if err != nil || !bytes.Contains(text, []byte(`\ufffd`)) {
		return text, err
	}
	// This escape is how package json writes bytes that are not valid UTF-8, and nothing
	// else: it writes U+FFFD itself unescaped. Only a Marshaler may have written the
	// escape, and then decoding returns the same text.
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

// newEntry returns the entry that a caller gets, with its value not yet decoded.
func newEntry[V any](v *version) Entry[V] {
	e := Entry[V]{
		Key:               v.Key,
		Timestamp:         time.UnixMilli(v.TimestampMS).UTC(),
		Sequence:          v.Sequence,
		VersionID:         v.log,
		PreviousVersionID: v.before(),
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
