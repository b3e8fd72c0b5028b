package memstore_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
)

// TestForeignStores loads stores that ImmuKV's other clients left on a real
// server.
func TestForeignStores(t *testing.T) {
	paths, err := filepath.Glob("../../immukv/testdata/vectors/stores/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatal("no stores in testdata", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var state memstore.State
			if err := json.Unmarshal(text, &state); err != nil {
				t.Fatal(err)
			}
			s, err := memstore.Load(state)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(state, s.Dump()); diff != "" {
				t.Errorf("dumped differently:\n%s", diff)
			}
			checkHolds(t, s, state)
		})
	}
}

func checkHolds(t *testing.T, s *memstore.Store, state memstore.State) {
	t.Helper()
	var names []string
	for _, o := range state.Objects {
		names = append(names, o.Name)
		listed := listVersions(t, s, o.Name, backend.VersionsRequest{Limit: 2})
		if len(listed) != len(o.Versions) {
			t.Fatalf("%q: listed %d versions of %d", o.Name, len(listed), len(o.Versions))
		}
		for i, v := range o.Versions {
			want := backend.Version{ID: v.ID, ETag: v.ETag, DeleteMarker: v.DeleteMarker}
			if got := listed[len(listed)-1-i]; got != want {
				t.Errorf("%q version %d: listed %+v, want %+v", o.Name, i, got, want)
			}
			got, err := s.GetVersion(t.Context(), o.Name, v.ID)
			if err != nil || got.Version != want || string(got.Body) != v.Body {
				t.Errorf("%q version %d: got %+v, %v", o.Name, i, got, err)
			}
		}
	}
	if diff := cmp.Diff(names, listNames(t, s, backend.NamesRequest{Limit: 2})); diff != "" {
		t.Errorf("names:\n%s", diff)
	}
}

// TestStateJSON is the way of a state through JSON, bodies that are no text
// included.
func TestStateJSON(t *testing.T) {
	s := memstore.New()
	for name, body := range map[string]string{"text": `{"a":"<é>"}`, "bytes": "\x00\xff\xfe", "empty": ""} {
		put(t, s, name, body, backend.IfAbsent())
	}
	text, err := json.Marshal(s.Dump())
	if err != nil {
		t.Fatal(err)
	}
	var back memstore.State
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.Dump(), back); diff != "" {
		t.Error(diff)
	}
}

func TestLoadedDeleteMarker(t *testing.T) {
	s, err := memstore.Load(memstore.State{Objects: []memstore.Object{
		{Name: "gone", Versions: []memstore.Version{
			{ID: "v1", ETag: "e1", Body: "1"},
			{ID: "d1", DeleteMarker: true},
		}},
		{Name: "kept", Versions: []memstore.Version{{ID: "v1", ETag: "e1"}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, get := s.Get(t.Context(), "gone")
	_, head := s.Head(t.Context(), "gone")
	_, marker := s.GetVersion(t.Context(), "gone", "d1")
	for _, err := range []error{get, head, marker} {
		if !errors.Is(err, backend.ErrNotFound) {
			t.Errorf("reading a deleted object: %v", err)
		}
	}
	if _, err := s.Put(t.Context(), "gone", nil, backend.IfMatch("e1")); !errors.Is(err, backend.ErrPreconditionFailed) {
		t.Errorf("S2: matching the version before the marker: %v", err)
	}
	if diff := cmp.Diff([]string{"kept"}, listNames(t, s, backend.NamesRequest{})); diff != "" {
		t.Errorf("names:\n%s", diff)
	}
	want := []backend.Version{{ID: "d1", DeleteMarker: true}, {ID: "v1", ETag: "e1"}}
	if diff := cmp.Diff(want, listVersions(t, s, "gone", backend.VersionsRequest{})); diff != "" {
		t.Errorf("versions:\n%s", diff)
	}
	put(t, s, "gone", "2", backend.IfAbsent())
	if diff := cmp.Diff([]string{"gone", "kept"}, listNames(t, s, backend.NamesRequest{})); diff != "" {
		t.Errorf("names after a new version:\n%s", diff)
	}
}

// TestIDsAfterLoad takes the newest version out of a dump: its ID must not
// come back for another.
func TestIDsAfterLoad(t *testing.T) {
	s := memstore.New()
	first := put(t, s, "a", "1", backend.IfAbsent())
	second := put(t, s, "a", "2", backend.IfMatch(first.ETag))
	state := s.Dump()
	state.Objects[0].Versions = state.Objects[0].Versions[:1]
	cut, err := memstore.Load(state)
	if err != nil {
		t.Fatal(err)
	}
	if again := put(t, cut, "a", "3", backend.IfMatch(first.ETag)); again.ID == second.ID {
		t.Errorf("S9: version ID %q came back", again.ID)
	}

	// A state that somebody wrote by hand may hold any ID.
	state.Writes = 0
	foreign, err := memstore.Load(state)
	if err != nil {
		t.Fatal(err)
	}
	if again := put(t, foreign, "a", "3", backend.IfMatch(first.ETag)); again.ID == first.ID {
		t.Errorf("S9: version ID %q given twice", again.ID)
	}
}

func TestLoadRefuses(t *testing.T) {
	good := memstore.Version{ID: "v1", ETag: "e1", Body: "1"}
	for why, objects := range map[string][]memstore.Object{
		"invalid object name":       {{Name: "", Versions: []memstore.Version{good}}},
		"name is repeated":          {{Name: "a", Versions: []memstore.Version{good}}, {Name: "a", Versions: []memstore.Version{good}}},
		"no versions":               {{Name: "a"}},
		"ID is repeated":            {{Name: "a", Versions: []memstore.Version{good, good}}},
		`the ID is empty or "null"`: {{Name: "a", Versions: []memstore.Version{{ID: "null", ETag: "e"}}}},
		"no ETag":                   {{Name: "a", Versions: []memstore.Version{{ID: "v1"}}}},
		"delete marker":             {{Name: "a", Versions: []memstore.Version{{ID: "v1", ETag: "e", DeleteMarker: true}}}},
		"too large":                 {{Name: "a", Versions: []memstore.Version{{ID: "v1", ETag: "e", Body: strings.Repeat("x", backend.MaxBodyBytes+1)}}}},
	} {
		if _, err := memstore.Load(memstore.State{Objects: objects}); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("want an error about %q, got %v", why, err)
		}
	}
}
