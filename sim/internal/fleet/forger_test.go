package fleet

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
)

// tampering is a change made to a store behind the protocol's back.
type tampering struct {
	name string
	// apply makes the change at one place of many, of which i is the number. It
	// reports whether there is such a place; a change that is not possible
	// there leaves everything as it was.
	apply func(s *forger, i int) bool
	// unseen says why an audit does not see the change, if it never does.
	unseen string
	// seenFrom says that it does if it is given an earlier head.
	seenFrom bool
}

// forger changes the state of a store.
type forger struct {
	state   memstore.State
	changed bool
	ids     int
}

// copy is a forger of an equal state.
func (f *forger) copy() *forger {
	c := &forger{}
	for _, o := range f.state.Objects {
		c.state.Objects = append(c.state.Objects, memstore.Object{Name: o.Name, Versions: slices.Clone(o.Versions)})
	}
	return c
}

func (f *forger) newVersion(body string) memstore.Version {
	f.ids++
	id := "forged-" + strconv.Itoa(f.ids)
	return memstore.Version{ID: backend.VersionID(id), ETag: backend.ETag(strconv.Quote(id)), Body: body}
}

// place is the i-th version of the store, over all objects.
func (f *forger) place(i int) (object, version int, ok bool) {
	for object := range f.state.Objects {
		n := len(f.state.Objects[object].Versions)
		if i < n {
			return object, i, true
		}
		i -= n
	}
	return 0, 0, false
}

func (f *forger) object(name string) *memstore.Object {
	for i := range f.state.Objects {
		if f.state.Objects[i].Name == name {
			return &f.state.Objects[i]
		}
	}
	return nil
}

// drop removes a version, and its object if it was the last.
func (f *forger) drop(object, version int) {
	o := &f.state.Objects[object]
	o.Versions = slices.Delete(o.Versions, version, version+1)
	if len(o.Versions) == 0 {
		f.state.Objects = slices.Delete(f.state.Objects, object, object+1)
	}
}

