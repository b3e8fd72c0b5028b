package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	_ "github.com/immukv/immukv-go/backend/s3store" // as in command immukv
)

// TestMain puts this binary on the path as immukv, for scripts and for tests that
// need processes of their own, and as raise, which uses the library.
func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){"immukv": Main, "raise": raise})
}

// leakless looks for goroutines left behind when all tests have passed.
type leakless struct{ m *testing.M }

func (l leakless) Run() int {
	code := l.m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("IMMUKV_STORE", "file://"+filepath.ToSlash(env.WorkDir)+"/store?create_dir=true")
			env.Setenv("TMPDIR", env.WorkDir)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":     exits,
			"keep":      keep,
			"unchanged": unchanged,
			"fields":    fields,
			"edit":      edit,
		},
	})
}

// exits CODE COMMAND… runs a command and wants that exit code of it.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// keep DIR remembers what files a directory has and what is in them, and
// unchanged DIR wants it to be the same still.
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keep DIR")
	}
	kept, err := json.Marshal(tree(ts.MkAbs(args[0])))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("kept-"+filepath.Base(args[0])), kept, 0o600))
}

func unchanged(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: unchanged DIR")
	}
	var kept map[string]string
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("kept-"+filepath.Base(args[0]))), &kept))
	if diff := cmp.Diff(kept, tree(ts.MkAbs(args[0]))); diff != "" {
		ts.Fatalf("%s changed (-before +after):\n%s", args[0], diff)
	}
}

// tree is every file and directory below dir, with what is in it.
func tree(dir string) map[string]string {
	files := make(map[string]string)
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // what is not there is not in the tree
		}
		name, _ := filepath.Rel(dir, path)
		if entry.IsDir() {
			files[name+"/"] = ""
			return nil
		}
		body, err := os.ReadFile(path)
		files[name] = strconv.Quote(string(body))
		return err
	})
	return files
}

// fields FILE NAME… wants each line of a file, which may be stdout, to be a JSON
// object with these fields, in this order, and no others.
func fields(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fields FILE NAME…")
	}
	text := strings.TrimSuffix(ts.ReadFile(args[0]), "\n")
	if text == "" {
		ts.Fatalf("%s is empty", args[0])
	}
	for line := range strings.SplitSeq(text, "\n") {
		got, err := memberNames([]byte(line))
		ts.Check(err)
		if diff := cmp.Diff(args[1:], got); diff != "" {
			ts.Fatalf("fields of %s (-want +got):\n%s", line, diff)
		}
	}
}

// memberNames are the names of the members of a JSON object, in order.
func memberNames(object []byte) ([]string, error) {
	dec := json.NewDecoder(bytes.NewReader(object))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return nil, fmt.Errorf("not a JSON object: %s", object)
	}
	var names []string
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		names = append(names, fmt.Sprint(name))
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// edit FILE OLD NEW replaces the first OLD in a file.
func edit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: edit FILE OLD NEW")
	}
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not contain %q:\n%s", args[0], args[1], text)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, args[1], args[2], 1)), 0o600))
}

// result is how a command line that ran in this process ended.
type result struct {
	code           int
	stdout, stderr string
}

// runHere runs a command line in this process.
func runHere(ctx context.Context, stdin string, args ...string) result {
	var stdout, stderr bytes.Buffer
	code := Run(ctx, args, strings.NewReader(stdin), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// fileURL is the URL of a store on local files.
func fileURL(dir string) string { return "file://" + filepath.ToSlash(dir) + "?create_dir=true" }

// long tells whether the long forms of tests are wanted.
func long() bool { return os.Getenv("IMMUKV_LONG") == "1" }

// skip leaves a test out, which the environment can forbid.
func skip(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("IMMUKV_NO_SKIP") == "1" {
		t.Fatalf("to be skipped, which IMMUKV_NO_SKIP forbids: "+format, args...)
	}
	t.Skipf(format, args...)
}

// needLong leaves out a test that only the long forms have.
func needLong(t *testing.T) {
	t.Helper()
	if !long() {
		skip(t, "only with IMMUKV_LONG=1, as make test sets it")
	}
}
