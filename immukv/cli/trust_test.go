package cli

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTrustCommands runs every command of docs/trust.md, in the order in which they stand
// there, in one folder.
func TestTrustCommands(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/trust.md")
	check(t, err)
	dir := t.TempDir()
	env := append(os.Environ(), "IMMUKV_STORE="+fileURL(filepath.Join(dir, "store")))
	commands := 0
	for _, block := range regexp.MustCompile("(?s)```(?:sh|cron)\n(.*?)```").FindAllSubmatch(text, -1) {
		for line := range strings.Lines(string(block[1])) {
			command := strings.TrimSpace(line)
			if command == "" {
				continue
			}
			commands++
			command = inFolder(command)
			run := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(command, "immukv ", "exec immukv ", 1))
			run.Dir, run.Env = dir, env
			if strings.Contains(command, "--every") || strings.Contains(command, "tlog serve") {
				untilItSpeaks(t, run, command)
				continue
			}
			out, err := run.Output()
			if err != nil {
				t.Fatalf("%s: %v\n%s%s", command, err, out, run.Stderr)
			}
			if strings.Contains(command, "keygen") && commands == 1 {
				env = append(env, "VKEY="+strings.TrimSpace(string(out)))
				set := runHere(t.Context(), "", "--store", fileURL(filepath.Join(dir, "store")), "set", "sensor-7", "1")
				if set.code != exitDone {
					t.Fatal(set.stderr)
				}
				check(t, os.Symlink("plant-7.key", filepath.Join(dir, "secret"))) // of the cron job
			}
		}
	}
	if commands < 12 {
		t.Errorf("docs/trust.md has only %d commands", commands)
	}
	if proved := runHere(t.Context(), "", "tlog", "check", filepath.Join(dir, "sensor-7.tlog-proof"), "--verifier", verifierIn(env)); !strings.Contains(proved.stdout, "sensor-7") {
		t.Errorf("the proof: %s%s", proved.stdout, proved.stderr)
	}
}

func verifierIn(env []string) string {
	for _, v := range env {
		if key, ok := strings.CutPrefix(v, "VKEY="); ok {
			return key
		}
	}
	return ""
}

// inFolder is a command of the document with what is not there in a test replaced: the
// times of a cron job, folders of the system and a port that may be taken.
func inFolder(command string) string {
	command = strings.TrimPrefix(command, "*/5 * * * *")
	return strings.NewReplacer("/run/secrets/plant-7", "secret", "/var/lib/", "", "127.0.0.1:8080", "127.0.0.1:0").Replace(strings.TrimSpace(command))
}

// untilItSpeaks runs a command that goes on until it is interrupted, for one line.
func untilItSpeaks(t *testing.T, run *exec.Cmd, command string) {
	t.Helper()
	out, err := run.StdoutPipe()
	check(t, err)
	run.Stderr = run.Stdout
	check(t, run.Start())
	if !bufio.NewScanner(out).Scan() {
		t.Errorf("%s: it says nothing", command)
	}
	check(t, run.Process.Signal(os.Interrupt))
	if err := run.Wait(); err != nil {
		t.Errorf("%s: %v", command, err)
	}
}
