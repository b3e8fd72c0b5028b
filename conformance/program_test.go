package conformance_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program runs the suite outside of go test, and reads no flags.
const program = `package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/conformance"
)

func main() {
	h := conformance.Harness{
		New: func(context.Context) (conformance.Store, error) {
			store := memstore.New()
			return conformance.Store{
				Open: func(context.Context) (backend.VersionedStore, error) { return store, nil },
			}, nil
		},
		Lacks: map[conformance.Facility]string{
			conformance.Restart:    "none",
			conformance.OpenDenied: "none",
			conformance.OpenAbsent: "none",
			conformance.OpenHTTP:   "none",
			conformance.Worker:     "none",
		},
		Rounds: 2,
	}
	results, err := conformance.Examine(context.Background(), h, func(conformance.Result) {})
	if err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	for _, r := range results {
		if err := r.Err(); err != nil {
			fmt.Println(err)
		}
	}
	flag.VisitAll(func(f *flag.Flag) { fmt.Println("a flag nobody asked for:", f.Name) })
	fmt.Println(conformance.Summarize(results))
}
`

// Examine runs in any program: here in one of a module of its own, which has
// nothing to do with package testing.
func TestExamineInAnotherProgram(t *testing.T) {
	t.Parallel()
	tree, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(tree, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const module = "github.com/immukv/immukv-go"
	_, requirements, _ := strings.Cut(read("go.mod"), "\ngo ")
	dir := t.TempDir()
	for name, text := range map[string]string{
		"main.go": program,
		"go.sum":  read("go.sum"),
		// With the module's own requirements, the build sends no request.
		"go.mod": "module example.com/program\n\ngo " + requirements +
			"\nrequire " + module + " v0.0.0\n\nreplace " + module + " => " + filepath.ToSlash(tree) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", "-mod=mod", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), " 0 failed, ") || strings.Contains(string(out), "a flag nobody asked for: test.") {
		t.Errorf("%v: %s", err, out)
	}
}
