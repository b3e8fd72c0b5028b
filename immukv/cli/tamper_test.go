package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/immukv"
)

// versionFile is a file of a store that holds a version.
type versionFile struct {
	path      string
	object    string // name of the object
	number    int64  // the version's, from 1
	sequence  int64  // of the entry
	keyObject string // of the entry's key
	body      []byte
}

const logObject = "_log.json"

func (f *versionFile) dir() string { return filepath.Dir(f.path) }

// at is the path of another version of the same object.
func (f *versionFile) at(number int64) string {
	return filepath.Join(f.dir(), fmt.Sprintf("%016d.v%d", int64(1e16-1)-number, number))
}

// tamperedStore is a small store on local files, about to be tampered with.
type tamperedStore struct {
	t     *testing.T
	dir   string
	files []*versionFile
}

// newTamperedStore makes a store of five entries, in both dialects. The newest one
// may be an orphan.
func newTamperedStore(t *testing.T, orphan bool) *tamperedStore {
	t.Helper()
	s := &tamperedStore{t: t, dir: filepath.Join(t.TempDir(), "store")}
	for _, args := range [][]string{
		{"set", "a", `{"x":[1,2.5],"y":null}`},
		{"set", "b/ü", `"\u007f ü"`},
		{"set", "a", `12345678901234567890`},
		{"set", "--dialect", "typescript", "a", `{"é":1}`},
	} {
		if r := runHere(t.Context(), "", append([]string{"--store", fileURL(s.dir)}, args...)...); r.code != exitDone {
			t.Fatal(r.stderr)
		}
	}
	last := startProcess(t, s.dir, "--json", map[bool]string{false: "set", true: "demo-crash"}[orphan], "b/ü", "true")
	last.entries()
	if code := last.wait(); code != map[bool]int{false: exitDone, true: -1}[orphan] {
		t.Fatalf("exit code %d: %s", code, &last.stderr)
	}
	s.find()
	return s
}

// find takes in the version files that the store has.
func (s *tamperedStore) find() {
	paths, err := filepath.Glob(filepath.Join(s.dir, "*", "*.v*"))
	check(s.t, err)
	for _, path := range paths {
		f := &versionFile{path: path}
		f.body, err = os.ReadFile(path)
		check(s.t, err)
		_, number, _ := strings.Cut(filepath.Base(path), ".v")
		f.number, err = strconv.ParseInt(number, 10, 64)
		check(s.t, err)
		var doc struct {
			Key      string
			Sequence int64
			Log      string `json:"log_version_id"`
		}
		check(s.t, json.Unmarshal(f.body, &doc))
		f.sequence, f.object, f.keyObject = doc.Sequence, logObject, "keys/"+doc.Key+".json"
		if doc.Log != "" {
			f.object = f.keyObject
		}
		if f.path != f.at(f.number) {
			s.t.Fatalf("%s is version %d, which is expected at %s", f.path, f.number, f.at(f.number))
		}
		s.files = append(s.files, f)
	}
}

// audit is the report on the store as it is now.
func (s *tamperedStore) audit(flags ...string) (reportJSON, int) {
	s.t.Helper()
	r := runHere(s.t.Context(), "", append([]string{"--store", fileURL(s.dir), "--json", "audit"}, flags...)...)
	var report reportJSON
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		s.t.Fatalf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	return report, r.code
}

// wantFound fails unless the audit finds something and names one of the versions,
// or the entry that one of them holds: by its sequence, in the log or in its key's
// object. Where the two differ in what no hash covers, it cannot tell which of them
// was changed.
func (s *tamperedStore) wantFound(what string, flags []string, versions ...*versionFile) {
	s.t.Helper()
	report, code := s.audit(flags...)
	named := slices.ContainsFunc(report.Findings, func(f findingJSON) bool {
		return slices.ContainsFunc(versions, func(v *versionFile) bool {
			if f.VersionID != nil && f.Object == v.object && string(*f.VersionID) == fmt.Sprintf("v%d", v.number) {
				return true
			}
			return f.Sequence != nil && *f.Sequence == v.sequence && (f.Object == logObject || f.Object == v.keyObject)
		})
	})
	if code != exitFindings || report.Valid || !named {
		found, _ := json.Marshal(report.Findings)
		s.t.Errorf("%s: exit code %d, findings %s", what, code, found)
	}
}

// write puts bodies where versions are, and nil where none is to be.
func (s *tamperedStore) write(path string, body []byte) {
	s.t.Helper()
	if body == nil {
		check(s.t, os.Remove(path))
		return
	}
	check(s.t, os.WriteFile(path, body, 0o666))
}

