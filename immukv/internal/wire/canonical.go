package wire

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxWrittenDepth is how deep arrays and objects may nest in a value that is written.
// Python's json is limited by the interpreter's stack: 1,000 frames by default, some of
// which its caller uses.
const maxWrittenDepth = 512

// Canonical returns the canonical form of a JSON text in the dialect: what a
// client of that dialect stores and hashes for the same value. It is ASCII,
// without white space, with the members of every object sorted.
//
// An error is [ErrInvalidValue]: the text is not JSON or not valid UTF-8, has data after
// its end, repeats a member name in an object at any depth, nests deeper than 10,000, or
// has a number beyond the range of a double (Python's integers have no range), a lone
// surrogate or, in the TypeScript dialect, a member named __proto__, which that client
// loses. It is [ErrUnknownDialect] if there is no such dialect.
func (d Dialect) Canonical(text []byte) ([]byte, error) {
	return d.canonicalize(text, asText)
}

// Encode returns the canonical form of a value to be written. In addition to the
// errors of [Dialect.Canonical], it returns an error for values that would be changed, or
// that the other clients could not read: in the TypeScript dialect an integer that a
// double cannot represent exactly, integers of more than 4,300 digits, nesting deeper
// than 512.
func (d Dialect) Encode(text []byte) ([]byte, error) {
	return d.canonicalize(text, asWritten)
}

// strictness says for what purpose a text is made canonical. Each accepts less than the
// one before.
type strictness uint8

const (
	asStored  strictness = iota // accepts lone surrogates, NaN and infinities: other clients write them
	asText                      // for [Dialect.Canonical]
	asWritten                   // for [Dialect.Encode]
)

func (d Dialect) canonicalize(text []byte, strict strictness) ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	if err := scan(text, strict == asStored); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidValue, err)
	}
	c := canonicalizer{dialect: d, strict: strict, text: text, out: make([]byte, 0, len(text))}
	c.value()
	if c.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidValue, c.err)
	}
	return c.sorted(), nil
}

// canonicalizer rewrites text that the scanner has accepted. The first pass copies token
// by token and keeps the order of members, but records the objects whose members are out
// of order. If there are any, a second pass puts them in order. So each byte is copied at
// most twice, however deep it is nested.
type canonicalizer struct {
	dialect  Dialect
	strict   strictness
	text     []byte
	pos      int
	depth    int
	out      []byte
	members  []member // of the open objects, the innermost last
	unsorted []object // the closed objects
	err      *textError
}

// member is a member of an object in out: its name, in quotes, and the end of
// its value.
type member struct{ start, nameEnd, end int }

// object is an object in out, from its opening brace to the byte after its closing brace,
// and its members in canonical order.
type object struct {
	start, end int
	members    []member
}

func (c *canonicalizer) fail(pos int, problem string) {
	if c.err == nil {
		c.err = &textError{problem: problem, offset: pos}
	}
}

// next skips white space and returns the byte after it.
func (c *canonicalizer) next() byte {
	for isSpace(c.text[c.pos]) {
		c.pos++
	}
	return c.text[c.pos]
}

func (c *canonicalizer) value() {
	switch c.next() {
	case '"':
		c.str()
	case '{':
		c.nested((*canonicalizer).object)
	case '[':
		c.nested((*canonicalizer).array)
	case 't', 'n':
		c.take(4)
	case 'f':
		c.take(5)
	case 'N':
		c.pythonLiteral(len(nan))
	case 'I':
		c.pythonLiteral(len(infinity))
	default:
		if c.text[c.pos] == '-' && c.pos+1 < len(c.text) && c.text[c.pos+1] == infinity[0] {
			c.pythonLiteral(len("-" + infinity))
			return
		}
		c.number()
	}
}

// pythonLiteral copies a literal that the scanner accepts only in a stored text.
func (c *canonicalizer) pythonLiteral(n int) {
	if c.dialect != Python {
		c.fail(c.pos, "number that is not finite")
	}
	c.take(n)
}

func (c *canonicalizer) take(n int) {
	c.out = append(c.out, c.text[c.pos:c.pos+n]...)
	c.pos += n
}

func (c *canonicalizer) nested(container func(*canonicalizer)) {
	if c.depth++; c.depth > maxWrittenDepth && c.strict >= asWritten {
		c.fail(c.pos, "nesting deeper than 512")
	}
	if c.err == nil {
		container(c)
	}
	c.depth--
}

func (c *canonicalizer) array() {
	c.take(1)
	for c.err == nil && c.next() != ']' {
		if c.text[c.pos] == ',' {
			c.take(1)
		}
		c.value()
	}
	if c.err == nil {
		c.take(1)
	}
}

func (c *canonicalizer) object() {
	begin, start, first := c.pos, len(c.out), len(c.members)
	ascending := true
	c.take(1)
	for c.err == nil && c.next() != '}' {
		if c.text[c.pos] == ',' {
			c.take(1)
			c.next()
		}
		m := member{start: len(c.out)}
		c.str()
		m.nameEnd = len(c.out)
		if c.dialect == TypeScript && string(c.name(m)) == "__proto__" {
			c.fail(begin, "member __proto__, which the typescript client loses, in the object")
			return
		}
		if ascending && len(c.members) > first {
			ascending = c.dialect.compareNames(c.name(c.members[len(c.members)-1]), c.name(m)) < 0
		}
		c.next()
		c.take(1) // the colon
		c.value()
		m.end = len(c.out)
		c.members = append(c.members, m)
	}
	if c.err != nil {
		return
	}
	c.take(1)
	if !ascending {
		c.sort(begin, object{start, len(c.out), slices.Clone(c.members[first:])})
	}
	c.members = c.members[:first]
}

func (c *canonicalizer) sort(begin int, o object) {
	compare := func(a, b member) int { return c.dialect.compareNames(c.name(a), c.name(b)) }
	slices.SortFunc(o.members, compare)
	for i := range o.members[1:] {
		if compare(o.members[i], o.members[i+1]) == 0 {
			c.fail(begin, "object that repeats a member name")
		}
	}
	c.unsorted = append(c.unsorted, o)
}

// name is the name of a member as out has it, without its quotes.
func (c *canonicalizer) name(m member) []byte { return c.out[m.start+1 : m.nameEnd-1] }

func (c *canonicalizer) number() {
	start := c.pos
	for c.pos < len(c.text) && isNumberByte(c.text[c.pos]) {
		c.pos++
	}
	var problem string
	c.out, problem = c.dialect.appendNumber(c.out, c.text[start:c.pos], c.strict >= asWritten)
	if problem != "" {
		c.fail(start, problem)
	}
}

func isNumberByte(b byte) bool {
	return isDigit(b) || b == '-' || b == '+' || b == '.' || b == 'e' || b == 'E'
}

func (c *canonicalizer) str() {
	start, lone := c.pos, false
	c.out, c.pos, lone = c.dialect.appendString(c.out, c.text, c.pos)
	if lone && c.strict >= asText {
		c.fail(start, "string with a lone surrogate")
	}
}

// sorted returns out with the members of every object in order.
func (c *canonicalizer) sorted() []byte {
	if len(c.unsorted) == 0 {
		return c.out
	}
	slices.SortFunc(c.unsorted, func(a, b object) int { return cmp.Compare(a.start, b.start) })
	return c.arrange(make([]byte, 0, len(c.out)), 0, len(c.out))
}

func (c *canonicalizer) arrange(dst []byte, pos, end int) []byte {
	for i := c.firstUnsorted(pos); i < len(c.unsorted) && c.unsorted[i].start < end; i = c.firstUnsorted(pos) {
		o := c.unsorted[i]
		dst = append(dst, c.out[pos:o.start]...)
		for k, m := range o.members {
			dst = append(dst, "{,"[min(k, 1)])
			dst = c.arrange(dst, m.start, m.end)
		}
		dst = append(dst, '}')
		pos = o.end
	}
	return append(dst, c.out[pos:end]...)
}

// firstUnsorted returns the index of the first unsorted object that begins at pos or
// after it.
func (c *canonicalizer) firstUnsorted(pos int) int {
	i, _ := slices.BinarySearchFunc(c.unsorted, pos, func(o object, pos int) int { return cmp.Compare(o.start, pos) })
	return i
}

// appendString appends the canonical form of the JSON string whose opening quote is at
// text[i], and returns the offset after its closing quote. The scanner has accepted the
// string.
func (d Dialect) appendString(dst, text []byte, i int) (_ []byte, end int, lone bool) {
	dst = append(dst, '"')
	for i++; ; {
		run := skipPlain(text, i)
		dst = d.appendPlain(dst, text[i:run])
		if text[run] == '"' {
			return append(dst, '"'), run + 1, lone
		}
		var r rune
		r, i = nextRune(text, run)
		lone = lone || utf16.IsSurrogate(r)
		dst = d.appendRune(dst, r)
	}
}

