package s3store

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/immukv/immukv-go/backend"
)

// The longest part of a path, in bytes: what file systems hold, and what
// VersityGW does, which makes longer objects but cannot overwrite them, because
// it adds to the name when it does.
const (
	maxSegment          = 255
	maxSegmentVersityGW = 227
)

// AnyName implements [backend.StrictStore]. The store that it returns shares the
// client of this one.
func (s *Store) AnyName() backend.VersionedStore {
	lenient := *s
	lenient.anyName, lenient.release = true, nil
	return &lenient
}

// CheckNewName implements [backend.StrictStore]. On servers other than AWS's it
// refuses every name that is not a clean path; the package's documentation says which
// these are.
func (s *Store) CheckNewName(name string) error {
	if err := s.checkName(name); err != nil {
		return err
	}
	return s.checkNew(name)
}

// checkName returns an error that is [backend.ErrInvalidName] unless the server holds
// an object of that name under that very name and, except for AnyName, lists it.
func (s *Store) checkName(name string) error {
	if err := backend.CheckName(name); err != nil {
		return err
	}
	if !s.paths {
		return nil
	}
	problem := mistakenPath(name)
	if problem == "" && !s.anyName {
		problem = unlistedPath(name, s.maxSegment)
	}
	if problem != "" {
		return fmt.Errorf("%w: %s, which servers other than AWS may take for another name or not list", backend.ErrInvalidName, problem)
	}
	return nil
}

// document is how the names of the protocol's objects end.
const document = ".json"

// checkNew returns an error that is [backend.ErrInvalidName] for a name that the
// server may refuse to give to a new object, because of others that may be
// there. It is asked when an object is looked for in vain, too: a writer looks for an
// object before it makes it, and is to learn of the refusal then.
func (s *Store) checkNew(name string) error {
	if s.paths && !s.anyName && strings.Contains(name, document+"/") {
		return fmt.Errorf("%w: a part of it before the last ends in %s, as if it lay below another object, which servers other than AWS may refuse or not list",
			backend.ErrInvalidName, document)
	}
	return nil
}

// mistakenPath says why a server that keeps names as paths may take a name for
// another, or is empty. What is said of servers was seen of them by the tests of this
// package.
func mistakenPath(name string) string {
	for i, segment := range strings.Split(name, "/") {
		switch {
		case segment == "":
			// MinIO stores "/a" as "a"; VersityGW "a//b" as "a/b".
			return "it begins or ends with a slash or has two in a row"
		case cleanedAway(segment):
			// VersityGW stores "a/../b" as "b"; MinIO refuses it.
			return fmt.Sprintf("it has the segment %q", segment)
		case i == 0 && (segment == ".sgwtmp" || segment == ".vgwlocks"):
			return fmt.Sprintf("it lies in %s, which VersityGW keeps for itself", segment)
		}
	}
	if strings.HasSuffix(name, "__XLDIR__") {
		return "it ends in __XLDIR__, which MinIO lists as a slash"
	}
	return ""
}

// unlistedPath says why such a server may hold a name and not list it, or not let it be
// written again, or is empty.
func unlistedPath(name string, maxSegment int) string {
	for segment := range strings.SplitSeq(name, "/") {
		if len(segment) > maxSegment {
			return fmt.Sprintf("it has a segment of more than %d bytes", maxSegment)
		}
	}
	for _, r := range name {
		if !inXML(r) {
			// VersityGW lists names as they are, and XML cannot carry these.
			return fmt.Sprintf("it has the character %U", r)
		}
	}
	return ""
}

// cleanedAway tells whether a segment means a directory of another name. MinIO
// takes a backslash for a slash here, and disregards white space.
func cleanedAway(segment string) bool {
	for part := range strings.SplitSeq(segment, `\`) {
		if part = strings.TrimSpace(part); part == "." || part == ".." {
			return true
		}
	}
	return false
}

// inXML tells whether a document of XML 1.0 can hold the character.
func inXML(r rune) bool {
	return r >= 0x20 && r != 0xFFFE && r != 0xFFFF && r <= utf8.MaxRune || r == '\t' || r == '\n' || r == '\r'
}

// soundPrefix is the prefix to ask a server for that may keep names as paths, of
// which the names that have the wanted one are a part. Possible is false if no
// sound path has it. A server may refuse a prefix as it may a name.
func soundPrefix(wanted string) (prefix string, possible bool) {
	segments := strings.Split(wanted, "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		switch {
		case !last && (segment == "" || cleanedAway(segment)), strings.ContainsFunc(segment, func(r rune) bool { return !inXML(r) }):
			return "", false
		case last && cleanedAway(segment):
			return strings.TrimSuffix(wanted, segment), true
		}
	}
	return wanted, true
}

// soundStart is where to begin a listing on such a server: at or before the
// wanted point, and empty for the beginning of the prefix.
//
// It has no slash beyond those of the prefix. Asked to begin at "a/x", MinIO
// counts the names between "a" and "a/x" in the size of the page, leaves them
// out of it, and takes the page for the last if none are left. So what lies
// between is listed and passed over. A page that MinIO itself continues can end
// early in the same way, when it has forgotten the listing; so it is always
// asked for the largest, and a listing can then lack names only where more than
// a thousand lie between. (A page of one it takes for the last, too, if the name
// is the prefix.)
func soundStart(prefix, wanted string) string {
	if !strings.HasPrefix(wanted, prefix) {
		return ""
	}
	dir := strings.LastIndexByte(prefix, '/') + 1
	segment, _, _ := strings.Cut(wanted[dir:], "/")
	if cleanedAway(segment) {
		segment = ""
	}
	return wanted[:dir] + segment
}