// tamperings are the changes that an audit has to see (I12).
var tamperings = []tampering{
	edit("value", func(token string) string { return strings.Replace(token, `"by":"`, `"by":"x`, 1) }),
	edit("timestamp_ms", increased),
	edit("sequence", increased),
	edit("key", func(string) string { return `"elsewhere"` }),
	edit("hash", func(string) string { return `"` + hashOf("forged") + `"` }),
	edit("previous_hash", func(string) string { return `"` + hashOf("forged") + `"` }),
	edit("previous_version_id", func(string) string { return `"forged"` }),
	edit("log_version_id", func(string) string { return `"forged"` }),
	edit("previous_key_object_etag", func(string) string { return `"\"forged\""` }),
	edit("write_id", func(string) string { return `"forged"` }),
	unseen("fields that nobody knows are ignored", false,
		everywhere("add a field to a version", func(body string) string { return strings.TrimSuffix(body, "}") + `,"z":1}` })),
	everywhere("add white space to a version", func(body string) string { return body + "\n" }),
	everywhere("empty a version", func(string) string { return "" }),
	everywhere("cut a version off", func(body string) string { return body[:len(body)/2] }),
	atVersions("remove a version", func(f *forger, o, v int) bool {
		f.drop(o, v)
		return true
	}),
	atVersions("exchange the bodies of two versions", func(f *forger, o, v int) bool {
		versions := f.state.Objects[o].Versions
		if v+1 == len(versions) {
			return false
		}
		a, b := &versions[v], &versions[v+1]
		a.Body, b.Body, a.ETag, b.ETag = b.Body, a.Body, b.ETag, a.ETag
		return true
	}),
	atVersions("make an older version the newest", func(f *forger, o, v int) bool {
		versions := f.state.Objects[o].Versions
		if v+1 == len(versions) {
			return false
		}
		older := versions[v]
		f.state.Objects[o].Versions = append(slices.Delete(versions, v, v+1), older)
		return true
	}),
	atVersions("write an older version again", func(f *forger, o, v int) bool {
		versions := f.state.Objects[o].Versions
		f.state.Objects[o].Versions = append(versions, f.newVersion(versions[v].Body))
		return true
	}),
	atVersions("insert a version twice", func(f *forger, o, v int) bool {
		versions := f.state.Objects[o].Versions
		f.state.Objects[o].Versions = slices.Insert(versions, v, f.newVersion(versions[v].Body))
		return true
	}),
	atVersions("insert a delete marker", func(f *forger, o, v int) bool {
		marker := f.newVersion("")
		marker.ETag, marker.DeleteMarker = "", true
		f.state.Objects[o].Versions = slices.Insert(f.state.Objects[o].Versions, v+1, marker)
		return true
	}),
	atVersions("remove a version and those after it from its object alone", func(f *forger, o, v int) bool {
		if v == 0 {
			f.state.Objects = slices.Delete(f.state.Objects, o, o+1)
			return true
		}
		f.state.Objects[o].Versions = f.state.Objects[o].Versions[:v]
		return true
	}),
	atVersions("write a version to another key's object", func(f *forger, o, v int) bool {
		written := f.newVersion(f.state.Objects[o].Versions[v].Body)
		if other := f.object(keyObject("elsewhere")); other != nil {
			other.Versions = append(other.Versions, written)
			return true
		}
		f.state.Objects = append(f.state.Objects, memstore.Object{
			Name: keyObject("elsewhere"), Versions: []memstore.Version{written},
		})
		return true
	}),
	lines("remove a line of a version", func(l []string, i int) []string { return slices.Delete(l, i, i+1) }),
	lines("double a line of a version", func(l []string, i int) []string { return slices.Insert(l, i, l[i]) }),
	lines("exchange two lines of a version", func(l []string, i int) []string {
		j := (i + 1) % len(l)
		l[i], l[j] = l[j], l[i]
		return l
	}),
	atVersions("move a line to the next version", func(f *forger, o, v int) bool {
		versions := f.state.Objects[o].Versions
		if v+1 == len(versions) || f.state.Objects[o].Name != logObject {
			return false
		}
		l := strings.Split(versions[v].Body, "\n")
		versions[v].Body = strings.Join(l[:len(l)-1], "\n")
		versions[v+1].Body = l[len(l)-1] + "\n" + versions[v+1].Body
		return true
	}),
	{name: "begin a second history in the log", apply: func(f *forger, i int) bool {
		log := f.object(logObject)
		log.Versions = append(log.Versions, f.newVersion(log.Versions[0].Body))
		f.changed = true
		return i == 0
	}},
	{name: "rewrite the log alone from some entry on, with every hash recomputed", apply: func(f *forger, i int) bool {
		return f.rewrite(i, false)
	}},
	unseen("who may write can write a history that is as sound as the first", true, tampering{
		name:  "rewrite everything from some entry on, with every hash recomputed",
		apply: func(f *forger, i int) bool { return f.rewrite(i, true) },
	}),
	unseen("what is left is a sound history", true, tampering{
		name:  "cut off the end of the log, and of the key objects with it",
		apply: (*forger).cutOff,
	}),
}

func unseen(why string, seenFrom bool, t tampering) tampering {
	t.unseen, t.seenFrom = why, seenFrom
	return t
}

func increased(token string) string {
	n, err := strconv.ParseInt(token, 10, 64)
	if err != nil {
		return token
	}
	return strconv.FormatInt(n+1, 10)
}

// atVersions makes a change at every version of every object.
func atVersions(name string, change func(f *forger, object, version int) bool) tampering {
	return tampering{name: name, apply: func(f *forger, i int) bool {
		o, v, ok := f.place(i)
		f.changed = ok && change(f, o, v)
		return ok
	}}
}

