package wire

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"
)

// maxDepth is how deep arrays and objects may nest in a text that is read. It is
// encoding/json's limit. It bounds the stack, and is far beyond what the Python client
// can write (its interpreter stops below 1,000).
const maxDepth = 10_000

// textError says why a text is not the expected JSON, and where. It never contains the
// text, which may be confidential.
type textError struct {
	problem string
	offset  int // in bytes
}

func (e *textError) Error() string { return fmt.Sprintf("%s at byte %d", e.problem, e.offset) }

// A scanner reads JSON text (RFC 8259) in one pass and finds where values end. It accepts
// lone surrogates, repeated member names and numbers beyond the range of a double: they
// are JSON.
//
// Every method takes the offset at which its token begins and returns the one
// after it, or -1 with problem and offset set.
type scanner struct {
	text    []byte
	python  bool // accepts NaN, Infinity and -Infinity: Python's json writes them
	depth   int
	odd     bool // set by a string that is not plain: see skipPlain
	problem string
	offset  int
}

// scan checks that text is one JSON value, surrounded at most by white space. If python
// is set, it accepts the literals that only Python's json writes.
func scan(text []byte, python bool) *textError {
	s := scanner{text: text, python: python}
	i := s.value(0)
	if i >= 0 {
		if i = s.space(i); i < len(text) {
			i = s.fail(i, "data after the end")
		}
	}
	if i < 0 {
		return s.err()
	}
	return nil
}

func (s *scanner) err() *textError { return &textError{problem: s.problem, offset: s.offset} }

func (s *scanner) fail(i int, problem string) int {
	s.problem, s.offset = problem, i
	return -1
}

// unexpected fails because the text does not continue with what, or ends.
func (s *scanner) unexpected(i int, what string) int {
	if i >= len(s.text) {
		return s.fail(i, "text ends early")
	}
	return s.fail(i, what+" expected")
}

// at returns the byte at i, and 0, which begins no token, past the end.
func (s *scanner) at(i int) byte {
	if i < len(s.text) {
		return s.text[i]
	}
	return 0
}

// skip skips white space, which canonical text does not have, and returns the byte after
// it, too.
func (s *scanner) skip(i int) (int, byte) {
	if i < len(s.text) && s.text[i] > ' ' {
		return i, s.text[i]
	}
	i = s.space(i)
	return i, s.at(i)
}