// meaningless tells whether changing a byte of a version is nothing that an audit
// could find: where a write_id, which no hash covers, has no second copy.
//
//   - The name of the member in a key object: the other clients leave it out when
//     they repair, and members that are unknown are to be ignored.
//   - All of the member in the log, for the newest entry when it is an orphan: its
//     key object has no version yet.
func (f *versionFile) meaningless(i int, orphan bool) bool {
	start := bytes.LastIndex(f.body, []byte(`"write_id"`))
	if f.object != logObject {
		return start < i && i < start+len(`"write_id`)
	}
	return orphan && start < i && i < len(f.body)-len(`"}`)
}

// TestTamperedBytes changes bytes of version files. Package immukv has a test that
// changes each byte to each other one, in memory.
func TestTamperedBytes(t *testing.T) {
	t.Parallel()
	step := 7
	if long() {
		step = 1
	}
	for _, orphan := range []bool{false, true} {
		t.Run(fmt.Sprintf("orphan=%v", orphan), func(t *testing.T) {
			t.Parallel()
			s := newTamperedStore(t, orphan)
			if report, code := s.audit(); code != exitDone || (len(report.Orphans) > 0) != orphan {
				t.Fatalf("exit code %d: %+v", code, report)
			}
			for n, f := range s.files {
				for i := n % step; i < len(f.body); i += step {
					if f.meaningless(i, orphan) {
						continue
					}
					body := bytes.Clone(f.body)
					body[i] ^= 1 << (i / step % 8)
					s.write(f.path, body)
					s.wantFound(fmt.Sprintf("%s version %d, byte %d: %s", f.object, f.number, i, body), nil, f)
				}
				s.write(f.path, f.body)
			}
		})
	}
}

// tampering is a change to the files of a store: what is to stand where, nil for
// nothing.
type tampering struct {
	what    string
	files   map[string][]byte
	touched []*versionFile // an audit must name one of them
	unseen  unseen         // if the hints are gone too
}

// renames tells whether files come or go.
func (c *tampering) renames(original map[string][]byte) bool {
	for path, body := range c.files {
		if body == nil || original[path] == nil {
			return true
		}
	}
	return false
}

// unseen is why an audit of what is left cannot find a change.
type unseen int

const (
	seen unseen = iota
	// cutOff: an orphan was taken from the end of the log. Nothing else tells of
	// it, but for a head that was trusted before.
	cutOff
	// orphaned: the key object's version of the newest entry is gone. That is
	// what an orphan is, and it is repaired as one.
	orphaned
)

// TestTamperedFiles removes, swaps, duplicates and inserts version files.
func TestTamperedFiles(t *testing.T) {
	t.Parallel()
	for _, orphan := range []bool{false, true} {
		t.Run(fmt.Sprintf("orphan=%v", orphan), func(t *testing.T) {
			t.Parallel()
			s := newTamperedStore(t, orphan)
			report, _ := s.audit()
			head := fmt.Sprintf("%d:%s", *report.LastSequence, *report.HeadHash)
			original := readTree(t, s.dir)
			for _, change := range s.tamperings() {
				for _, hints := range []bool{true, false} {
					if !hints && !change.renames(original) {
						continue // they say what is there
					}
					for path, body := range change.files {
						s.write(path, body)
					}
					if !hints {
						s.removeHints()
					}
					what := fmt.Sprintf("%s (hints: %v)", change.what, hints)
					switch {
					case hints || change.unseen == seen:
						s.wantFound(what, nil, change.touched...)
					case change.unseen == cutOff:
						s.wantFound(what, []string{"--trusted-head", head}, change.touched...)
					default:
						if report, _ := s.audit(); len(report.Orphans) == 0 || !report.Valid {
							t.Errorf("%s: %+v, want an orphan", what, report)
						}
					}
					restoreTree(t, s.dir, original)
				}
			}
			if report, code := s.audit(); code != exitDone {
				t.Errorf("restored: exit code %d: %+v", code, report)
			}
		})
	}
}

// tamperings are all that is tried.
func (s *tamperedStore) tamperings() []tampering {
	var all []tampering
	for i, f := range s.files {
		name := fmt.Sprintf("%s version %d", f.object, f.number)
		all = append(all,
			tampering{"removed: " + name, map[string][]byte{f.path: nil}, s.around(f), s.without(f)},
			tampering{"emptied: " + name, map[string][]byte{f.path: {}}, []*versionFile{f}, seen},
			tampering{"cut in half: " + name, map[string][]byte{f.path: f.body[:len(f.body)/2]}, []*versionFile{f}, seen},
		)
		for _, g := range s.files[i+1:] {
			all = append(all, tampering{
				fmt.Sprintf("swapped: %s with %s version %d", name, g.object, g.number),
				map[string][]byte{f.path: g.body, g.path: f.body},
				[]*versionFile{f, g}, seen,
			})
		}
		for _, object := range s.objects() {
			added := *object[0]
			added.number++
			all = append(all, tampering{
				fmt.Sprintf("duplicated: %s, as the newest of %s", name, added.object),
				map[string][]byte{added.at(added.number): f.body},
				[]*versionFile{f, &added}, seen,
			})
		}
		all = append(all, s.shifted(f, name)...)
	}
	return all
}