// appendPlain appends characters from U+0020 to U+007F. Of them only the last is
// escaped, and only in one dialect.
func (d Dialect) appendPlain(dst, run []byte) []byte {
	for d == Python {
		del := bytes.IndexByte(run, 0x7f)
		if del < 0 {
			break
		}
		dst = append(append(dst, run[:del]...), `\u007f`...)
		run = run[del+1:]
	}
	return append(dst, run...)
}

// appendQuoted appends s, which is valid UTF-8, as a canonical JSON string.
func (d Dialect) appendQuoted(dst []byte, s string) []byte {
	dst = append(slices.Grow(dst, len(s)+len(`""`)), '"')
	plain := 0 // most are plain to their end: hashes, version IDs, keys
	for plain < len(s) && ' ' <= s[plain] && s[plain] < 0x7f && s[plain] != '"' && s[plain] != '\\' {
		plain++
	}
	dst = append(dst, s[:plain]...)
	for _, r := range s[plain:] {
		dst = d.appendRune(dst, r)
	}
	return append(dst, '"')
}

// appendRune appends one character of a string in canonical form.
func (d Dialect) appendRune(dst []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(dst, '\\', byte(r))
	case ' ' <= r && r < 0x7f || r == 0x7f && d == TypeScript:
		return append(dst, byte(r))
	case r == '\n':
		return append(dst, `\n`...)
	case r == '\r':
		return append(dst, `\r`...)
	case r == '\t':
		return append(dst, `\t`...)
	case r == '\b':
		return append(dst, `\b`...)
	case r == '\f':
		return append(dst, `\f`...)
	case r > 0xffff:
		high, low := utf16.EncodeRune(r)
		return appendUnit(appendUnit(dst, high), low)
	default:
		return appendUnit(dst, r)
	}
}

func appendUnit(dst []byte, unit rune) []byte {
	return hex.AppendEncode(append(dst, `\u`...), []byte{byte(unit >> 8), byte(unit)})
}

// nextRune reads the character at text[i], inside a JSON string that the scanner has
// accepted, and returns the offset after it. Two escaped surrogates that make a pair are
// one character; a lone one is itself.
func nextRune(text []byte, i int) (rune, int) {
	unit, next := nextUnit(text, i)
	if utf16.IsSurrogate(unit) && next+6 <= len(text) && text[next] == '\\' && text[next+1] == 'u' {
		low, behind := nextUnit(text, next)
		if r := utf16.DecodeRune(unit, low); r != utf8.RuneError {
			return r, behind
		}
	}
	return unit, next
}

// nextUnit is nextRune for an escape alone, which is one UTF-16 code unit.
func nextUnit(text []byte, i int) (rune, int) {
	if text[i] != '\\' {
		r, size := utf8.DecodeRune(text[i:])
		return r, i + size
	}
	switch text[i+1] {
	case 'u':
		unit, _ := hex4(text[i+2:])
		return unit, i + 6
	case 'n':
		return '\n', i + 2
	case 'r':
		return '\r', i + 2
	case 't':
		return '\t', i + 2
	case 'b':
		return '\b', i + 2
	case 'f':
		return '\f', i + 2
	default:
		return rune(text[i+1]), i + 2
	}
}

// compareNames orders two member names, in canonical form without their quotes:
// in the Python dialect by code point, in the TypeScript dialect as JavaScript
// keeps the properties of an object that is filled in the order of sort(): array
// indices first, by number, then the others by UTF-16 code unit. In canonical
// form every escape of four digits is one code unit.
func (d Dialect) compareNames(a, b []byte) int {
	next := nextRune
	if d == TypeScript {
		next = nextUnit
		ai, aok := arrayIndex(a)
		bi, bok := arrayIndex(b)
		switch {
		case aok && bok:
			return cmp.Compare(ai, bi)
		case aok:
			return -1
		case bok:
			return +1
		}
	}
	if bytes.IndexByte(a, '\\') < 0 && bytes.IndexByte(b, '\\') < 0 {
		return bytes.Compare(a, b)
	}
	for i, j := 0, 0; i < len(a) && j < len(b); {
		var x, y rune
		x, i = next(a, i)
		y, j = next(b, j)
		if x != y {
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(len(a), len(b)) // one is a prefix of the other
}

// arrayIndex returns the number whose canonical form name is, if that is an array index
// (ECMA-262, 6.1.7): at most 2³²-2.
func arrayIndex(name []byte) (uint32, bool) {
	if len(name) == 0 || len(name) > len("4294967294") || !isDigit(name[0]) || name[0] == '0' && len(name) > 1 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(name), 10, 32)
	return uint32(n), err == nil && n < math.MaxUint32
}