func (s *scanner) space(i int) int {
	for i < len(s.text) && isSpace(s.text[i]) {
		i++
	}
	return i
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// value skips a value and the white space before it.
func (s *scanner) value(i int) int {
	i, c := s.skip(i)
	switch c {
	case '"':
		return s.str(i)
	case '{':
		return s.object(i)
	case '[':
		return s.array(i)
	case 't':
		return s.literal(i, "true")
	case 'f':
		return s.literal(i, "false")
	case 'n':
		return s.literal(i, "null")
	}
	switch {
	case s.python && c == 'N':
		return s.literal(i, nan)
	case s.python && c == 'I':
		return s.literal(i, infinity)
	case s.python && c == '-' && s.at(i+1) == infinity[0]:
		return s.literal(i+1, infinity)
	case c == '-' || isDigit(c):
		return s.number(i)
	}
	return s.unexpected(i, "value")
}

// The literals that Python's json writes for floats that JSON has no number for.
const nan, infinity = "NaN", "Infinity"

func (s *scanner) literal(i int, word string) int {
	if end := i + len(word); end <= len(s.text) && string(s.text[i:end]) == word {
		return end
	}
	return s.fail(i, "value expected")
}

func (s *scanner) object(i int) int {
	if !s.enter() {
		return s.fail(i, "nesting too deep")
	}
	i, c := s.skip(i + 1)
	if c == '}' {
		s.depth--
		return i + 1
	}
	for {
		if c != '"' {
			return s.unexpected(i, "member name")
		}
		if i = s.str(i); i < 0 {
			return -1
		}
		if i, c = s.skip(i); c != ':' {
			return s.unexpected(i, "colon")
		}
		if i = s.value(i + 1); i < 0 {
			return -1
		}
		switch i, c = s.skip(i); c {
		case ',':
			i, c = s.skip(i + 1)
		case '}':
			s.depth--
			return i + 1
		default:
			return s.unexpected(i, "comma or closing brace")
		}
	}
}

func (s *scanner) array(i int) int {
	if !s.enter() {
		return s.fail(i, "nesting too deep")
	}
	i, c := s.skip(i + 1)
	if c == ']' {
		s.depth--
		return i + 1
	}
	for {
		if i = s.value(i); i < 0 {
			return -1
		}
		switch i, c = s.skip(i); c {
		case ',':
			i++
		case ']':
			s.depth--
			return i + 1
		default:
			return s.unexpected(i, "comma or closing bracket")
		}
	}
}

func (s *scanner) enter() bool {
	s.depth++
	return s.depth <= maxDepth
}

func (s *scanner) number(i int) int {
	if s.text[i] == '-' {
		i++
	}
	first := i
	if i = s.digits(i); i < 0 {
		return -1
	}
	if s.text[first] == '0' && i > first+1 {
		return s.fail(first+1, "number with a leading zero")
	}
	if s.at(i) == '.' {
		if i = s.digits(i + 1); i < 0 {
			return -1
		}
	}
	if c := s.at(i); c == 'e' || c == 'E' {
		i++
		if c := s.at(i); c == '+' || c == '-' {
			i++
		}
		return s.digits(i)
	}
	return i
}

// digits skips one or more digits.
func (s *scanner) digits(i int) int {
	if !isDigit(s.at(i)) {
		return s.unexpected(i, "digit")
	}
	for i++; i < len(s.text) && isDigit(s.text[i]); i++ {
	}
	return i
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// str skips a string, both quotes included.
func (s *scanner) str(i int) int {
	text := s.text
	i++
	for {
		i = skipPlain(text, i)
		if i >= len(text) {
			return s.fail(i, "text ends early")
		}
		switch c := text[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			s.odd = true
			if i = s.escape(i); i < 0 {
				return -1
			}
		case c < ' ':
			return s.fail(i, "control character in a string")
		default:
			s.odd = true
			r, size := utf8.DecodeRune(text[i:])
			if r == utf8.RuneError && size == 1 {
				return s.fail(i, "invalid UTF-8")
			}
			i += size
		}
	}
}

func (s *scanner) escape(i int) int {
	switch s.at(i + 1) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		if i+6 > len(s.text) {
			return s.fail(len(s.text), "text ends early")
		}
		if _, ok := hex4(s.text[i+2:]); ok {
			return i + 6
		}
	}
	return s.fail(i, "invalid escape in a string")
}

// hex4 reads four hexadecimal digits at the beginning of s, which must be at least that
// long.
func hex4(s []byte) (unit rune, ok bool) {
	for _, c := range s[:4] {
		switch {
		case isDigit(c):
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		unit = unit<<4 | rune(c)
	}
	return unit, true
}

const (
	everyByte = 0x0101010101010101
	highBits  = 0x80 * everyByte
)

// plainStop has the high bit set of the first byte of w, counted from the lowest,
// that ends a run of plain string content: a quote, a backslash, a control
// character or a byte that is not ASCII. It is 0 if there is none.
//
// Subtracting n from every byte sets the high bit of those below n, and leaves
// that of those from 0x80+n on; a borrow can set it wrongly only above a byte
// that has it rightly. Flipping bit 1 leaves the control characters below U+0020
// and brings the quote to U+0020. Between them the two terms have every byte that
// is not ASCII.
func plainStop(w uint64) uint64 {
	return ((w ^ 0x02*everyByte - 0x21*everyByte) | (w ^ '\\'*everyByte - everyByte)) & highBits
}

// skipPlain returns the offset of the first byte from i on that ends a run of plain
// string content, or the length of the text.
func skipPlain(text []byte, i int) int {
	for ; i+8 <= len(text); i += 8 {
		if stop := plainStop(binary.LittleEndian.Uint64(text[i:])); stop != 0 {
			return i + bits.TrailingZeros64(stop)/8
		}
	}
	for ; i < len(text); i++ {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			break
		}
	}
	return i
}