// lines changes one line of a version of the log that has several.
func lines(name string, change func(lines []string, i int) []string) tampering {
	return tampering{name: name, apply: func(f *forger, i int) bool {
		for v := range f.object(logObject).Versions {
			version := &f.object(logObject).Versions[v]
			l := strings.Split(version.Body, "\n")
			switch {
			case len(l) == 1:
				continue
			case i < len(l):
				version.Body, f.changed = strings.Join(change(l, i), "\n"), true
				return true
			}
			i -= len(l)
		}
		return false
	}}
}

// everywhere changes the body of every version.
func everywhere(name string, change func(body string) string) tampering {
	return atVersions(name, func(f *forger, o, v int) bool {
		version := &f.state.Objects[o].Versions[v]
		version.Body = change(version.Body)
		return true
	})
}

// edit changes one field of every line of every version that has it.
func edit(field string, change func(token string) string) tampering {
	return tampering{name: "edit " + field, apply: func(f *forger, i int) bool {
		for o := range f.state.Objects {
			for v := range f.state.Objects[o].Versions {
				version := &f.state.Objects[o].Versions[v]
				lines := strings.Split(version.Body, "\n")
				if i >= len(lines) {
					i -= len(lines)
					continue
				}
				if fields, err := members([]byte(lines[i])); err == nil && fields[field] != nil {
					before := string(fields[field])
					fields[field] = json.RawMessage(change(before))
					lines[i] = string(object(fields))
					version.Body, f.changed = strings.Join(lines, "\n"), string(fields[field]) != before
				}
				return true
			}
		}
		return false
	}}
}

// cutOff removes the newest i+1 entries with the key object versions that reflect them.
func (f *forger) cutOff(i int) bool {
	log := f.object(logObject)
	keep := len(log.Versions) - 1 - i
	if keep < 0 {
		return false
	}
	gone := make(map[string]bool)
	for _, v := range log.Versions[keep:] {
		gone[string(v.ID)] = true
	}
	for o := len(f.state.Objects) - 1; o >= 0; o-- {
		versions := f.state.Objects[o].Versions
		for v := len(versions) - 1; v >= 0; v-- {
			fields, err := members([]byte(versions[v].Body))
			if gone[string(versions[v].ID)] || err == nil && gone[unquote(fields["log_version_id"])] {
				f.drop(o, v)
			}
		}
	}
	f.changed = true
	return true
}

// rewrite changes the value of entry i of the log and computes every hash anew
// from there on; if all is set, in the key objects too, and the tags by which
// the log refers to these.
func (f *forger) rewrite(i int, all bool) bool {
	log := f.object(logObject)
	if i >= len(log.Versions) {
		return false
	}
	previous := ""
	for n := i; n < len(log.Versions); n++ {
		docs, err := readLog([]byte(log.Versions[n].Body))
		if err != nil {
			return true // it is not honest any more
		}
		for _, d := range docs {
			typescript := d.hash == hashOf(d.hashInput(true))
			if previous == "" {
				d.tokens["value"] = json.RawMessage(strings.Replace(string(d.tokens["value"]), `"by":"`, `"by":"x`, 1))
			} else {
				d.tokens["previous_hash"] = quote(previous)
			}
			previous = hashOf(d.hashInput(typescript))
			d.tokens["hash"] = quote(previous)
			if all {
				f.rewriteKeyVersion(log.Versions[n].ID, d)
			}
		}
		log.Versions[n].Body = joined(docs)
	}
	f.changed = true
	return true
}

// rewriteKeyVersion makes the key object reflect what its log version holds now.
func (f *forger) rewriteKeyVersion(id backend.VersionID, d document) {
	o := f.object(keyObject(d.text("key")))
	if o == nil {
		return // an orphan
	}
	for v := range o.Versions {
		fields, err := members([]byte(o.Versions[v].Body))
		if err == nil && unquote(fields["log_version_id"]) == string(id) {
			o.Versions[v].Body = string(d.keyBody(string(id)))
		}
	}
}
