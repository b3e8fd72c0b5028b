package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/immukv/immukv-go/backend"
)

// S12: any valid UTF-8 is a name, and different names are different objects.
var nameChecks = clause("S12",
	check{
		name: "any-name", cost: cost{fixed: 1600},
		title: "any valid UTF-8 of 1 to 1,024 bytes is a name, and an object of its own",
		run:   checkAnyName,
	},
	check{
		name: "refused-as-declared", cost: cost{fixed: 600},
		title: "a name that the store declares it cannot hold fails as an invalid name, and makes nothing",
		run:   checkDeclaredNames,
	},
	check{
		name: "invalid", cost: cost{fixed: 60},
		title: "every method fails with an invalid name (empty, too long, not UTF-8), and creates nothing",
		run:   checkInvalidNames,
	},
	check{
		name: "clashes-as-declared", cost: cost{fixed: 60},
		title: "of two names that the store declares it cannot hold both, the second fails as an invalid name or is an object of its own, and all versions of the first can still be read",
		run:   checkClashes,
	},
	check{
		name: "directories", cost: cost{fixed: 220},
		title: "an object and others \"below\" it, made in any order, are independent",
		run:   checkDirectories,
	},
)

// oddNames are valid names that some stores do not handle well: as paths, in
// URLs, with case or Unicode normalisation, or because a system reserves them.
var oddNames = []string{
	".", "..", "...", "../x", "../../x", "x/..", "x/../y", "./x", "x/.", "x/./y", "/", "//", "/x", "//x", "x/", "x//", "x//y", "a/.", "a//b",
	"/etc/passwd", "a", "A", "a/b", "A/b", "a/B", "aux", "CON", "nul.txt", "a.", "a ", " a", " ", "~", "~root", ".hidden", ".git/config",
	"-rf", "*", "?", "a?b", "a?versions", "#", "a#b", "%", "%2F", "a%2Fb", "a%2fb", "%00", "%zz", "+", "a+b", "a b", "a%20b", "&", "a&b=c", "=",
	"\\", "a\\b", "C:\\x", "c:x", ":", "a:b", "|", "<", ">", "\"", "'", "`", "$HOME", ";", ",", "@", "^", "{}", "[a]", "!",
	"\n", "a\nb", "\r\n", "\t", "\x00", "a\x00b", "\x01", "\x1f", "\x7f", "\u0080", "\u00a0", "\u2028", "\ufeff", "\ufeffa", "\ufffd", "\uffff",
	"é", "e\u0301", "É", "Å", "A\u030a", "\u212b", "ß", "SS", "ı", "I", "i", "İ", "ﬁ", "fi", "日本語", "日本語/キー.json", "العربية", "\u202ea",
	"\U0001f600", "👩‍👩‍👧", "\U0010ffff", "_log.json", "keys/a.json", "v", "0", "00", "00000000000000000000", "a.json", "a.json.json", "a.attrs",
	"null", "undefined", "index.html", "__proto__",
}

// longNames have the maximum length, some with parts that are longer than a
// file name may be.
func longNames(limit int) []string {
	fit := func(part string) string {
		name := strings.Repeat(part, limit/len(part))
		return name + strings.Repeat("x", limit-len(name))
	}
	names := []string{fit("a"), fit("b")[:limit-1], fit("/"), fit("ab/"), fit("é"), fit("\U0001f600"), fit("%"), fit("\x00"), fit("A"), fit("../")}
	for _, n := range []int{127, 128, 200, 254, 255, 256, 257, 511, 512} {
		names = append(names, strings.Repeat("n", min(n, limit)))
	}
	return slices.DeleteFunc(names, func(name string) bool { return !utf8.ValidString(name) })
}

// allNames are the odd and the long names, each once, in order.
func (e *env) allNames() []string {
	names := append(slices.Clone(oddNames), longNames(e.h.Limits.maxName())...)
	slices.Sort(names)
	return slices.Compact(names)
}

