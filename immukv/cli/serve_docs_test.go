package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestServeDocument runs the commands of docs/serve.md, on addresses that are free, and
// looks for the tests that it names.
func TestServeDocument(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/serve.md")
	check(t, err)
	folder := t.TempDir()
	env := append(os.Environ(), "IMMUKV_PREFIX=", "IMMUKV_STORE=mem://")
	vkey := strings.TrimSpace(runWith(t, env, "", "tlog", "keygen", "example.com/plant-7", "--out", filepath.Join(folder, "key")))
	check(t, os.WriteFile(filepath.Join(folder, "witnesses"), []byte("quorum none\n"), 0o600))
	commands := 0
	for line := range strings.Lines(string(doc)) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
		args, ok := strings.CutPrefix(line, "immukv serve")
		if !ok {
			continue
		}
		commands++
		p := startPagesIn(t, folder, env, append(strings.Fields(strings.ReplaceAll(args, `"$VKEY"`, vkey)), "--addr", "127.0.0.1:0")...)
		if page := p.get("/trust"); !strings.Contains(page, "The log is empty") {
			t.Errorf("%s: %s", line, page)
		}
		if code, _ := p.end(os.Interrupt); code != exitDone {
			t.Errorf("%s: exit code %d", line, code)
		}
	}
	if commands != 4 {
		t.Errorf("it has %d commands", commands)
	}
	tests, err := exec.CommandContext(t.Context(), "grep", "-rhoE", "^func Test[A-Za-z]+", "internal/serve").Output()
	check(t, err)
	names := regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(string(doc), -1)
	for _, name := range names {
		if !strings.Contains(string(tests), "func "+name[1]+"\n") {
			t.Errorf("it names %s, which there is not", name[1])
		}
	}
	if len(names) < 11 {
		t.Errorf("it names %d tests", len(names))
	}
}
