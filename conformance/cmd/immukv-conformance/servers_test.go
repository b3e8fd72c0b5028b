package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend/s3store/s3test"
)

// TestServers has the command test real servers with what needs processes of
// its own: they race, write as clients of one log, and are killed at it.
func TestServers(t *testing.T) {
	t.Parallel()
	if os.Getenv("IMMUKV_LONG") != "1" {
		t.Log("left out: it takes seconds of every server; set IMMUKV_LONG=1")
		return
	}
	for _, software := range s3test.All {
		t.Run(software.Name, func(t *testing.T) {
			t.Parallel()
			server := s3test.Start(t, software)
			//nolint:gosec // the test's own program, found by its name on the PATH that testscript set up
			cmd := exec.CommandContext(t.Context(), "immukv-conformance", "--quick",
				"--store", server.StoreURL(server.NewBucket(t)), "--only", "S3/processes-racing,S5/killed-writer,I1,I4")
			cmd.Env = server.Environ()
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "9 checks: 9 passed") {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}

// TestEmulators has the command test the emulators of other clouds, with every check.
func TestEmulators(t *testing.T) {
	t.Parallel()
	if os.Getenv("IMMUKV_LONG") != "1" {
		t.Log("left out: it takes minutes; set IMMUKV_LONG=1")
		return
	}
	s3test.EachEmulator(t, func(t *testing.T, emulator *s3test.Emulator) {
		//nolint:gosec // the test's own program, found by its name on the PATH that testscript set up
		cmd := exec.CommandContext(t.Context(), "immukv-conformance", "--quick", "--store", emulator.URL)
		cmd.Env = emulator.Environ
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), " 0 failed, ") {
			t.Errorf("%v:\n%s", err, out)
		}
	})
}
