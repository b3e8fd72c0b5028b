// Package invisible is the rule by which the command and its pages escape characters in
// keys, values and other text of a store: those that nobody would see, that look like
// others, that break a line or control a terminal.
package invisible

import (
	"strconv"
	"strings"
	"unicode"
)

// Is reports whether a character would be invisible, or look like another one: controls,
// marks that change the direction of text, spaces of other widths or of none.
func Is(r rune) bool {
	const blank = '\u2800' // the Braille pattern without a dot
	return !unicode.IsGraphic(r) || unicode.Is(unicode.Zs, r) && r != ' ' || r == blank ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Escape returns the escape of such a character, as Go writes it.
func Escape(r rune) string { return strings.Trim(strconv.QuoteRuneToASCII(r), "'") }
