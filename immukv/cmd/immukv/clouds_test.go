package main

import (
	"bufio"
	"io"
	"net/http"
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

// Every command of the README, and more on what they made, works on Google Cloud Storage
// and on Azure Blob Storage, as far as their emulators go.
func TestReadmeOnClouds(t *testing.T) {
	t.Parallel()
	commands := readmeCommands(t)
	if len(commands) < 4 {
		t.Fatalf("the README has the commands %q", commands)
	}
	commands = append(commands, "immukv doctor", "immukv log", "immukv keys", "immukv verify", "immukv repair", "immukv version", "immukv help")
	s3test.EachEmulator(t, func(t *testing.T, emulator *s3test.Emulator) {
		run := func(command string) string {
			//nolint:gosec // the README's own
			cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
			cmd.Env = append(emulator.Environ, "IMMUKV_STORE="+emulator.URL, "IMMUKV_PREFIX=")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v: %s", command, err, out)
			}
			return string(out)
		}
		for _, command := range commands {
			run(command)
		}
		if out := run("immukv get sensor-012352 --value"); out != `{"alpha":0.15,"beta":2.8}`+"\n" {
			t.Errorf("get: %s", out)
		}
		servePages(t, append(emulator.Environ, "IMMUKV_STORE="+emulator.URL, "IMMUKV_PREFIX="))
	})
}

// servePages serves pages of what the README's commands wrote.
func servePages(t *testing.T, env []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "immukv", "serve", "--addr", "127.0.0.1:0")
	cmd.Env = env
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(stderr)
	line, err := said.ReadString('\n')
	home, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "serving at ")
	if err != nil || !ok {
		t.Fatalf("serve says %q: %v", line, err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for path, want := range map[string]string{"keys": "sensor-012352", "key?key=sensor-012352": "0.15", "log": "sensor-012352", "trust": "There is none: the newest entry is applied"} {
		resp, err := client.Get(home + path)
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(page), want) {
			t.Errorf("%s: %s, %v: %s", path, resp.Status, err, page)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(said); err != nil || cmd.Wait() != nil {
		t.Errorf("serve ends with %q: %v, %v", rest, err, cmd.ProcessState)
	}
}
