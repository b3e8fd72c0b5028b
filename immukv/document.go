package immukv

import (
	"bytes"

	"github.com/immukv/immukv-go/backend"
)

// LogVersionID names one version of the log, and so one entry. It is opaque, and
// another type than [KeyVersionID], lest one be taken for the other.
type LogVersionID string

// KeyVersionID names one version of a key object. It is opaque.
type KeyVersionID string

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

// document is one version of the log or of a key object. It keeps the JSON
// tokens of its fields as they are stored, because those are what was hashed and
// what a repair has to write: a value that went through a codec, or through
// another client's number formatting, is another value.
//
// A document belongs to one goroutine at a time.
type document struct {
	key                string
	sequence           int64
	timestampMS        int64
	hash, previousHash Hash
	value              []byte // the token of the value
	writeID            string // "" if absent

	previousVersionID  LogVersionID // of the log only; "" on the first
	previousKeyETag    backend.ETag // of the log only
	hasPreviousKeyETag bool

	logVersionID LogVersionID // of key objects only

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

// draft is an entry that is to be appended to the log.
type draft struct {
	key                string
	value              []byte // in canonical form
	sequence           int64
	timestampMS        int64
	previousHash       Hash
	previousVersionID  LogVersionID // "" on the first
	previousKeyETag    backend.ETag
	hasPreviousKeyETag bool
	writeID            string
	dialect            Dialect
}

// newLogDocument makes the log version of a draft and computes its hash. It
// keeps the draft's value.
func newLogDocument(dr draft) *document {
	hashed := dr.dialect.tokens(dr.key, dr.previousHash, dr.sequence, dr.timestampMS, dr.value)
	d := &document{
		key:                dr.key,
		sequence:           dr.sequence,
		timestampMS:        dr.timestampMS,
		hash:               hashTokens(dr.dialect, hashed),
		previousHash:       dr.previousHash,
		value:              dr.value,
		writeID:            dr.writeID,
		previousVersionID:  dr.previousVersionID,
		previousKeyETag:    dr.previousKeyETag,
		hasPreviousKeyETag: dr.hasPreviousKeyETag,
		match:              match{known: true, dialect: dr.dialect, asStored: true},
	}
	d.tokens[fieldHash] = dr.dialect.appendQuoted(nil, string(d.hash))
	d.tokens[fieldKey] = hashed.key
	d.tokens[fieldPreviousHash] = hashed.previousHash
	if dr.hasPreviousKeyETag {
		d.tokens[fieldPreviousKeyETag] = dr.dialect.appendQuoted(nil, string(dr.previousKeyETag))
	}
	if dr.previousVersionID != "" {
		d.tokens[fieldPreviousVersionID] = dr.dialect.appendQuoted(nil, string(dr.previousVersionID))
	}
	d.tokens[fieldSequence] = hashed.sequence
	d.tokens[fieldTimestampMS] = hashed.timestampMS
	d.tokens[fieldValue] = hashed.value
	if dr.writeID != "" {
		d.tokens[fieldWriteID] = dr.dialect.appendQuoted(nil, dr.writeID)
	}
	return d
}

// logBody is the body of the log version: its fields in sorted order, without
// white space, as their writer formatted them. It is made anew at each call.
func (d *document) logBody() []byte { return join(&d.tokens) }

// keyBody is the body of the key object version that copies this document, which
// is log version v: the bytes that the entry's own writer would have stored.
func (d *document) keyBody(v LogVersionID) []byte {
	dialect := d.dialect()
	if dialect == 0 {
		dialect = Python
	}
	tokens := d.tokens
	tokens[fieldLogVersionID] = dialect.appendQuoted(nil, string(v))
	tokens[fieldPreviousKeyETag] = nil
	tokens[fieldPreviousVersionID] = nil
	return join(&tokens)
}

// join makes a body of the fields that there are.
func join(tokens *[fieldCount][]byte) []byte {
	size := len("{}")
	for f, token := range tokens {
		if token != nil {
			size += len(`"":,`) + len(fieldNames[f]) + len(token)
		}
	}
	body := make([]byte, 0, size)
	for f, token := range tokens {
		if token != nil {
			body = append(body, "{,"[min(len(body), 1)])
			body = append(append(body, '"'), fieldNames[f]...)
			body = append(append(body, `":`...), token...)
		}
	}
	return append(body, '}')
}

// dialect returns the dialect in which the document has its hash, 0 if in none:
// the stored tokens are what the writer hashed, so they are tried first, and only
// then their canonical forms, since a repair by a client in the other language
// re-formats them.
func (d *document) dialect() Dialect { return d.dialectHint(0) }

// dialectHint is dialect, cheaper when the hint is right: logs seldom change
// their dialect from one entry to the next.
func (d *document) dialectHint(hint Dialect) Dialect {
	if !d.match.known {
		t := d.hashed()
		d.match = match{known: true, asStored: true, dialect: matchTokens(&t, d.hash, hint)}
		if d.match.dialect == 0 {
			d.match = match{known: true, dialect: matchCanonical(&t, d.hash)}
		}
	}
	return d.match.dialect
}

func (d *document) hashed() hashedTokens {
	return hashedTokens{
		key:          d.tokens[fieldKey],
		previousHash: d.tokens[fieldPreviousHash],
		sequence:     d.tokens[fieldSequence],
		timestampMS:  d.tokens[fieldTimestampMS],
		value:        d.tokens[fieldValue],
	}
}

// canonical reports whether the stored body is, byte for byte, what a client
// would have stored: canonical JSON in one of the dialects. So it notices even a
// change that leaves the meaning as it was, such as an added blank.
//
// Stored tokens that have the hash are the writer's own. Nothing but what stands
// around them is left to check then, and the parser has done that.
func (d *document) canonical() bool {
	if d.body == nil || d.dialect() != 0 && d.match.asStored && d.plain {
		return true
	}
	for _, dialect := range dialects {
		if body, err := dialect.canonicalize(d.body, asStored); err == nil && bytes.Equal(body, d.body) {
			return true
		}
	}
	return false
}
