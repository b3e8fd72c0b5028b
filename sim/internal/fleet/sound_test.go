package fleet

import (
	"slices"
	"strings"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
)

// sound reports whether honest clients can have left a store in this state. It
// is an audit by the model, which goes through the log along its chain and makes
// every write again.
func sound(state memstore.State) (*model, error) {
	objects := make(map[string]map[string]memstore.Version) // by the log version that they reflect
	var log []memstore.Version
	for _, o := range state.Objects {
		shown := make(map[string]memstore.Version)
		for _, v := range o.Versions {
			docs, err := readLog([]byte(v.Body))
			if err != nil || v.DeleteMarker || joined(docs) != v.Body || o.Name != logObject && len(docs) > 1 {
				return nil, violation("I12", "version %s of %s is no document", v.ID, o.Name)
			}
			id := docs[0].text("log_version_id")
			if _, twice := shown[id]; twice && o.Name != logObject {
				return nil, violation("I12", "%s shows log version %s twice", o.Name, id)
			}
			shown[id] = v
		}
		if o.Name == logObject {
			log = o.Versions
		} else {
			objects[o.Name] = shown
		}
	}
	chain, err := chainOf(log)
	if err != nil {
		return nil, err
	}
	m := newModel()
	for _, v := range chain {
		if err := m.write(logObject, []byte(v.Body), backend.Version{ID: v.ID, ETag: v.ETag}, anyone); err != nil {
			return nil, err
		}
		for _, e := range m.newest().entries {
			name := keyObject(e.key)
			if shows, ok := objects[name][string(v.ID)]; ok {
				if err := m.write(name, []byte(shows.Body), backend.Version{ID: shows.ID, ETag: shows.ETag}, anyone); err != nil {
					return nil, err
				}
				delete(objects[name], string(v.ID))
			}
		}
	}
	for name, left := range objects {
		if len(left) > 0 {
			return nil, violation("I12", "%s shows what is not in the log", name)
		}
	}
	return m, m.current(state)
}

// chainOf is the log, oldest first, as its newest version names the one before
// it, and so on. None may be left over.
func chainOf(log []memstore.Version) ([]memstore.Version, error) {
	byID := make(map[string]memstore.Version)
	for _, v := range log {
		byID[string(v.ID)] = v
	}
	var chain []memstore.Version
	for id := lastID(log); id != ""; {
		v, ok := byID[id]
		if !ok {
			return nil, violation("I12", "log version %s is gone", id)
		}
		delete(byID, id)
		chain = append(chain, v)
		docs, err := readLog([]byte(v.Body))
		if err != nil {
			return nil, err
		}
		id = docs[0].text("previous_version_id")
	}
	if len(byID) > 0 {
		return nil, violation("I12", "the log has versions that nothing leads to")
	}
	slices.Reverse(chain)
	return chain, nil
}

// joined is the body of documents, a line each.
func joined(docs []document) string {
	var lines []string
	for _, d := range docs {
		lines = append(lines, string(object(d.tokens)))
	}
	return strings.Join(lines, "\n")
}

func lastID(versions []memstore.Version) string {
	if len(versions) == 0 {
		return ""
	}
	return string(versions[len(versions)-1].ID)
}

// current checks that the current version of every key object is its newest.
func (m *model) current(state memstore.State) error {
	for _, o := range state.Objects {
		key, ok := keyOfObject(o.Name)
		if k := m.keys[key]; ok && string(k.versions[len(k.versions)-1].id) != lastID(o.Versions) {
			return violation("I12", "%s does not show its newest entry", o.Name)
		}
	}
	return nil
}
