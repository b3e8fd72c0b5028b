package wire

import (
	"bytes"

	"github.com/immukv/immukv-go/backend"
)

// LogVersionID names one version of the log. It is opaque.
type LogVersionID string

// field is a field of a stored document. The fields are in sorted order, in which they
// are stored.
type field uint8

const (
	fieldHash field = iota
	fieldKey
	fieldLogVersionID
	fieldPreviousHash
	fieldPreviousKeyETag
	fieldPreviousVersionID
	fieldSequence
	fieldTimestampMS
	fieldValue
	fieldWriteID
	fieldCount
)

var fieldNames = [fieldCount]string{
	"hash", "key", "log_version_id", "previous_hash", "previous_key_object_etag",
	"previous_version_id", "sequence", "timestamp_ms", "value", "write_id",
}

// Document is one entry as stored in the log or in a key object. It keeps the JSON tokens
// of its fields as they are stored, because those were hashed and must be written by a
// repair: a value that was decoded and encoded again, or formatted by another client, is
// another value.
//
// A document belongs to one goroutine at a time.
type Document struct {
	Key                string
	Sequence           int64
	TimestampMS        int64
	Hash, PreviousHash Hash
	Value              []byte // the token of the value; null if it is absent
	WriteID            string // "" if absent

	PreviousVersionID  LogVersionID // of the log only; "" on the first
	PreviousKeyETag    backend.ETag // of the log only
	HasPreviousKeyETag bool

	LogVersionID LogVersionID // of key objects only

	tokens [fieldCount][]byte // nil: absent, or not a field of this kind of document
	body   []byte             // as it is stored; nil if it was not read
	plain  bool               // see parser.plain
	match  match
}

// match is the dialect in which the document's hash matches, once that was computed.
type match struct {
	known    bool
	dialect  Dialect
	asStored bool // the stored tokens match it
}

// Draft is an entry to be appended to the log.
type Draft struct {
	Key                string
	Value              []byte // in canonical form
	Sequence           int64
	TimestampMS        int64
	PreviousHash       Hash
	PreviousVersionID  LogVersionID // "" on the first
	PreviousKeyETag    backend.ETag
	HasPreviousKeyETag bool
	WriteID            string
	Dialect            Dialect
}

// New returns the log version of a draft and computes its hash. It keeps the draft's
// value.
func New(dr Draft) *Document {
	hashed := dr.Dialect.tokens(dr.Key, dr.PreviousHash, dr.Sequence, dr.TimestampMS, dr.Value)
	d := &Document{
		Key:                dr.Key,
		Sequence:           dr.Sequence,
		TimestampMS:        dr.TimestampMS,
		Hash:               hashTokens(dr.Dialect, hashed),
		PreviousHash:       dr.PreviousHash,
		Value:              dr.Value,
		WriteID:            dr.WriteID,
		PreviousVersionID:  dr.PreviousVersionID,
		PreviousKeyETag:    dr.PreviousKeyETag,
		HasPreviousKeyETag: dr.HasPreviousKeyETag,
		match:              match{known: true, dialect: dr.Dialect, asStored: true},
	}
	d.tokens[fieldHash] = dr.Dialect.appendQuoted(nil, string(d.Hash))
	d.tokens[fieldKey] = hashed.key
	d.tokens[fieldPreviousHash] = hashed.previousHash
	if dr.HasPreviousKeyETag {
		d.tokens[fieldPreviousKeyETag] = dr.Dialect.appendQuoted(nil, string(dr.PreviousKeyETag))
	}
	if dr.PreviousVersionID != "" {
		d.tokens[fieldPreviousVersionID] = dr.Dialect.appendQuoted(nil, string(dr.PreviousVersionID))
	}
	d.tokens[fieldSequence] = hashed.sequence
	d.tokens[fieldTimestampMS] = hashed.timestampMS
	d.tokens[fieldValue] = hashed.value
	if dr.WriteID != "" {
		d.tokens[fieldWriteID] = dr.Dialect.appendQuoted(nil, dr.WriteID)
	}
	return d
}

// LogBody returns the body of the log version: its fields in sorted order, without white
// space, as their writer formatted them. Each call makes a new one.
func (d *Document) LogBody() []byte { return join(&d.tokens) }

// Stored returns the body that the document was read from, or LogBody if it was made by
// New. For a version of several lines, it is the document's own line.
func (d *Document) Stored() []byte {
	if d.body == nil {
		return d.LogBody()
	}
	return d.body
}