// shifted are a removal and a duplication of a version with all newer ones of its
// object renumbered, so that no number is missing.
func (s *tamperedStore) shifted(f *versionFile, name string) []tampering {
	removed, doubled := make(map[string][]byte), make(map[string][]byte)
	newest := f
	for _, g := range s.files {
		if g.object == f.object && g.number >= newest.number {
			newest = g
		}
		if g.object == f.object && g.number > f.number {
			removed[f.at(g.number-1)] = g.body
			doubled[f.at(g.number+1)] = g.body
		}
	}
	removed[newest.path] = nil
	doubled[f.at(f.number+1)] = f.body
	return []tampering{
		{"removed, and renumbered: " + name, removed, s.around(f), s.without(f)},
		{"doubled, and renumbered: " + name, doubled, s.around(f), seen},
	}
}

// around are a version, and those that show that it is gone: its entry's other
// version, and the versions above and below it.
func (s *tamperedStore) around(f *versionFile) []*versionFile {
	var found []*versionFile
	for _, g := range s.files {
		if g.sequence == f.sequence || g.object == f.object && (g.number == f.number-1 || g.number == f.number+1) {
			found = append(found, g)
		}
	}
	return found
}

// without tells whether an audit can see that a version is gone.
func (s *tamperedStore) without(f *versionFile) unseen {
	newest, copies := true, 0
	for _, g := range s.files {
		newest = newest && g.sequence <= f.sequence
		if g.sequence == f.sequence {
			copies++
		}
	}
	switch {
	case newest && f.object != logObject:
		return orphaned
	case newest && copies == 1:
		return cutOff
	}
	return seen
}

// objects are the versions of each object, newest first.
func (s *tamperedStore) objects() [][]*versionFile {
	byName := make(map[string][]*versionFile)
	for _, f := range s.files { // whose names count down
		byName[f.object] = append(byName[f.object], f)
	}
	var all [][]*versionFile
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		all = append(all, byName[name])
	}
	return all
}

// removeHints removes what the store keeps beside versions to find them sooner.
func (s *tamperedStore) removeHints() {
	hints, err := filepath.Glob(filepath.Join(s.dir, "*", "latest"))
	check(s.t, err)
	for _, path := range hints {
		check(s.t, os.Remove(path))
	}
}

// readTree is what is in the files below a directory, and restoreTree puts it back.
func readTree(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	check(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files[path], err = os.ReadFile(path)
		}
		return err
	}))
	return files
}

func restoreTree(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for path := range readTree(t, dir) {
		if _, was := files[path]; !was {
			check(t, os.Remove(path))
		}
	}
	for path, body := range files {
		check(t, os.WriteFile(path, body, 0o666))
	}
}

// TestHostileText has texts that no hash covers, or that somebody gave a right hash
// to, try to steer the terminal and to pass for other lines.
func TestHostileText(t *testing.T) {
	t.Parallel()
	const sequence, escaped = "\x1b[2J\nvalid\u009b", `\u001b[2J\nvalid\u009b`
	s := newTamperedStore(t, false)
	last := s.files[0]
	for _, f := range s.files {
		if f.object == logObject && f.sequence > last.sequence {
			last = f
		}
		if f.object != logObject {
			s.write(f.path, bytes.Replace(f.body, []byte(`"log_version_id":"`), []byte(`"log_version_id":"`+escaped), 1))
		}
	}
	forged := "[\n\"\u009b\"]"
	previous := "sha256:" + sequence
	hash, err := immukv.Python.Hash("a", immukv.Hash(previous), last.sequence, 1, []byte(`["\u009b"]`))
	check(t, err)
	s.write(last.path, fmt.Appendf(nil, `{"hash":"%s","key":"a","previous_hash":"sha256:%s","previous_version_id":"%s","sequence":%d,"timestamp_ms":1,"value":%s}`,
		hash, escaped, escaped, last.sequence, forged))
	for _, command := range []string{"get a", "history a", "log", "verify", "audit"} {
		r := runHere(t.Context(), "", append([]string{"--store", fileURL(s.dir), "--read-only"}, strings.Fields(command)...)...)
		out := r.stdout + r.stderr
		if strings.ContainsAny(out, "\x1b\u009b") || strings.Contains(out, "\nvalid") || strings.Contains(out, "\n\"") {
			t.Errorf("%s: %q", command, out)
		}
		if !strings.Contains(out, `\x1b[2J`) && !strings.Contains(out, `["\u009b"]`) {
			t.Errorf("%s shows nothing of it: %q", command, out)
		}
	}
}