func checkAnyName(ctx context.Context, e *env) error {
	stores := e.stores
	// All are made before any is read, to find two names that are one object.
	names, err := e.fill(ctx, stores[0], e.allNames())
	if err != nil {
		return err
	}
	err = together(8, func(worker int) error {
		for i := worker; i < len(names); i += 8 {
			if err := ownObject(ctx, stores[worker%2], names[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return listed(ctx, stores[1], names, backend.NamesRequest{})
}

// ownBody checks that the body of the object is its name, as it was made.
func ownBody(ctx context.Context, s backend.VersionedStore, name string) error {
	o, err := s.Get(ctx, name)
	if err != nil {
		return unlike(fmt.Sprintf("the object %s to be there", show(name)), "%v", err)
	}
	if string(o.Body) != name {
		return unlike(fmt.Sprintf("the object %s to hold what was written to it", show(name)), "what was written to %s", show(string(o.Body)))
	}
	return nil
}

// ownObject checks that the object of that name is the one made under it, and
// makes a second version of it.
func ownObject(ctx context.Context, s backend.VersionedStore, name string) error {
	if err := ownBody(ctx, s, name); err != nil {
		return err
	}
	o, err := s.Get(ctx, name)
	if err != nil {
		return err
	}
	first := backend.Object{Version: o.Version, Body: []byte(name)}
	second, err := write(ctx, s, name, []byte("second "+name), backend.IfMatch(o.ETag))
	if err != nil {
		return err
	}
	return survived(ctx, s, name, []backend.Object{first, second})
}

func checkDeclaredNames(ctx context.Context, e *env) error {
	s := e.stores[0]
	names := slices.DeleteFunc(e.allNames(), func(name string) bool { return !e.h.Limits.refuses(name) })
	if limit := e.h.Limits.maxName(); limit < backend.MaxNameBytes {
		names = append(names, strings.Repeat("a", limit+1), strings.Repeat("a", backend.MaxNameBytes))
	}
	if len(names) == 0 {
		return inapplicable("the store declares no name that it cannot hold")
	}
	for _, name := range names {
		if err := invalidName(ctx, s, name); err != nil {
			return err
		}
	}
	return listed(ctx, s, nil, backend.NamesRequest{})
}

func checkInvalidNames(ctx context.Context, e *env) error {
	s := e.stores[0]
	names := []string{"", strings.Repeat("a", backend.MaxNameBytes+1), strings.Repeat("é", backend.MaxNameBytes/2) + "a",
		strings.Repeat("a", 1<<20), "\xff", "a\xc3", "\xed\xa0\x80", "a\xffb"}
	for _, name := range names {
		if err := invalidName(ctx, s, name); err != nil {
			return err
		}
	}
	return listed(ctx, s, nil, backend.NamesRequest{})
}

// invalidName checks that every method rejects the name.
func invalidName(ctx context.Context, s backend.VersionedStore, name string) error {
	calls := callsOn(name)
	for _, method := range objectMethods {
		if err := calls[method](ctx, s); !errors.Is(err, backend.ErrInvalidName) {
			return unlike(fmt.Sprintf("%s of %s to end with %q", method, show(name), backend.ErrInvalidName), "%s", outcome(err))
		}
	}
	return nil
}

func checkDirectories(ctx context.Context, e *env) error {
	s := e.stores[0]
	orders := [][]string{
		{"up", "up/b", "up/b/c", "up/b/c/d"},
		{"down/b/c/d", "down/b/c", "down/b", "down"},
		{"s/", "s", "s//", "s//a"},
		{"v/1", "v", "v/1/v", "v/v/1"},
	}
	var names []string
	for _, order := range orders {
		for _, name := range e.h.Limits.held(order) {
			if err := absent(ctx, s, name); err != nil {
				return err
			}
			if _, err := write(ctx, s, name, []byte(name), backend.IfAbsent()); err != nil {
				return err
			}
			names = append(names, name)
		}
	}
	for _, name := range names {
		if err := ownObject(ctx, s, name); err != nil {
			return err
		}
	}
	slices.Sort(names)
	return listed(ctx, s, names, backend.NamesRequest{})
}

// checkClashes makes pairs of names that clash. If the store takes both, either
// may be missing from listings, as the store declares.
func checkClashes(ctx context.Context, e *env) error {
	s := e.stores[0]
	pairs := [][2]string{{"up", "up/b"}, {"down/b", "down"}, {"far/b/c", "far"}, {"Case", "case"}, {"\u00e9", "e\u0301"}}
	pairs = slices.DeleteFunc(pairs, func(pair [2]string) bool { return !e.h.Limits.clash(pair[0], pair[1]) })
	if len(pairs) == 0 {
		return inapplicable("the store declares no names that clash")
	}
	for _, pair := range pairs {
		first, second := pair[0], pair[1]
		written, err := chain(ctx, s, first, 2)
		if err != nil {
			return err
		}
		_, err = s.Put(ctx, second, []byte(second), backend.IfAbsent())
		switch {
		case err == nil:
			err = ownBody(ctx, s, second)
		case errors.Is(err, backend.ErrInvalidName):
			err = absent(ctx, s, second)
		default:
			err = unlike(fmt.Sprintf("%s, beside %s, to be made or to fail with %q", show(second), show(first), backend.ErrInvalidName), "%v", err)
		}
		if err != nil {
			return err
		}
		if err := current(ctx, s, first, written[1]); err != nil {
			return err
		}
		if err := readable(ctx, s, first, written[0]); err != nil {
			return err
		}
	}
	return nil
}
