package wire

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/immukv/immukv-go/backend"
)

// documentKind is what a stored document must have, and may have.
type documentKind struct{ required, optional fieldSet }

type fieldSet uint16

func setOf(fields ...field) (s fieldSet) {
	for _, f := range fields {
		s |= 1 << f
	}
	return s
}

func (s fieldSet) has(f field) bool { return s&(1<<f) != 0 }

var (
	logDocument = documentKind{
		required: setOf(fieldHash, fieldKey, fieldPreviousHash, fieldSequence, fieldTimestampMS),
		optional: setOf(fieldPreviousKeyETag, fieldPreviousVersionID, fieldValue, fieldWriteID),
	}
	keyDocument = documentKind{
		required: setOf(fieldHash, fieldKey, fieldLogVersionID, fieldPreviousHash, fieldSequence, fieldTimestampMS),
		optional: setOf(fieldValue, fieldWriteID),
	}
)

// ParseLog reads a version of the log strictly: its entries, one in each line, oldest
// first. An error is [ErrMalformedEntry]. It says which line and field is wrong and why,
// without the text of the field. An optional field that is null counts as absent. Unknown
// fields are ignored. An absent value is null: the Python client omits the value None,
// and the hash covers null. Values may contain NaN, Infinity and -Infinity, which that
// client also writes. The documents keep body.
func ParseLog(body []byte) ([]*Document, error) {
	if hasLines(body) {
		return parseLines(body)
	}
	d, err := parse(body, &logDocument)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformedEntry, err)
	}
	return []*Document{d}, nil
}

// ParseKey reads a version of a key object strictly, as ParseLog does. It is one
// document.
func ParseKey(body []byte) (*Document, error) {
	d, err := parse(body, &keyDocument)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformedEntry, err)
	}
	return d, nil
}

func parse(body []byte, kind *documentKind) (*Document, error) {
	p := parser{scanner: scanner{text: body, python: true}, doc: &Document{body: body}, kind: kind, plain: true}
	if i := p.members(); i < 0 {
		return nil, p.err()
	}
	if p.interpret(); p.wrong != "" {
		return nil, fmt.Errorf("field %s %s", fieldNames[p.wrongField], p.wrong)
	}
	p.doc.plain = p.plain
	return p.doc, nil
}

// parser reads one document.
type parser struct {
	scanner
	doc  *Document
	kind *documentKind
	// plain stays set while the document, apart from the five hashed tokens, is canonical
	// in every dialect: known fields only, in order, without white space, and without
	// escapes in their strings except those of quotes and backslashes.
	plain   bool
	seen    fieldSet
	odds    fieldSet        // those that are, or have in them, strings that are odd
	unknown map[string]bool // names in canonical form

	wrongField field
	wrong      string
}

// members finds the tokens of the fields.
func (p *parser) members() int {
	i, c := p.blank(0)
	if c != '{' {
		if end := p.value(i); end < 0 {
			return -1
		}
		return p.fail(i, "value that is not an object")
	}
	p.depth = 1
	if i, c = p.blank(i + 1); c == '}' {
		return p.end(i)
	}
	last := -1
	for {
		if c != '"' {
			return p.unexpected(i, "member name")
		}
		start := i
		p.odd = false
		if i = p.str(i); i < 0 {
			return -1
		}
		f, ok := p.field(start, i)
		if !ok {
			return -1
		}
		p.plain = p.plain && int(f) > last && f != fieldCount
		last = int(f)
		if i, c = p.blank(i); c != ':' {
			return p.unexpected(i, "colon")
		}
		start, _ = p.blank(i + 1)
		p.odd = false
		if i = p.value(start); i < 0 {
			return -1
		}
		if p.odd {
			p.odds |= 1 << f
		}
		if f != fieldCount {
			p.doc.tokens[f] = p.text[start:i:i]
		}
		switch i, c = p.blank(i); c {
		case ',':
			i, c = p.blank(i + 1)
		case '}':
			return p.end(i)
		default:
			return p.unexpected(i, "comma or closing brace")
		}
	}
}

func (p *parser) end(i int) int {
	if i, _ = p.blank(i + 1); i < len(p.text) {
		return p.fail(i, "data after the end")
	}
	return i
}

// blank skips white space, which no client writes, and returns the byte after it, too.
func (p *parser) blank(i int) (int, byte) {
	end, c := p.skip(i)
	p.plain = p.plain && end == i
	return end, c
}

// field finds the field with the name at text[start:end], quotes included, which was
// scanned last. It returns fieldCount for a name that this kind of document does not
// have. It fails if the document already has a field of that name.
func (p *parser) field(start, end int) (f field, ok bool) {
	name := p.text[start+1 : end-1]
	if p.odd {
		p.plain = false
		quoted, _, _ := Python.appendString(nil, p.text, start)
		name = quoted[1 : len(quoted)-1]
	}
	f = fieldNamed(name)
	switch {
	case f != fieldCount && !p.seen.has(f):
		p.seen |= 1 << f
	case f == fieldCount && !p.unknown[string(name)]:
		if p.unknown == nil {
			p.unknown = make(map[string]bool)
		}
		p.unknown[string(name)] = true
	default:
		p.fail(start, "repeated field")
		return 0, false
	}
	if !(p.kind.required | p.kind.optional).has(f) {
		f = fieldCount
	}
	return f, true
}

