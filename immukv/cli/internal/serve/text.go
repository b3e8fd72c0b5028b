package serve

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/immukv/immukv-go/immukv/cli/internal/invisible"
)

// piece is a part of a text: literal text, or what stands for something else, such as a
// character that would be invisible, or look like another one.
type piece struct {
	Text   string `json:"text"`
	Escape string `json:"escape,omitempty"` // what it stands for, such as "U+202E"; empty for literal text
}

// maxTextBytes is how much a page has of a text that is no value: more than the name of an
// object may have, in any store. Documents are untrusted: a key in them may be of any length.
const maxTextBytes = 4 << 10

// visible splits a text at its invisible characters. The page has escapes in their place,
// so that no text can look like another one. A long text is cut, which looks like an escape.
func visible(text string) []piece { return split(text, maxTextBytes, invisible.Is) }

// visibleLines does the same for a value. It keeps line breaks and tabs.
func visibleLines(text string) []piece {
	return split(text, maxShownBytes, func(r rune) bool { return r != '\n' && r != '\t' && invisible.Is(r) })
}

func split(text string, limit int, escape func(rune) bool) []piece {
	text, omitted := cut(text, limit)
	var pieces []piece
	start := 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			pieces = append(keep(pieces, text[start:i]), piece{Text: fmt.Sprintf(`\x%02x`, text[i]), Escape: "not UTF-8"})
			start = i + size
		case escape(r):
			pieces = append(keep(pieces, text[start:i]), piece{Text: invisible.Escape(r), Escape: fmt.Sprintf("%U", r)})
			start = i + size
		}
		i += size
	}
	pieces = keep(pieces, text[start:])
	if omitted > 0 {
		pieces = append(pieces, piece{Text: "…", Escape: formatBytes(omitted) + " more"})
	}
	return pieces
}

func keep(pieces []piece, text string) []piece {
	if text == "" {
		return pieces
	}
	return append(pieces, piece{Text: text})
}

// cut returns the beginning of a text, of at most limit bytes and of whole characters, and
// the number of omitted bytes. The result does not keep the text in memory.
func cut(text string, limit int) (string, int) {
	if len(text) <= limit {
		return text, 0
	}
	end := limit
	for end > 0 && end > limit-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.Clone(text[:end]), len(text) - end
}

// beginning returns what [cut] does, and whether anything was omitted.
func beginning(text string, limit int) (string, bool) {
	text, omitted := cut(text, limit)
	return text, omitted > 0
}

// readable replaces the escapes \uXXXX in JSON by their characters, except those with a
// meaning in JSON: clients of one dialect write escapes where those of the other write
// characters. Controls and lone surrogates remain.
func readable(text string) string {
	if !strings.Contains(text, `\u`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		if text[i] != '\\' {
			b.WriteByte(text[i])
			i++
			continue
		}
		r, size := escaped(text[i:])
		if size == 0 || unicode.IsControl(r) || r == '"' || r == '\\' {
			size = min(max(size, 2), len(text)-i) // the escape itself
			b.WriteString(text[i : i+size])
		} else {
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// escaped returns the character of the escape \uXXXX, or of the two of a surrogate pair,
// at the beginning of a text, and the length of the escape; 0 if there is none.
func escaped(text string) (rune, int) {
	high, ok := unit(text)
	switch {
	case !ok:
		return 0, 0
	case !utf16.IsSurrogate(high):
		return high, 6
	}
	if low, ok := unit(text[6:]); ok {
		if r := utf16.DecodeRune(high, low); r != unicode.ReplacementChar {
			return r, 12
		}
	}
	return 0, 0
}

func unit(text string) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(text[2:6], 16, 16)
	return rune(n), err == nil
}
