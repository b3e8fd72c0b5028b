package s3store

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/immukv/immukv-go/backend"
)

// The longest part of a path, in bytes: the limit of file systems, and that of VersityGW.
// VersityGW creates objects with longer names but cannot overwrite them, because it then
// extends the name.
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

// CheckNewName implements [backend.StrictStore]. On servers other than AWS, it returns an
// error for every name that is not a clean path; see the package's documentation.
func (s *Store) CheckNewName(name string) error {
	if err := s.checkName(name); err != nil {
		return err
	}
	return s.checkNew(name)
}

// checkName returns an error that is [backend.ErrInvalidName] unless the server holds an
// object under exactly that name and, except for AnyName, lists it.
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
		return fmt.Errorf("%w: %s; servers other than AWS may confuse it with another name or not list it", backend.ErrInvalidName, problem)
	}
	return nil
}

// document is the suffix of the names of the protocol's objects.
const document = ".json"

// checkNew returns an error that is [backend.ErrInvalidName] for a name that the server
// may reject for a new object, because of existing ones. It is also called when a read
// finds no object: a writer reads an object before it creates it, and should get the
// error then.
func (s *Store) checkNew(name string) error {
	if s.paths && !s.anyName && strings.Contains(name, document+"/") {
		return fmt.Errorf("%w: a part before the last ends in %s; servers other than AWS may reject or not list a name below another object",
			backend.ErrInvalidName, document)
	}
	return nil
}

// mistakenPath returns why a server that stores names as paths may confuse a name with
// another; empty if it does not. The behaviour of servers was observed by the tests of
// this package.
func mistakenPath(name string) string {
	for i, segment := range strings.Split(name, "/") {
		switch {
		case segment == "":
			// MinIO stores "/a" as "a"; VersityGW "a//b" as "a/b".
			return "the name begins or ends with a slash or has two in a row"
		case cleanedAway(segment):
			// VersityGW stores "a/../b" as "b"; MinIO rejects it.
			return fmt.Sprintf("the name has the segment %q", segment)
		case i == 0 && (segment == ".sgwtmp" || segment == ".vgwlocks"):
			return fmt.Sprintf("the name is below %s, which VersityGW uses itself", segment)
		}
	}
	if strings.HasSuffix(name, "__XLDIR__") {
		return "the name ends in __XLDIR__, which MinIO lists as a slash"
	}
	return ""
}

// unlistedPath returns why such a server may hold a name but not list it or overwrite it;
// empty if it does not.
func unlistedPath(name string, maxSegment int) string {
	for segment := range strings.SplitSeq(name, "/") {
		if len(segment) > maxSegment {
			return fmt.Sprintf("the name has a segment of more than %d bytes", maxSegment)
		}
	}
	for _, r := range name {
		if !inXML(r) {
			// VersityGW lists names without encoding, and XML cannot represent these characters.
			return fmt.Sprintf("the name has the character %U", r)
		}
	}
	return ""
}

// cleanedAway reports whether a segment may become that of another directory. Here MinIO
// treats a backslash as a slash, and ignores white space.
func cleanedAway(segment string) bool {
	for part := range strings.SplitSeq(segment, `\`) {
		if part = strings.TrimSpace(part); part == "." || part == ".." {
			return true
		}
	}
	return false
}

// inXML reports whether a document of XML 1.0 can contain the character.
func inXML(r rune) bool {
	return r >= 0x20 && r != 0xFFFE && r != 0xFFFF && r <= utf8.MaxRune || r == '\t' || r == '\n' || r == '\r'
}

// soundPrefix returns a prefix that can be sent to a server that stores names as paths.
// Its names include those with the wanted prefix. possible is false if no valid path has
// the wanted prefix. A server may reject a prefix just as a name.
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

// soundStart returns where to begin a listing on such a server: at or before the wanted
// point, or empty for the beginning of the prefix.
//
// It has no slash except those of the prefix. If a listing begins at "a/x", MinIO counts
// the names between "a" and "a/x" in the size of the page, omits them, and treats the
// page as the last one if no names remain. So those names are listed and skipped. A page
// that MinIO itself continues can end early in the same way, if it has forgotten the
// listing. So the largest page is always requested. Then a listing can lack names only if
// more than a thousand are in between. (MinIO also treats a page of one item as the last,
// if its name is the prefix.)
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
