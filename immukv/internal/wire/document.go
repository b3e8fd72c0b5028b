package wire

import (
	"bytes"

	"github.com/immukv/immukv-go/backend"
)

// LogVersionID names one version of the log. It is opaque.
type LogVersionID string

// field is a field of a stored document. They are in sorted order, in which they
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

// Document is one version of the log or of a key object. It keeps the JSON
// tokens of its fields as they are stored, because those are what was hashed and
// what a repair has to write: a value that went through a codec, or through
// another client's number formatting, is another value.
//
// A document belongs to one goroutine at a time.
type Document struct {
	Key                string
	Sequence           int64
	TimestampMS        int64
	Hash, PreviousHash Hash
	Value              []byte // the token of the value; null if it is left out
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

// match is in which dialect a document has its hash, once that was asked.
type match struct {
	known    bool
	dialect  Dialect
	asStored bool // the stored tokens have it
}

// Draft is an entry that is to be appended to the log.
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

// New makes the log version of a draft and computes its hash. It
// keeps the draft's value.
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

// LogBody is the body of the log version: its fields in sorted order, without
// white space, as their writer formatted them. It is made anew at each call.
func (d *Document) LogBody() []byte { return join(&d.tokens) }

// Stored is the body that the document was read from, or LogBody if it was made. Of a
// version of several lines it is the document's own line.
func (d *Document) Stored() []byte {
	if d.body == nil {
		return d.LogBody()
	}
	return d.body
}

// Moved is the same entry, token by token, for a place in another log: only the three
// members that lead back, which no hash covers, are other ones. previous is empty on the
// first entry of a log, and on all but the first of a version.
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

// KeyBody is the body of the key object version that copies this document, which
// is log version v: the bytes that the entry's own writer would have stored.
func (d *Document) KeyBody(v LogVersionID) []byte {
	dialect := d.Dialect()
	if dialect == 0 {
		dialect = Python
	}
	tokens := d.tokens
	tokens[fieldLogVersionID] = dialect.appendQuoted(nil, string(v))
	tokens[fieldPreviousKeyETag] = nil
	tokens[fieldPreviousVersionID] = nil
	tokens[fieldValue] = d.Value // also where the log leaves out a null
	return join(&tokens)
}

// join makes a body of the fields that there are.
func join(tokens *[fieldCount][]byte) []byte {
	return appendBody(make([]byte, 0, bodySize(tokens)), tokens)
}

// bodySize is the length of a body, or a byte more.
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

// Dialect returns the dialect in which the document has its hash, 0 if in none:
// the stored tokens are what the writer hashed, so they are tried first, and only
// then their canonical forms, since a repair by a client in the other language
// re-formats them.
func (d *Document) Dialect() Dialect { return d.DialectHint(0) }

// DialectHint is Dialect, cheaper when the hint is right: logs seldom change
// their dialect from one entry to the next.
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

// IsCanonical reports whether the stored body is, byte for byte, what a client
// would have stored: canonical JSON in one of the dialects. So it notices even a
// change that leaves the meaning as it was, such as an added blank.
//
// Stored tokens that have the hash are the writer's own. Nothing but what stands
// around them is left to check then, and the parser has done that.
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
// dialect makes of the entry when it repairs: the same entry, with a value that may
// have lost what the hash was made of.
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
