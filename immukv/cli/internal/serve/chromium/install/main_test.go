package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/immukv/cli/internal/serve/chromium"
)

// TestInstall looks for a browser on a path that has none, and installs one if it may.
func TestInstall(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("left out: systems other than Linux have no apt-get, and may have browsers elsewhere")
		return
	}
	t.Setenv(chromium.PathEnv, "")
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if err := install(); !errors.Is(err, chromium.ErrNotFound) || strings.Contains(err.Error(), "\n") {
		t.Errorf("where there is no apt-get: %v", err)
	}
	program := func(name, script string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	calls := filepath.Join(dir, "calls")
	log := fmt.Sprintf("echo \"$@\" >> %q\n", calls)
	program("apt-get", log+"[ \"$1\" = update ]\n")
	if err := install(); !errors.Is(err, chromium.ErrNotFound) {
		t.Errorf("where the package cannot be installed: %v", err)
	}
	browser := filepath.Join(dir, "chromium")
	program("apt-get", log+fmt.Sprintf("[ \"$1\" = update ] || { echo '#!/bin/sh' > %q; /bin/chmod +x %q; }\n", browser, browser))
	err := install()
	if os.Geteuid() != 0 {
		if !errors.Is(err, chromium.ErrNotFound) {
			t.Errorf("who is not root: %v", err)
		}
		if _, err := os.Stat(calls); err == nil {
			t.Error("who is not root ran apt-get")
		}
		return
	}
	if err != nil {
		t.Error(err)
	}
	if err := os.Remove(calls); err != nil {
		t.Fatal(err)
	}
	if err := install(); err != nil {
		t.Errorf("where there is a browser: %v", err)
	}
	if _, err := os.Stat(calls); err == nil {
		t.Error("a browser that is there was not left alone")
	}
}
