package serve

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// piece is a part of a text: as it stands, or the escape of a character that would not be
// seen, or would be seen as another.
type piece struct {
	Text   string `json:"text"`
	Escape string `json:"escape,omitempty"` // the code point, such as "U+202E"; empty for a text as it stands
}

// visible splits a text at its characters that are not visible: controls, marks that
// change the direction of text, spaces of other widths or of none. The page shows these as
// their escapes, so that no text can look like another one.
func visible(text string) []piece { return split(text, invisible) }

// visibleLines does the same, and leaves line breaks and tabs as they are.
func visibleLines(text string) []piece {
	return split(text, func(r rune) bool { return r != '\n' && r != '\t' && invisible(r) })
}

func invisible(r rune) bool {
	const blank = '\u2800' // the Braille pattern without a dot
	return !unicode.IsGraphic(r) || unicode.Is(unicode.Zs, r) && r != ' ' || r == blank ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

func split(text string, escape func(rune) bool) []piece {
	var pieces []piece
	start := 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			pieces = append(keep(pieces, text[start:i]), piece{Text: fmt.Sprintf(`\x%02x`, text[i]), Escape: "not UTF-8"})
			start = i + size
		case escape(r):
			pieces = append(keep(pieces, text[start:i]), piece{Text: strings.Trim(strconv.QuoteRuneToASCII(r), "'"), Escape: fmt.Sprintf("%U", r)})
			start = i + size
		}
		i += size
	}
	return keep(pieces, text[start:])
}

func keep(pieces []piece, text string) []piece {
	if text == "" {
		return pieces
	}
	return append(pieces, piece{Text: text})
}

// cut is the beginning of a text, of at most so many bytes and of whole characters, and
// how many bytes were left out.
func cut(text string, limit int) (string, int) {
	if len(text) <= limit {
		return text, 0
	}
	end := limit
	for end > 0 && end > limit-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end], len(text) - end
}

// readable replaces the escapes \uXXXX in JSON by the characters that they stand for,
// where those mean nothing else in JSON: clients of one dialect write escapes where those
// of the other write characters. Controls and half a surrogate pair stay.
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
			size = min(max(size, 2), len(text)-i) // the escape as it stands
			b.WriteString(text[i : i+size])
		} else {
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// escaped is the character of the escape \uXXXX, or of the two of a surrogate pair, with
// which a text begins, and the length of that; 0 if it begins with none.
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
