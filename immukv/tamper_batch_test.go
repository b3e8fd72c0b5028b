package immukv_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// batchTarget is a store with a log version of sequences 1 to 3 between two of one entry
// each. If orphan is set the last of them is left out, and key "b" has an orphan.
func batchTarget(t *testing.T, orphan bool) (*memstore.Store, memstore.Version) {
	t.Helper()
	mem := memstore.New()
	db := open[string](t, mem)
	set(t, db, "a", "before")
	setAll(t, db, "c", "b", "a")
	if orphan {
		mem = edit(t, mem, "keys/b.json", func(v []memstore.Version) []memstore.Version { return v[:len(v)-1] })
	} else {
		set(t, db, "b", "after")
	}
	return mem, versionsOf(mem.Dump(), logObject)[1]
}

// within tells whether byte i of a version stands in one of these members of a line.
func within(body []byte, i int, members ...string) bool {
	start := bytes.LastIndexByte(body[:i], '\n') + 1
	line := string(body[start:])
	if end := strings.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	for _, member := range members {
		at := strings.Index(line, `"`+member+`"`)
		if at < 0 {
			continue
		}
		end := strings.IndexAny(line[at:], ",}")
		if at < i-start && i-start < at+end {
			return true
		}
	}
	return false
}

// Every byte of a version of several entries is found to be changed, and the version
// named: by an audit, and by a check of the log alone where a hash or link covers the
// byte. What no audit finds is the write_id of an orphan, as in TestTamperedByte.
func TestTamperedByteOfBatch(t *testing.T) {
	t.Parallel()
	for _, orphan := range []bool{false, true} {
		store, version := batchTarget(t, orphan)
		body := []byte(version.Body)
		for i := range body {
			line := bytes.Count(body[:i], []byte("\n"))
			for _, b := range []byte{body[i] ^ 1, body[i] ^ 0x20} {
				changed := bytes.Clone(body)
				changed[i] = b
				tampered := &tamperedStore{VersionedStore: store, changed: &tamperedVersion{object: logObject, id: version.ID}, body: changed}
				for _, withKeys := range []bool{true, false} {
					if withKeys && orphan && line == 1 && within(body, i, "write_id") ||
						!withKeys && within(body, i, "write_id", "previous_key_object_etag") {
						continue
					}
					named := func(f immukv.Finding) bool {
						return f.VersionID == version.ID || f.Object == logObject && 1 <= f.Sequence && f.Sequence <= 3 ||
							f.Object == "keys/"+[]string{"c", "b", "a"}[line]+".json" && f.Sequence == int64(1+line)
					}
					if r := verified(t, tampered, withKeys); !slices.ContainsFunc(r.Findings, named) {
						t.Errorf("orphan %v, with keys %v: byte %d of line %d is %q: %s: findings %v", orphan, withKeys, i, line+1, b,
							strings.ToValidUTF8(string(changed), "?"), r.Findings)
					}
				}
			}
		}
	}
}

// What is done with whole lines is found, and the version named that it was done to.
func TestTamperedLinesOfBatch(t *testing.T) {
	t.Parallel()
	type versions = []memstore.Version
	lines := func(v memstore.Version) []string { return strings.Split(v.Body, "\n") }
	join := func(lines []string) string { return strings.Join(lines, "\n") }
	cases := map[string]func(versions) versions{
		"all removed": func(v versions) versions { v[1].Body = ""; return v },
		"the version": func(v versions) versions { return slices.Delete(v, 1, 2) },
		"split in two": func(v versions) versions {
			l, second := lines(v[1]), v[1]
			second.ID, second.ETag, second.Body = "second", "second", l[2]
			v[1].Body = join(l[:2])
			return slices.Insert(v, 2, second)
		},
		"made one with the version before": func(v versions) versions {
			v[1].Body = v[0].Body + "\n" + v[1].Body
			return v[1:]
		},
		"made one with the version after": func(v versions) versions {
			v[1].Body += "\n" + v[2].Body
			return v[:2]
		},
		"a line feed added":    func(v versions) versions { v[1].Body += "\n"; return v },
		"an empty line put in": func(v versions) versions { v[1].Body = strings.Replace(v[1].Body, "\n", "\n\n", 1); return v },
		"the version repeated": func(v versions) versions {
			again := v[1]
			again.ID = "again"
			return slices.Insert(v, 2, again)
		},
		"a line of its own from it": func(v versions) versions {
			other := v[1]
			other.ID, other.Body = "other", lines(v[1])[1]
			return slices.Insert(v, 2, other)
		},
	}
	for i := range 3 {
		cases[fmt.Sprintf("line %d removed", i+1)] = func(v versions) versions {
			v[1].Body = join(slices.Delete(lines(v[1]), i, i+1))
			return v
		}
		for j := range 4 {
			cases[fmt.Sprintf("line %d put in as line %d", i+1, j+1)] = func(v versions) versions {
				l := lines(v[1])
				v[1].Body = join(slices.Insert(l, j, l[i]))
				return v
			}
		}
		j := (i + 1) % 3
		cases[fmt.Sprintf("lines %d and %d exchanged", i+1, j+1)] = func(v versions) versions {
			l := lines(v[1])
			l[i], l[j] = l[j], l[i]
			v[1].Body = join(l)
			return v
		}
		for name, to := range map[string]int{"before": 0, "after": 2} {
			cases[fmt.Sprintf("line %d moved to the version %s", i+1, name)] = func(v versions) versions {
				l := lines(v[1])
				if to == 0 {
					v[to].Body += "\n" + l[i]
				} else {
					v[to].Body = l[i] + "\n" + v[to].Body
				}
				v[1].Body = join(slices.Delete(l, i, i+1))
				return v
			}
		}
		for name, from := range map[string]int{"before": 0, "after": 2} {
			cases[fmt.Sprintf("line %d replaced by the version %s", i+1, name)] = func(v versions) versions {
				l := lines(v[1])
				l[i] = v[from].Body
				v[1].Body = join(l)
				return v
			}
		}
	}
	honest, version := batchTarget(t, false)
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mem := edit(t, honest, logObject, change)
			for _, withKeys := range []bool{false, true} {
				r := verified(t, mem, withKeys)
				if r.Valid() || !slices.ContainsFunc(r.Findings, func(f immukv.Finding) bool {
					return f.Object == logObject && (f.VersionID == version.ID || f.Sequence >= 0 && f.Sequence <= 4)
				}) {
					t.Errorf("with keys %v: findings %v", withKeys, r.Findings)
				}
			}
			// Nobody reads an entry from it that is not one.
			db := open[string](t, mem, immukv.WithReadOnly())
			for e, err := range db.Log(t.Context()) {
				if err == nil && e.Value != "before" && e.Value != "after" && e.Value != "of "+e.Key {
					t.Errorf("the log has %+v", e)
				}
			}
		})
	}
}