// Moved returns the same entry, token by token, for a place in another log. It differs
// only in the three members that refer to the other log's versions and ETags, which no
// hash covers. previous is empty on the first entry of a log, and on all but the first of
// a version.
func (d *Document) Moved(previous LogVersionID, tag backend.ETag, hasTag bool) *Document {
	dialect := d.Dialect()
	if dialect == 0 {
		dialect = Python
	}
	moved := *d
	moved.body = nil
	moved.PreviousVersionID, moved.PreviousKeyETag, moved.HasPreviousKeyETag = previous, tag, hasTag
	moved.tokens[fieldPreviousVersionID], moved.tokens[fieldPreviousKeyETag] = nil, nil
	if previous != "" {
		moved.tokens[fieldPreviousVersionID] = dialect.appendQuoted(nil, string(previous))
	}
	if hasTag {
		moved.tokens[fieldPreviousKeyETag] = dialect.appendQuoted(nil, string(tag))
	}
	return &moved
}

// KeyBody returns the body of the key object version that copies this document, whose log
// version is v: the bytes that the entry's own writer would have stored.
func (d *Document) KeyBody(v LogVersionID) []byte {
	dialect := d.Dialect()
	if dialect == 0 {
		dialect = Python
	}
	tokens := d.tokens
	tokens[fieldLogVersionID] = dialect.appendQuoted(nil, string(v))
	tokens[fieldPreviousKeyETag] = nil
	tokens[fieldPreviousVersionID] = nil
	tokens[fieldValue] = d.Value // also if the log omits a null
	return join(&tokens)
}

// join returns a body with the fields that are present.
func join(tokens *[fieldCount][]byte) []byte {
	return appendBody(make([]byte, 0, bodySize(tokens)), tokens)
}

// bodySize returns the length of a body, or one byte more.
func bodySize(tokens *[fieldCount][]byte) int {
	size := len("{}")
	for f, token := range tokens {
		if token != nil {
			size += len(`"":,`) + len(fieldNames[f]) + len(token)
		}
	}
	return size
}

func appendBody(body []byte, tokens *[fieldCount][]byte) []byte {
	next := byte('{')
	for f, token := range tokens {
		if token != nil {
			body = append(body, next, '"')
			body = append(append(body, fieldNames[f]...), `":`...)
			body = append(body, token...)
			next = ','
		}
	}
	return append(body, '}')
}

// Dialect returns the dialect in which the document's hash matches, or 0 if it matches in
// none. The stored tokens are what the writer hashed, so they are tried first. Their
// canonical forms are tried next, because a repair by a client in the other language
// re-formats the tokens.
func (d *Document) Dialect() Dialect { return d.DialectHint(0) }

// DialectHint is Dialect, but faster if the hint is right: logs seldom change their
// dialect from one entry to the next.
func (d *Document) DialectHint(hint Dialect) Dialect {
	if !d.match.known {
		t := d.hashed()
		d.match = match{known: true, asStored: true, dialect: matchTokens(&t, d.Hash, hint)}
		if d.match.dialect == 0 {
			d.match = match{known: true, dialect: matchCanonical(&t, d.Hash)}
		}
	}
	return d.match.dialect
}

func (d *Document) hashed() hashedTokens {
	return hashedTokens{
		key:          d.tokens[fieldKey],
		previousHash: d.tokens[fieldPreviousHash],
		sequence:     d.tokens[fieldSequence],
		timestampMS:  d.tokens[fieldTimestampMS],
		value:        d.Value,
	}
}

// IsCanonical reports whether the stored body is, byte for byte, what a client would have
// stored: canonical JSON in one of the dialects. So it also detects a change that does
// not change the meaning, such as added white space.
//
// Stored tokens that match the hash are the writer's own. Then only the bytes around them
// are left to check, and the parser has checked those.
func (d *Document) IsCanonical() bool {
	if d.body == nil || d.Dialect() != 0 && d.match.asStored && d.plain {
		return true
	}
	for _, dialect := range dialects {
		if body, err := dialect.canonicalize(d.body, asStored); err == nil && bytes.Equal(body, d.body) {
			return true
		}
	}
	return false
}

// Reformats reports whether the document, of a key object, is what a client of some
// dialect writes when it repairs the entry: the same entry, with a value that may have
// lost digits that the hash covers.
func (d *Document) Reformats(entry *Document) bool {
	if d.Key != entry.Key || d.Sequence != entry.Sequence || d.TimestampMS != entry.TimestampMS ||
		d.Hash != entry.Hash || d.PreviousHash != entry.PreviousHash {
		return false
	}
	for _, dialect := range dialects {
		if value, err := dialect.canonicalize(entry.Value, asStored); err == nil && bytes.Equal(value, d.Value) {
			return true
		}
	}
	return false
}
