package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxDiffBytes   = 2 << 20 // of a value that is compared
	maxChanges     = 100     // that are shown
	maxChangeBytes = 2 << 10 // of one side of a change
	maxPairs       = 1 << 18 // of elements of two arrays that are compared each with each
)

// change is one difference between two values at a path. A side without a value there is
// empty.
type change struct {
	Kind     string // "added", "removed" or "changed"
	Path     string
	Old, New string
	// Numbers of omitted bytes.
	OldCut, NewCut int
}

var errTooLarge = errors.New("too large to compare")

// diff returns the differences between two values. Members of objects are compared by
// name, and elements of arrays in an order with few differences. The error says why the
// two cannot be compared.
func diff(before, after []byte) (changes []change, more int, err error) {
	if len(before) > maxDiffBytes || len(after) > maxDiffBytes {
		return nil, 0, errTooLarge
	}
	a, err := parse(before)
	if err != nil {
		return nil, 0, err
	}
	b, err := parse(after)
	if err != nil {
		return nil, 0, err
	}
	var d differ
	d.compare("", a, b)
	return d.changes, d.more, nil
}

// parse parses JSON. Numbers keep their text.
func parse(text []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

type differ struct {
	changes []change
	more    int // that were left out
}

func (d *differ) add(kind, path string, before, after *any) {
	if len(d.changes) == maxChanges {
		d.more++
		return
	}
	c := change{Kind: kind, Path: path}
	var from, to string
	if before != nil {
		from = format(*before)
	}
	if after != nil {
		to = format(*after)
	}
	if before != nil && after != nil {
		from, to = around(from, to)
	}
	c.Old, c.OldCut = cut(from, maxChangeBytes)
	c.New, c.NewCut = cut(to, maxChangeBytes)
	d.changes = append(d.changes, c)
}

func (d *differ) compare(path string, before, after any) {
	switch a := before.(type) {
	case map[string]any:
		if b, ok := after.(map[string]any); ok {
			d.objects(path, a, b)
			return
		}
	case []any:
		if b, ok := after.([]any); ok {
			d.arrays(path, a, b)
			return
		}
	default:
		if before == after {
			return
		}
	}
	d.add("changed", path, &before, &after)
}

func (d *differ) objects(path string, before, after map[string]any) {
	names := slices.Sorted(maps.Keys(before))
	for name := range after {
		if _, both := before[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		a, inBefore := before[name]
		b, inAfter := after[name]
		at := path + member(path, name)
		switch {
		case !inAfter:
			d.add("removed", at, &a, nil)
		case !inBefore:
			d.add("added", at, nil, &b)
		default:
			d.compare(at, a, b)
		}
	}
}

// arrays keeps as many elements as it can in place. Between those, it compares elements
// in their order.
func (d *differ) arrays(path string, before, after []any) {
	i, j := 0, 0
	for _, m := range append(common(before, after), match{len(before), len(after)}) {
		for ; i < m.before && j < m.after; i, j = i+1, j+1 {
			d.compare(path+index(j), before[i], after[j])
		}
		for ; i < m.before; i++ {
			d.add("removed", path+index(i), &before[i], nil)
		}
		for ; j < m.after; j++ {
			d.add("added", path+index(j), nil, &after[j])
		}
		i, j = m.before+1, m.after+1
	}
}

// match is an element that two arrays have in common.
type match struct{ before, after int }

// common returns a longest common subsequence of two arrays. For arrays that are too long
// for that, it returns their equal beginnings and ends.
func common(before, after []any) []match {
	a, b := texts(before), texts(after)
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
	if rows > 0 && columns > 0 && rows <= maxPairs/columns {
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

func texts(values []any) []string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = string(compact(v))
	}
	return all
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

func format(v any) string { return pretty(compact(v)) }

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

// member returns the name of an object's member as a path has it.
func member(path, name string) string {
	if !isIdentifier(name) {
		return "[" + string(compact(name)) + "]"
	}
	if path == "" {
		return name
	}
	return "." + name
}

func isIdentifier(name string) bool {
	for i, r := range name {
		if r != '_' && r != '-' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return false
		}
	}
	return name != ""
}

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }
