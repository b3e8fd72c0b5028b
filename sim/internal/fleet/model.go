package fleet

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
)

// model is the reference: the content of the store according to the protocol. Every write
// that takes effect is checked against the content before it, so that everything is
// checked once.
type model struct {
	log      []*entry
	versions []*logVersion // the versions that hold these entries
	byID     map[backend.VersionID]*logVersion
	keys     map[string]*keyObjectModel
	times    map[string]int // how many versions of the log hold each call's value
	damaged  int            // key object versions that lost a part of their value
	copied   *model         // the destination of copies, as a separate store; nil if empty
	sealed   sealModel
}

// logVersion is a version of the log. Its entries have distinct keys.
type logVersion struct {
	id      backend.VersionID
	body    string
	entries []*entry
}

// entry is an entry of the log.
type entry struct {
	document
	id      backend.VersionID // of the version that holds it
	applied bool              // its key object reflects it
}

// of returns the entry of a key, or nil. v may be nil.
func (l *logVersion) of(key string) *entry {
	if l == nil {
		return nil
	}
	for _, e := range l.entries {
		if e.key == key {
			return e
		}
	}
	return nil
}

// orphans returns the entries that their key objects do not reflect.
func (l *logVersion) orphans() []*entry {
	if l == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(l.entries), func(e *entry) bool { return e.applied })
}

// keysOf returns the keys of a call's entries, in their order.
func (l *logVersion) keysOf(call string) []string {
	var keys []string
	for _, e := range l.entries {
		if e.by == call {
			keys = append(keys, e.key)
		}
	}
	return keys
}

// keyObjectModel is a key object: its versions, and the entries of the key in the log.
// The last of these may be missing in the object.
type keyObjectModel struct {
	entries  []*entry
	versions []keyVersion
	etag     backend.ETag
}

type keyVersion struct {
	id   backend.VersionID
	body string
}

// anyone is a client of any kind, for a write that has been checked before.
var anyone = &Client{Legacy: true, Odd: true}

func newModel() *model {
	return &model{
		byID:  make(map[backend.VersionID]*logVersion),
		keys:  make(map[string]*keyObjectModel),
		times: make(map[string]int),
	}
}

func (m *model) head() *entry {
	if len(m.log) == 0 {
		return nil
	}
	return m.log[len(m.log)-1]
}

// newest returns the newest version of the log, or nil.
func (m *model) newest() *logVersion {
	if len(m.versions) == 0 {
		return nil
	}
	return m.versions[len(m.versions)-1]
}

// entry returns the entry of a key in a version of the log, or nil.
func (m *model) entry(id immukv.LogVersionID, key string) *entry {
	return m.byID[backend.VersionID(id)].of(key)
}

// whole reports whether the first n entries of the log end with a complete version.
func (m *model) whole(n int) bool {
	return n <= 0 || n >= len(m.log) || m.log[n-1].id != m.log[n].id
}

func (m *model) key(key string) *keyObjectModel {
	k := m.keys[key]
	if k == nil {
		k = &keyObjectModel{}
		m.keys[key] = k
	}
	return k
}

// violation returns the error for an invariant that does not hold, with its number in
// protocol.md.
func violation(invariant, format string, args ...any) error {
	return fmt.Errorf("%s is violated: %s", invariant, fmt.Sprintf(format, args...))
}

// write adds a version that was put into the store, and checks I3, I4, I5 and I9. A
// client of package immukv must write exactly the bytes that the protocol prescribes. The
// existing clients write numbers in their own form, and no write_id.
func (m *model) write(name string, body []byte, v backend.Version, by *Client) error {
	if name, ok := strings.CutPrefix(name, copyDir); ok {
		return m.writeCopied(name, body, v, by)
	}
	if name == logObject {
		return m.append(body, v)
	}
	if strings.HasPrefix(name, sealedDir) {
		return m.sealed.write(m.log, name, body, v)
	}
	key, ok := keyOfObject(name)
	if !ok {
		return violation("I5", "a version was written to %s, which is not an object of the protocol", name)
	}
	return m.apply(key, body, v, by)
}

// append adds a version of the log.
func (m *model) append(body []byte, v backend.Version) error {
	docs, err := readLog(body)
	if err != nil {
		return violation("I3", "a log version cannot be parsed: %v", err)
	}
	for _, e := range m.newest().orphans() {
		return violation("I4", "%s was appended after %s, which is an orphan of key %s and can no longer be repaired", docs[0].by, e.by, e.key)
	}
	previousHash, previousID := "sha256:genesis", ""
	if head := m.head(); head != nil {
		previousHash, previousID = head.hash, string(head.id)
	}
	l := &logVersion{id: v.ID, body: string(body)}
	for _, d := range docs {
		if err := m.checkEntry(l, d, previousHash, previousID); err != nil {
			return err
		}
		previousHash, previousID = d.hash, "" // the next one is in the same version
		e := &entry{document: d, id: v.ID}
		if len(l.keysOf(d.by)) == 0 {
			m.times[d.by]++
		}
		l.entries = append(l.entries, e)
		m.log = append(m.log, e)
		k := m.key(d.key)
		k.entries = append(k.entries, e)
	}
	m.versions = append(m.versions, l)
	m.byID[v.ID] = l
	return nil
}

