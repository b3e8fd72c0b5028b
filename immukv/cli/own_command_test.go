package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// ownStore is a package of a store that registers a scheme of its own. It keeps what
// it is given in memory: the test is about the command.
const ownStore = `package mystore

import (
	"context"
	"net/url"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
)

func init() {
	backend.Register("mystore", func(context.Context, *url.URL) (backend.Store, error) {
		return memstore.New(), nil
	})
}
`

// TestOwnCommand builds, in a module of its own, the command for a store of one's own
// that docs/backends.md shows, and runs it.
func TestOwnCommand(t *testing.T) {
	t.Parallel()
	program, err := os.ReadFile("testdata/owncommand/main.go.txt")
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile("../../docs/backends.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(docs), "```go\n"+string(program)+"```") {
		t.Error("docs/backends.md does not show testdata/owncommand/main.go.txt")
	}
	module, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	requires, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	_, after, _ := strings.Cut(string(requires), "\ngo ")
	for name, text := range map[string]string{
		"command/main.go":    string(program),
		"mystore/mystore.go": ownStore,
		"go.sum":             string(sums),
		// The module's own requirements spare the build a look at the network.
		"go.mod": "module example.com\n\ngo " + after +
			"\nrequire " + modulePath + " v0.0.0\n\nreplace " + modulePath + " => " + filepath.ToSlash(module) + "\n",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	command := filepath.Join(dir, "immukv-mystore.exe")
	build := exec.CommandContext(t.Context(), "go", "build", "-mod=mod", "-o", command, "./command")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), command, args...)
		cmd.Env = append(os.Environ(), "IMMUKV_STORE=mystore://here", "IMMUKV_PREFIX=")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run("--json", "set", "a", "1"); err != nil || !strings.Contains(out, `"key":"a"`) {
		t.Errorf("set: %v: %s", err, out)
	}
	if out, err := run("--store", "s3://bucket", "log"); err == nil || !strings.Contains(out, "known schemes: file, mem, mystore") {
		t.Errorf("a store that the command was not built with: %v: %s", err, out)
	}
	if out, err := run("version"); err != nil || !strings.HasPrefix(out, "immukv (devel), go") {
		t.Errorf("version: %v: %s", err, out)
	}
	if out, err := run("demo"); err != nil || !strings.Contains(out, "hash-mismatch") {
		t.Errorf("demo: %v: %s", err, out)
	}
}
