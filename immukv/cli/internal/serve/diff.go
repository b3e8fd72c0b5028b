package serve

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/immukv/immukv-go/immukv"
)

const (
	maxDiffBytes   = 2 << 20  // of a value that is compared
	maxChanges     = 100      // that are shown
	maxChangeBytes = 2 << 10  // of one side of a change, and of its path
	maxShownDiff   = 32 << 10 // bytes of changes, after which no more are shown
	maxPairs       = 1 << 18  // of elements of two arrays that are compared each with each

	// Beyond these limits, values are compared as wholes.
	maxDiffWork  = 1 << 24 // bytes that are taken apart, and pairs of elements
	maxDiffDepth = 64      // levels that are taken apart
	maxDiffParts = 1 << 17 // elements or members of a value that is taken apart
)

// change is one difference between two values at a path. A side without a value there is
// empty.
type change struct {
	Kind     string // "added", "removed" or "changed"
	Path     string
	Old, New string
	// Whether their ends were omitted.
	PathCut, OldCut, NewCut bool
}

var (
	errTooLarge = errors.New("too large to compare")
	errNoTime   = errors.New("the time for the page is over")
)

// diff returns the differences between two values. Members of objects are compared by
// name, and elements of arrays in an order with few differences. The error says why the
// two cannot be compared. Values are untrusted: the work and the result are bounded.
func diff(ctx context.Context, before, after []byte) (changes []change, more int, err error) {
	d := differ{ctx: ctx}
	err = d.diff(before, after)
	return d.changes, d.more, err
}

// differ compares texts in canonical form. In this form equal values have equal texts, and
// a part of a value is a part of its text.
type differ struct {
	ctx     context.Context
	changes []change
	more    int // that were left out
	shown   int // bytes of changes
	work    int
}

func (d *differ) diff(before, after []byte) error {
	if len(before) > maxDiffBytes || len(after) > maxDiffBytes {
		return errTooLarge
	}
	a, err := immukv.Python.Canonical(before) // which keeps all digits of integers
	if err != nil {
		return err
	}
	b, err := immukv.Python.Canonical(after)
	if err != nil {
		return err
	}
	if d.compare(&place{}, string(a), string(b)); d.ctx.Err() != nil {
		return errNoTime
	}
	return nil
}

// place is a place in a value.
type place struct {
	parent *place // nil for the value itself
	name   string // of a member
	index  int    // of an element, or -1
	depth  int
}

func (p *place) member(name string) *place { return &place{p, name, -1, p.depth + 1} }
func (p *place) element(i int) *place      { return &place{p, "", i, p.depth + 1} }

// path returns a place as people write it, and whether its end was omitted.
func (p *place) path() (string, bool) {
	var steps []*place
	for ; p.parent != nil; p = p.parent {
		steps = append(steps, p)
	}
	var b strings.Builder
	omitted := false
	for _, step := range slices.Backward(steps) {
		name, more := beginning(step.name, maxChangeBytes)
		omitted = omitted || more
		switch {
		case step.index >= 0:
			b.WriteString("[" + strconv.Itoa(step.index) + "]")
		case !isIdentifier(name):
			b.WriteString("[" + string(compact(name)) + "]")
		case b.Len() > 0:
			b.WriteString("." + name)
		default:
			b.WriteString(name)
		}
	}
	text, more := beginning(b.String(), maxChangeBytes)
	return text, omitted || more
}

func (d *differ) add(kind string, at *place, before, after string) {
	if len(d.changes) == maxChanges || d.shown > maxShownDiff {
		d.more++
		return
	}
	before, after = format(before), format(after)
	if kind == "changed" {
		before, after = around(before, after)
	}
	c := change{Kind: kind}
	c.Path, c.PathCut = at.path()
	c.Old, c.OldCut = beginning(before, maxChangeBytes)
	c.New, c.NewCut = beginning(after, maxChangeBytes)
	d.changes = append(d.changes, c)
	d.shown += len(c.Path) + len(c.Old) + len(c.New)
}

// affords counts work before it is done. It returns false if there would be too much, or
// the time is over.
func (d *differ) affords(work int) bool {
	if d.work+work > maxDiffWork || d.ctx.Err() != nil {
		return false
	}
	d.work += work
	return true
}

func (d *differ) compare(at *place, before, after string) {
	if before == after {
		return
	}
	a, b := d.split(at, before, after)
	switch {
	case a == nil || b == nil:
		d.add("changed", at, before, after)
	case before[0] == '{':
		d.objects(at, members(a), members(b))
	default:
		d.arrays(at, a, b)
	}
}

// split takes two arrays or two objects apart. It returns nil for anything else, and if
// that would cost too much.
func (d *differ) split(at *place, before, after string) (a, b []string) {
	kind := before[0]
	if kind != after[0] || kind != '[' && kind != '{' || at.depth == maxDiffDepth || !d.affords(len(before)+len(after)) {
		return nil, nil
	}
	return parts(before), parts(after)
}

