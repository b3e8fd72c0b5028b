package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/immukv/immukv-go/backend/s3store/s3test"
	"github.com/immukv/immukv-go/conformance"
	"github.com/immukv/immukv-go/conformance/internal/mutants"
)

var (
	update = flag.Bool("update", false, "run the suite on every store at hand, and write docs/conformance.md anew")
	only   = flag.String("only", "", "with -update: the stores to run it on, by their names in the table, with a comma between; \"mutants\" for those; "+
		"the others keep what was found before")
)

const (
	matrixFile = "testdata/matrix.json"
	docFile    = "../../../docs/conformance.md"
	// What is between the two in the document is made by this test.
	docBegin = "<!-- made by make matrix: begin -->\n"
	docEnd   = "<!-- made by make matrix: end -->\n"
)

// matrix is what the suite found on every store at hand.
type matrix struct {
	Date    string         `json:"date"`
	System  string         `json:"system"`
	Stores  []matrixStore  `json:"stores"`
	Mutants []matrixMutant `json:"mutants"`
}

type matrixStore struct {
	Name    string               `json:"name"`
	Version string               `json:"version"`
	Command string               `json:"command"` // how the suite was run, as anyone can
	Healthy bool                 `json:"healthy"` // whether it is expected to pass
	Results []conformance.Result `json:"results"`
	Summary summary              `json:"summary"`
}

type matrixMutant struct {
	Name   string `json:"name"`
	Clause string `json:"clause"`
	Habit  string `json:"habit"`
	Runs   int    `json:"runs"`
	Found  int    `json:"found"`
	Check  string `json:"check"` // one that found it
}

// TestMatrix holds the table in docs/conformance.md to what the code is now; with
// -update it makes the table.
func TestMatrix(t *testing.T) {
	if *update {
		updateMatrix(t)
		return
	}
	t.Parallel()
	m := readMatrix(t)
	doc, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(doc, []byte(docBegin+m.table()+docEnd)) {
		t.Errorf("the table in %s is not that of %s; run make matrix", docFile, matrixFile)
	}
	m.compareChecks(t)
	m.compareMutants(t)
}

// readMatrix reads what was found last.
func readMatrix(t *testing.T) *matrix {
	t.Helper()
	text, err := os.ReadFile(matrixFile)
	if err != nil {
		t.Fatal(err)
	}
	var m matrix
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return &m
}

// compareChecks runs the suite on a store in memory, and expects what the table
// says of it.
func (m *matrix) compareChecks(t *testing.T) {
	target, err := newTarget(t.Context(), settings{store: "mem://"})
	if err != nil {
		t.Fatal(err)
	}
	h := target.harness
	h.Rounds = 1
	now, err := conformance.Examine(t.Context(), h, func(conformance.Result) {})
	if err != nil {
		t.Fatal(err)
	}
	order(now)
	for _, s := range m.Stores {
		if len(s.Results) != len(now) {
			t.Errorf("%s: %d checks in the table, %d in the suite; run make matrix", s.Name, len(s.Results), len(now))
			continue
		}
		for i, was := range s.Results {
			if was.Check != now[i].Check || was.Title != now[i].Title {
				t.Errorf("%s: check %s in the table, %s in the suite; run make matrix", s.Name, was.Check, now[i].Check)
			}
			if s.Command == storeFlag("mem://") && was.Outcome != now[i].Outcome {
				t.Errorf("%s: %s is %s in the table, and now %s: %v", s.Name, was.Check, was.Outcome, now[i].Outcome, now[i].Err())
			}
		}
	}
}

func (m *matrix) compareMutants(t *testing.T) {
	all := mutants.All()
	if len(m.Mutants) != len(all) {
		t.Errorf("%d mutants in the table, and %d there are; run make matrix", len(m.Mutants), len(all))
		return
	}
	for i, was := range m.Mutants {
		if is := all[i]; was.Name != is.Name || was.Clause != is.Clause || was.Habit != is.Habit {
			t.Errorf("mutant %s in the table is now %s; run make matrix", was.Name, is.Name)
		}
		if was.Found != was.Runs {
			t.Errorf("mutant %s was found in %d of %d runs", was.Name, was.Found, was.Runs)
		}
	}
}

func storeFlag(url string) string { return "immukv-conformance --store '" + url + "'" }

// updateMatrix runs the command on every store, and the suite on every mutant.
func updateMatrix(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "immukv-conformance")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build the command: %v\n%s", err, out)
	}
	was := readMatrix(t)
	m := matrix{Date: time.Now().UTC().Format(time.DateOnly), System: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH}
	for _, c := range columns(t) {
		if !selected(c.Name) {
			if i := slices.IndexFunc(was.Stores, func(s matrixStore) bool { return s.Name == c.Name }); i >= 0 {
				m.Stores = append(m.Stores, was.Stores[i])
			}
			continue
		}
		url, env := c.open(t)
		m.run(t, binary, c.matrixStore, url, env)
	}
	if m.Mutants = was.Mutants; selected("mutants") {
		m.hunt(t)
	}

	text, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(matrixFile, append(text, '\n'), 0o666); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begun := strings.Cut(string(doc), docBegin)
	_, after, ended := strings.Cut(rest, docEnd)
	if !begun || !ended {
		t.Fatalf("%s has no place for the table", docFile)
	}
	if err := os.WriteFile(docFile, []byte(before+docBegin+m.table()+docEnd+after), 0o666); err != nil {
		t.Fatal(err)
	}
}

