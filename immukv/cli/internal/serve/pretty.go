package serve

import (
	"bytes"
	"encoding/json"
	"strings"
)

const (
	lineWidth = 76 // length of a line, unless it cannot be broken
	maxIndent = 24 // number of indented levels; deeper ones are on one line
)

// pretty formats a value for people: short arrays and objects on one line, others
// indented, and characters in place of the escapes that canonical JSON has for them.
// Numbers keep all their digits, and members their order. A text that is not JSON is not
// changed. Once the result exceeds the limit in bytes, no elements and members follow:
// indented, a value may be many times as long.
func pretty(value []byte, limit int) string {
	var b bytes.Buffer
	if json.Compact(&b, value) != nil {
		return string(value)
	}
	p := prettyPrinter{text: readable(b.String()), limit: limit}
	p.findEnds()
	p.value(0, 0)
	return p.out.String()
}

// prettyPrinter writes compact JSON with line breaks.
type prettyPrinter struct {
	text  string
	ends  map[int]int // the end of the array or object that begins at a place
	limit int
	out   strings.Builder
}

func (p *prettyPrinter) findEnds() {
	p.ends = make(map[int]int)
	var open []int
	for i := 0; i < len(p.text); i++ {
		switch p.text[i] {
		case '"':
			i = stringEnd(p.text, i) - 1
		case '[', '{':
			open = append(open, i)
		case ']', '}':
			p.ends[open[len(open)-1]] = i + 1
			open = open[:len(open)-1]
		}
	}
}

// stringEnd returns the end of the string that begins at i.
func stringEnd(text string, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// end returns the end of the value that begins at i.
func (p *prettyPrinter) end(i int) int {
	switch p.text[i] {
	case '"':
		return stringEnd(p.text, i)
	case '[', '{':
		return p.ends[i]
	}
	if n := strings.IndexAny(p.text[i:], ",]}"); n >= 0 {
		return i + n
	}
	return len(p.text)
}

// value writes the value that begins at i, at a level, and returns its end.
func (p *prettyPrinter) value(i, level int) int {
	end := p.end(i)
	kind := p.text[i]
	if kind != '[' && kind != '{' || end-i <= lineWidth-2*level || level >= maxIndent || end == i+2 {
		p.line(i, end)
		return end
	}
	p.out.WriteByte(kind)
	for i++; i < end-1; i++ { // skip the comma
		if p.out.Len() > p.limit {
			return end
		}
		p.indent(level + 1)
		if kind == '{' {
			name := stringEnd(p.text, i)
			p.out.WriteString(p.text[i:name] + ": ")
			i = name + 1
		}
		if i = p.value(i, level+1); p.text[i] == ',' {
			p.out.WriteByte(',')
		}
	}
	p.indent(level)
	p.out.WriteByte(p.text[end-1])
	return end
}

func (p *prettyPrinter) indent(level int) {
	p.out.WriteByte('\n')
	p.out.WriteString(strings.Repeat("  ", level))
}

// line writes a part of the text on one line, with spaces where people set them.
func (p *prettyPrinter) line(i, end int) {
	for i < end {
		next := i + 1
		if p.text[i] == '"' {
			next = stringEnd(p.text, i)
		}
		p.out.WriteString(p.text[i:next])
		if c := p.text[i]; c == ',' || c == ':' {
			p.out.WriteByte(' ')
		}
		i = next
	}
}
