package blobstore

import (
	"encoding/hex"
	"strings"

	"github.com/immukv/immukv-go/backend"
)

// The name of an object becomes a path, below which its versions are stored. The paths of
// a store do not depend on its location: a directory that was copied into a bucket is the
// same store. So a path
//
//   - is made of '-', '.', ',', '=', '~', digits and lower-case letters, and the
//     two marks below: nothing that a file system folds, normalises or
//     reserves, and no part of it is "." or "..";
//   - has parts short enough for any file system;
//   - compares with the paths of other names, byte by byte, as the names do.
//     Buckets list in the order of keys, and names are to be listed in order
//     without sorting all of them.
//
// '-', digits and lower-case letters represent themselves. The other bytes are split into
// ranges between them, in the order of bytes. Each range has its own escape, whose place
// in the order is that of the range. Such a byte is written as the escape and two
// hexadecimal digits.
//
// Every path ends with the mark final, which sorts before all of these. Without it, "a/",
// the directory of a, would sort after "a-/".

const (
	escapeLow   = ',' // 0x00 to ','
	escapeDot   = '.' // '.' and '/'
	escapeUpper = '=' // ':' to '`'
	escapeHigh  = '~' // '{' to 0xff

	final     = '!' // ends the last part of a path
	continued = '+' // ends each part before it, of partBytes
)

// partBytes is the length of the parts, without their mark, into which a long path is
// cut. File systems that encrypt names allow 143 bytes, others 255.
const partBytes = 128

// encode returns the text that is cut into a path, for a name or the beginning of one.
func encode(name string) string {
	var b strings.Builder
	b.Grow(len(name) + len(name)/2)
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z':
			b.WriteByte(c)
			continue
		case c < '-':
			b.WriteByte(escapeLow)
		case c < '0':
			b.WriteByte(escapeDot)
		case c < 'a':
			b.WriteByte(escapeUpper)
		default:
			b.WriteByte(escapeHigh)
		}
		const digits = "0123456789abcdef"
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&0xf])
	}
	return b.String()
}

// decode is the inverse of encode. It reports false for any other text.
func decode(text string) (name string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch c {
		case escapeLow, escapeDot, escapeUpper, escapeHigh:
			var raw [1]byte
			if len(text)-i < 3 {
				return "", false
			}
			if _, err := hex.Decode(raw[:], []byte(text[i+1:i+3])); err != nil {
				return "", false
			}
			c = raw[0]
			i += 2
		}
		b.WriteByte(c)
	}
	name = b.String()
	return name, encode(name) == text
}

// pathOf returns the path of the object of that name, as parts.
func pathOf(name string) []string {
	path, rest := cut(encode(name))
	return append(path, rest+string(final))
}

// cut returns the parts of a path that continues with rest.
func cut(text string) (parts []string, rest string) {
	for len(text) > partBytes {
		parts = append(parts, text[:partBytes]+string(continued))
		text = text[partBytes:]
	}
	return parts, text
}

// nameOf is the inverse of pathOf. It reports false for any other path.
func nameOf(path []string) (name string, ok bool) {
	var text strings.Builder
	for i, part := range path {
		if !isPart(part) || isFinal(part) != (i == len(path)-1) {
			return "", false
		}
		text.WriteString(part[:len(part)-1])
	}
	name, ok = decode(text.String())
	return name, ok && backend.CheckName(name) == nil
}

// isPart reports whether s can be a part of a path. Other names were made by other
// programs.
func isPart(s string) bool {
	if len(s) < 2 || len(s) > partBytes+1 {
		return false
	}
	for i := range len(s) - 1 {
		switch c := s[i]; {
		case c == '-', '0' <= c && c <= '9', 'a' <= c && c <= 'z':
		case c == escapeLow, c == escapeDot, c == escapeUpper, c == escapeHigh:
		default:
			return false
		}
	}
	return isFinal(s) || s[len(s)-1] == continued && len(s) == partBytes+1
}

func isFinal(part string) bool { return part[len(part)-1] == final }