// column is a store of the table, and how it is opened.
type column struct {
	matrixStore
	open func(t *testing.T) (url string, env []string)
}

// columns are the stores at hand, in the order of the table.
func columns(t *testing.T) []column {
	const here = "this module"
	at := func(url string) func(*testing.T) (string, []string) {
		return func(*testing.T) (string, []string) { return url, nil }
	}
	all := []column{
		{matrixStore{Name: "memstore", Version: here, Healthy: true}, at("mem://")},
		{matrixStore{Name: "files", Version: here, Healthy: true}, func(t *testing.T) (string, []string) {
			return "file://" + filepath.ToSlash(t.TempDir()), nil
		}},
		{matrixStore{Name: "memblob", Version: version(t, "gocloud.dev"), Healthy: true}, at("specimen:memblob")},
		{matrixStore{Name: "simulator", Version: here, Healthy: true}, at("specimen:sim")},
	}
	for _, software := range s3test.All {
		all = append(all, column{matrixStore{Name: software.Name, Version: software.Version, Healthy: true}, func(t *testing.T) (string, []string) {
			server := s3test.Start(t, software)
			return server.StoreURL(server.NewBucket(t)), server.Environ()
		}})
	}
	emulator := func(start func(testing.TB) *s3test.Emulator) func(*testing.T) (string, []string) {
		return func(t *testing.T) (string, []string) {
			e := start(t)
			return e.URL, e.Environ
		}
	}
	return append(all,
		column{matrixStore{Name: s3test.FakeGCS.Name, Version: s3test.FakeGCS.Version, Healthy: true}, emulator(s3test.StartFakeGCS)},
		column{matrixStore{Name: "Azurite", Version: s3test.AzuriteVersion, Healthy: true}, emulator(s3test.StartAzurite)},
		column{matrixStore{Name: "gofakes3", Version: version(t, "github.com/johannesboyne/gofakes3")}, at("specimen:gofakes3")},
		column{matrixStore{Name: "fileblob", Version: version(t, "gocloud.dev")}, at("specimen:fileblob")},
	)
}

// selected reports whether a column of the table, or the mutants, are to be found
// anew.
func selected(name string) bool {
	return *only == "" || slices.Contains(strings.Split(*only, ","), name)
}

func version(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	return module + " " + strings.TrimSpace(string(out))
}

// run runs the command on a store.
func (m *matrix) run(t *testing.T, binary string, s matrixStore, url string, env []string) {
	t.Helper()
	t.Logf("%s …", s.Name)
	began := time.Now()
	args := []string{"--store", url, "--json", "--seed", "1"}
	if !s.Healthy {
		args = append(args, "--quick") // a few rounds find its faults
	}
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = env
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("%s: %v", s.Name, err)
	}
	s.Command = storeFlag(place(url))
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var line json.RawMessage
		if err := decoder.Decode(&line); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		var r conformance.Result
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		if r.Check == "" {
			if err := json.Unmarshal(line, &s.Summary); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := r.Err(); err != nil && s.Healthy {
			t.Errorf("%s: %v", s.Name, err)
		}
		s.Results = append(s.Results, r)
	}
	order(s.Results)
	t.Logf("%s: %d requests in %v", s.Name, s.Summary.Requests, time.Since(began).Round(time.Second))
	if s.Summary.Holds != s.Healthy {
		t.Errorf("%s: holds is %t", s.Name, s.Summary.Holds)
	}
	m.Stores = append(m.Stores, s)
}

// place is a URL as the document has it: without what is this machine's.
func place(url string) string {
	if path, ok := strings.CutPrefix(url, "file://"); ok && path != "" {
		return "file:///dir"
	}
	for _, parameter := range []string{"endpoint=", "domain="} {
		if before, _, ok := strings.Cut(url, parameter); ok {
			return before + parameter + "…"
		}
	}
	return url
}

// hunt runs the suite on every mutant, several side by side.
func (m *matrix) hunt(t *testing.T) {
	const runs = 20
	all := mutants.All()
	m.Mutants = make([]matrixMutant, len(all))
	var hunting errgroup.Group
	hunting.SetLimit(4)
	for n, mutant := range all {
		hunting.Go(func() error {
			entry := matrixMutant{Name: mutant.Name, Clause: mutant.Clause, Habit: mutant.Habit, Runs: runs}
			for i := range runs {
				h := mutant.Harness()
				h.Only, h.Seed = []string{mutant.Clause}, uint64(i)
				results, err := conformance.Examine(t.Context(), h, func(conformance.Result) {})
				if err != nil {
					return err
				}
				for _, r := range results {
					if r.Outcome == conformance.Fail {
						entry.Found++
						entry.Check = r.Check
						break
					}
				}
			}
			if entry.Found < runs {
				t.Errorf("mutant %s survived %d of %d runs", mutant.Name, runs-entry.Found, runs)
			}
			m.Mutants[n] = entry
			return nil
		})
	}
	if err := hunting.Wait(); err != nil {
		t.Fatal(err)
	}
}
