package memstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/immukv/immukv-go/backend"
)

// State is the whole content of a store as a plain value: to load a store from a file or
// a literal, to inspect one, or to change one without the protocol. Its JSON form is
// given by the struct tags.
type State struct {
	Objects []Object `json:"objects"` // Dump sorts them by name
	// Writes is how many versions Put has made. It keeps Put from giving an ID twice even
	// if the version that had it was removed from the state. Leave it zero in a state
	// that was not dumped.
	Writes uint64 `json:"writes,omitempty"`
}

// Object is one object with its versions, oldest first, at least one.
type Object struct {
	Name     string    `json:"name"`
	Versions []Version `json:"versions"`
}

// Version is one version of an object. A delete marker, which only [Load] can make, has
// neither body nor ETag. An object whose newest version is one has no current version
// until the next write.
//
// In JSON, a body that is not valid UTF-8, which a JSON string cannot hold, is
// in the member body_base64 instead of body.
type Version struct {
	ID           backend.VersionID `json:"version_id"`
	ETag         backend.ETag      `json:"etag"`
	Body         string            `json:"body"`
	DeleteMarker bool              `json:"delete_marker,omitempty"`
}

// versionJSON adds to a Version the form for bodies that are not text.
type versionJSON struct {
	plainVersion
	Base64 []byte `json:"body_base64,omitempty"`
}

// plainVersion has the fields of a Version without its methods.
type plainVersion Version

// MarshalJSON implements [json.Marshaler].
func (v Version) MarshalJSON() ([]byte, error) {
	out := versionJSON{plainVersion: plainVersion(v)}
	if !utf8.ValidString(v.Body) {
		out.Body, out.Base64 = "", []byte(v.Body)
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements [json.Unmarshaler].
func (v *Version) UnmarshalJSON(text []byte) error {
	var in versionJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	if len(in.Base64) > 0 {
		in.Body = string(in.Base64)
	}
	*v = Version(in.plainVersion)
	return nil
}

// Load returns a store with the given state. It returns an error for a state that no
// store can have: an invalid or repeated name, an object without versions, a version ID
// that is empty, the placeholder "null" or repeated within its object, a version without
// an ETag, a delete marker with an ETag or a body, a body that is too large. It does not
// compare bodies with their ETags.
func Load(state State) (*Store, error) {
	s := New()
	s.writes = state.Writes
	for _, o := range state.Objects {
		if err := s.load(o); err != nil {
			return nil, fmt.Errorf("load object %q: %w", o.Name, err)
		}
	}
	return s, nil
}

func (s *Store) load(o Object) error {
	if err := backend.CheckName(o.Name); err != nil {
		return err
	}
	if s.objects[o.Name] != nil {
		return errors.New("the name is repeated")
	}
	if len(o.Versions) == 0 {
		return errors.New("the object has no versions")
	}
	for _, v := range o.Versions {
		if err := v.check(); err != nil {
			return fmt.Errorf("version %q: %w", v.ID, err)
		}
		if loaded := s.objects[o.Name]; loaded != nil && loaded.has(v.ID) {
			return fmt.Errorf("version %q: the ID is repeated", v.ID)
		}
		s.append(o.Name, v)
	}
	return nil
}

func (v Version) check() error {
	switch {
	case v.ID == "" || v.ID == "null":
		return errors.New("the ID is empty or \"null\"")
	case v.DeleteMarker && (v.ETag != "" || v.Body != ""):
		return errors.New("a delete marker has neither ETag nor body")
	case !v.DeleteMarker && v.ETag == "":
		return errors.New("the version has no ETag")
	case len(v.Body) > backend.MaxBodyBytes:
		return fmt.Errorf("%w: %d bytes", backend.ErrTooLarge, len(v.Body))
	}
	return nil
}

// Dump returns the whole content of the store. The caller may change the value. Loading
// it yields an equal store.
func (s *Store) Dump() State {
	s.mu.RLock()
	defer s.mu.RUnlock()
	state := State{Writes: s.writes}
	for _, name := range s.names {
		versions := append([]Version(nil), s.objects[name].versions...)
		state.Objects = append(state.Objects, Object{Name: name, Versions: versions})
	}
	return state
}
