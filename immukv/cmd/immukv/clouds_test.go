package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/immukv/immukv-go/backend/s3store/s3test"
)

// TestMain puts this binary on the path as immukv.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"immukv": main})
}

// readmeCommands are the commands of the README's section on the command line.
func readmeCommands(t *testing.T) []string {
	t.Helper()
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n## On the command line\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var commands []string
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "immukv ") {
			commands = append(commands, strings.TrimSuffix(line, "\n"))
		}
	}
	return commands
}

// runReadme runs the README's commands on an emulator of a cloud, and others that go on
// with what they made.
func runReadme(t *testing.T, emulator *s3test.Emulator) {
	t.Helper()
	commands := readmeCommands(t)
	if len(commands) < 4 {
		t.Fatalf("the README has the commands %q", commands)
	}
	commands = append(commands, "immukv doctor", "immukv log", "immukv keys", "immukv verify", "immukv repair", "immukv version")
	for _, command := range commands {
		//nolint:gosec // the README's own
		cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
		cmd.Env = append(emulator.Environ, "IMMUKV_STORE="+emulator.URL, "IMMUKV_PREFIX=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", command, err, out)
		}
	}
	cmd := exec.CommandContext(t.Context(), "immukv", "get", "sensor-012352", "--value")
	cmd.Env = append(emulator.Environ, "IMMUKV_STORE="+emulator.URL, "IMMUKV_PREFIX=")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != `{"alpha":0.15,"beta":2.8}`+"\n" {
		t.Errorf("get: %v: %s", err, out)
	}
}

// Every command of the README works on Google Cloud Storage and on Azure Blob Storage, as
// far as their emulators go.
func TestReadmeOnClouds(t *testing.T) {
	t.Parallel()
	t.Run("gs", func(t *testing.T) {
		t.Parallel()
		runReadme(t, s3test.StartFakeGCS(t))
	})
	t.Run("azblob", func(t *testing.T) {
		t.Parallel()
		if os.Getenv("IMMUKV_AZURITE") != "1" {
			t.Log("left out: it needs npm; run make azurite, and set IMMUKV_AZURITE=1")
			return
		}
		runReadme(t, s3test.StartAzurite(t))
	})
}