// checkEntry checks the next entry of a version of the log, after the given ones.
func (m *model) checkEntry(l *logVersion, d document, previousHash, previousID string) error {
	k := m.key(d.key)
	switch {
	case d.sequence != int64(len(m.log)):
		return violation("I3", "%s has sequence %d instead of %d", d.by, d.sequence, len(m.log))
	case d.text("previous_hash") != previousHash:
		return violation("I3", "%s has a previous_hash that is not the hash before it", d.by)
	case d.text("previous_version_id") != previousID:
		return violation("I3", "%s has the previous_version_id %q instead of %q", d.by, d.text("previous_version_id"), previousID)
	case !d.hashHolds():
		return violation("I3", "the hash of %s matches in neither dialect", d.by)
	case l.of(d.key) != nil:
		return violation("I3", "%s is the second entry of key %s in one version", d.by, d.key)
	case d.text("previous_key_object_etag") != string(k.etag):
		return violation("I4", "%s recorded the key object's tag %q instead of %q, so it can never be repaired",
			d.by, d.text("previous_key_object_etag"), k.etag)
	}
	return nil
}

// apply adds a version of a key object: it must hold the one entry that the object does
// not reflect yet.
func (m *model) apply(key string, body []byte, v backend.Version, by *Client) error {
	k := m.key(key)
	d, err := readDocument(body)
	if err != nil {
		return violation("I5", "a version of the key object of %s cannot be parsed: %v", key, err)
	}
	if len(k.versions) == len(k.entries) {
		return violation("I5", "the key object of %s had all its entries, but %s was written to it", key, d.by)
	}
	e := k.entries[len(k.versions)]
	want := e.keyBody(string(e.id))
	whole := sameValue(d.tokens["value"], e.tokens["value"])
	switch {
	case !by.Legacy && !bytes.Equal(body, want):
		return violation("I9", "the key object of %s was written as\n\t%s\nbut the entry's writer would have written\n\t%s", key, body, want)
	case d.key != key || d.by != e.by || d.hash != e.hash || d.sequence != e.sequence || d.timestamp != e.timestamp ||
		d.writeID != "" && d.writeID != e.writeID || d.text("previous_hash") != e.text("previous_hash") ||
		d.text("log_version_id") != string(e.id) || !whole && !by.Odd:
		return violation("I5", "%[2]s was written to the key object of %[1]s, but %[3]s comes next", key, d.by, e.by)
	}
	if !whole {
		m.damaged++
	}
	e.applied = true
	k.versions = append(k.versions, keyVersion{v.ID, string(body)})
	k.etag = v.ETag
	return nil
}

// compare compares the whole content of the store with the model: nothing was lost,
// changed, or written without the model (I1, I6).
func (m *model) compare(state memstore.State) error {
	objects := 0
	for _, o := range state.Objects {
		want, err := m.versionsOf(o.Name)
		if err != nil {
			return err
		}
		if len(want) != len(o.Versions) {
			return violation("I6", "%s has %d versions, but %d were written", o.Name, len(o.Versions), len(want))
		}
		for i, v := range o.Versions {
			if v.ID != want[i].id || v.Body != want[i].body || v.DeleteMarker {
				return violation("I6", "version %s of %s differs from what was written", v.ID, o.Name)
			}
		}
		objects += len(want)
	}
	if written := m.written(); objects != written {
		return violation("I6", "the store has %d versions, but %d were written", objects, written)
	}
	return nil
}

// written returns how many versions of all objects were written.
func (m *model) written() int {
	n := len(m.versions)
	for _, k := range m.keys {
		n += len(k.versions)
	}
	for _, versions := range m.sealed.objects {
		n += len(versions)
	}
	if m.copied != nil {
		n += m.copied.written()
	}
	return n
}

func (m *model) versionsOf(name string) ([]keyVersion, error) {
	if name, ok := strings.CutPrefix(name, copyDir); ok && m.copied != nil {
		return m.copied.versionsOf(name)
	}
	if strings.HasPrefix(name, sealedDir) {
		return m.sealed.objects[name], nil
	}
	if name != logObject {
		key, ok := keyOfObject(name)
		if !ok || m.keys[key] == nil {
			return nil, violation("I5", "the store has %s, which no client wrote", name)
		}
		return m.keys[key].versions, nil
	}
	var versions []keyVersion
	for _, l := range m.versions {
		versions = append(versions, keyVersion{l.id, l.body})
	}
	return versions, nil
}

// String returns the log as histories print it: the calls in their order, those of one
// version joined with a +, an orphan with an asterisk.
func (m *model) String() string {
	var versions []string
	for _, l := range m.versions {
		var words []string
		for _, e := range l.entries {
			word := e.by + "/" + e.key
			if !e.applied {
				word += "*"
			}
			words = append(words, word)
		}
		versions = append(versions, strings.Join(words, "+"))
	}
	text := "[" + strings.Join(versions, " ") + "]"
	if m.copied != nil {
		text += " copied " + m.copied.String()
	}
	return text
}