func (d *differ) objects(at *place, before, after []member) {
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(after) == 0 || len(before) > 0 && before[0].name < after[0].name:
			d.add("removed", at.member(before[0].name), before[0].value, "")
			before = before[1:]
		case len(before) == 0 || after[0].name < before[0].name:
			d.add("added", at.member(after[0].name), "", after[0].value)
			after = after[1:]
		default:
			d.compare(at.member(before[0].name), before[0].value, after[0].value)
			before, after = before[1:], after[1:]
		}
	}
}

// arrays keeps as many elements as it can in place. Between those, it compares elements
// in their order.
func (d *differ) arrays(at *place, before, after []string) {
	i, j := 0, 0
	for _, m := range append(d.common(before, after), match{len(before), len(after)}) {
		for ; i < m.before && j < m.after; i, j = i+1, j+1 {
			d.compare(at.element(j), before[i], after[j])
		}
		for ; i < m.before; i++ {
			d.add("removed", at.element(i), before[i], "")
		}
		for ; j < m.after; j++ {
			d.add("added", at.element(j), "", after[j])
		}
		i, j = m.before+1, m.after+1
	}
}

// parts returns the elements of an array, or the members of an object, in compact JSON. It
// returns nil if they are too many.
func parts(text string) []string {
	all := make([]string, 0, 8)
	start, depth := 1, 0
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = stringEnd(text, i) - 1
			continue
		case '[', '{':
			depth++
			continue
		case ']', '}':
			depth--
		}
		if last := i == len(text)-1; last && i > start || depth == 0 && text[i] == ',' {
			if len(all) == maxDiffParts {
				return nil
			}
			all = append(all, text[start:i])
			start = i + 1
		}
	}
	return all
}

// member is a member of an object.
type member struct{ name, value string }

// members reads members, and sorts them by name.
func members(parts []string) []member {
	all := make([]member, len(parts))
	for i, part := range parts {
		end := stringEnd(part, 0)
		name := part[1 : end-1]
		if strings.Contains(name, `\`) {
			_ = json.Unmarshal([]byte(part[:end]), &name) // it is a string
		}
		all[i] = member{name, part[end+1:]}
	}
	slices.SortFunc(all, func(a, b member) int { return cmp.Compare(a.name, b.name) })
	return all
}

// match is an element that two arrays have in common.
type match struct{ before, after int }

// common returns a longest common subsequence of two arrays. For arrays that are too long
// for that, it returns their equal beginnings and ends.
func (d *differ) common(a, b []string) []match {
	var head, tail []match
	for len(head) < min(len(a), len(b)) && a[len(head)] == b[len(head)] {
		head = append(head, match{len(head), len(head)})
	}
	n := len(head)
	for len(tail) < min(len(a), len(b))-n && a[len(a)-1-len(tail)] == b[len(b)-1-len(tail)] {
		tail = append(tail, match{len(a) - 1 - len(tail), len(b) - 1 - len(tail)})
	}
	slices.Reverse(tail)
	rows, columns := len(a)-n-len(tail), len(b)-n-len(tail)
	if rows > 0 && columns > 0 && rows <= maxPairs/columns && d.affords(rows*columns) {
		head = append(head, longest(a[n:n+rows], b[n:n+columns], n)...)
	}
	return append(head, tail...)
}

// longest returns a longest common subsequence, with its places counted from offset.
func longest(a, b []string, offset int) []match {
	lengths := make([][]int32, len(a)+1) // of the longest common subsequence of the ends from i and j on
	for i := range lengths {
		lengths[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				lengths[i][j] = lengths[i+1][j+1] + 1
			} else {
				lengths[i][j] = max(lengths[i+1][j], lengths[i][j+1])
			}
		}
	}
	var matches []match
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			matches = append(matches, match{offset + i, offset + j})
			i, j = i+1, j+1
		case lengths[i+1][j] >= lengths[i][j+1]:
			i++
		default:
			j++
		}
	}
	return matches
}

func compact(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return []byte(err.Error()) // what was decoded can be encoded
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// format returns a value as people read it: at least as much of it as is shown, except
// that a long string is whole, for [around].
func format(text string) string {
	if len(text) > maxPrettyBytes && text[0] != '"' {
		return text
	}
	return pretty([]byte(text), maxChangeBytes)
}

// shared is how much common text is kept before and after the place where two texts
// differ.
const shared = 40

// around omits most of the common beginning and end of two long texts.
func around(a, b string) (string, string) {
	if max(len(a), len(b)) <= 4*shared || strings.Contains(a, "\n") || strings.Contains(b, "\n") {
		return a, b
	}
	head := 0
	for head < min(len(a), len(b)) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < min(len(a), len(b))-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	return middle(a, head, tail), middle(b, head, tail)
}

func middle(text string, head, tail int) string {
	start, end := max(0, head-shared), min(len(text), len(text)-tail+shared)
	for start > 0 && !utf8.RuneStart(text[start]) {
		start--
	}
	for end < len(text) && !utf8.RuneStart(text[end]) {
		end++
	}
	before, after := "", ""
	if start > 0 {
		before = "…"
	}
	if end < len(text) {
		after = "…"
	}
	return before + text[start:end] + after
}

func isIdentifier(name string) bool {
	for i, r := range name {
		if r != '_' && r != '-' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return false
		}
	}
	return name != ""
}