// fieldNamed returns the field with a name in canonical form; fieldCount if there is
// none. A switch compares the length first, and then seldom more than one name.
func fieldNamed(name []byte) field {
	switch string(name) {
	case "hash":
		return fieldHash
	case "key":
		return fieldKey
	case "log_version_id":
		return fieldLogVersionID
	case "previous_hash":
		return fieldPreviousHash
	case "previous_key_object_etag":
		return fieldPreviousKeyETag
	case "previous_version_id":
		return fieldPreviousVersionID
	case "sequence":
		return fieldSequence
	case "timestamp_ms":
		return fieldTimestampMS
	case "value":
		return fieldValue
	case "write_id":
		return fieldWriteID
	}
	return fieldCount
}

// interpret sets the fields of the document from its tokens.
func (p *parser) interpret() {
	d := p.doc
	for f := range fieldCount {
		if p.kind.required.has(f) && d.tokens[f] == nil {
			p.reject(f, "is missing")
			return
		}
		if p.kind.optional.has(f) && f != fieldValue && string(d.tokens[f]) == "null" {
			d.tokens[f] = nil
		}
	}
	d.Sequence = p.integer(fieldSequence)
	if d.TimestampMS = p.integer(fieldTimestampMS); d.TimestampMS == 0 {
		p.reject(fieldTimestampMS, "is not positive")
	}
	if d.Value = d.tokens[fieldValue]; d.Value == nil {
		d.Value = []byte("null")
	}
	d.HasPreviousKeyETag = d.tokens[fieldPreviousKeyETag] != nil
	p.strings()
}

// strings sets the fields that are strings, all as parts of one string.
func (p *parser) strings() {
	var buf [512]byte
	text, ends := buf[:0], [fieldCount]int{}
	for f := range fieldCount {
		if f != fieldSequence && f != fieldTimestampMS && f != fieldValue && p.doc.tokens[f] != nil {
			text = p.appendText(text, f)
		}
		ends[f] = len(text)
	}
	all := string(text)
	part := func(f field) string { return all[ends[f-1]:ends[f]] }
	d := p.doc
	d.Hash = Hash(all[:ends[fieldHash]])
	d.Key = part(fieldKey)
	d.LogVersionID = LogVersionID(part(fieldLogVersionID))
	d.PreviousHash = Hash(part(fieldPreviousHash))
	d.PreviousKeyETag = backend.ETag(part(fieldPreviousKeyETag))
	d.PreviousVersionID = LogVersionID(part(fieldPreviousVersionID))
	d.WriteID = part(fieldWriteID)
}

// appendText appends the characters of a string field.
func (p *parser) appendText(dst []byte, f field) []byte {
	token := p.doc.tokens[f]
	if token[0] != '"' {
		p.reject(f, "is not a string")
		return dst
	}
	start := len(dst)
	hashed := f == fieldKey || f == fieldPreviousHash
	if p.odds.has(f) {
		dst = p.appendOdd(dst, f, hashed)
	} else {
		dst = append(dst, token[1:len(token)-1]...)
	}
	text := dst[start:]
	switch f {
	case fieldHash, fieldPreviousHash:
		if !bytes.HasPrefix(text, []byte(hashPrefix)) {
			p.reject(f, "does not start with sha256:")
		}
	case fieldLogVersionID, fieldPreviousKeyETag, fieldPreviousVersionID, fieldWriteID:
		if len(text) == 0 {
			p.reject(f, "is empty")
		}
	}
	p.plain = p.plain && (hashed || bytes.IndexByte(text, 0x7f) < 0)
	return dst
}

// appendOdd appends the characters of a string that has escapes.
func (p *parser) appendOdd(dst []byte, f field, hashed bool) []byte {
	token := p.doc.tokens[f]
	for i := 1; ; {
		run := skipPlain(token, i)
		dst = append(dst, token[i:run]...)
		if token[run] == '"' {
			return dst
		}
		var r rune
		if r, i = nextRune(token, run); utf16.IsSurrogate(r) {
			p.reject(f, "has a lone surrogate")
		}
		dst = utf8.AppendRune(dst, r)
		p.plain = p.plain && (hashed || i == run+2 && (r == '"' || r == '\\'))
	}
}

// integer returns the number in a field, which is never negative.
func (p *parser) integer(f field) int64 {
	token := p.doc.tokens[f]
	n, err := strconv.ParseInt(string(token), 10, 64)
	digits := bytes.TrimPrefix(token, []byte("-"))
	switch {
	case err == nil && len(digits) == len(token):
		return n
	case bytes.ContainsFunc(digits, func(r rune) bool { return r < '0' || r > '9' }):
		p.reject(f, "is not an integer")
	case len(digits) < len(token):
		p.reject(f, "is negative")
	default:
		p.reject(f, "exceeds 63 bits")
	}
	return -1
}

// reject records the problem of a field. Only the first problem is kept.
func (p *parser) reject(f field, why string) {
	if p.wrong == "" {
		p.wrongField, p.wrong = f, why
	}
}
