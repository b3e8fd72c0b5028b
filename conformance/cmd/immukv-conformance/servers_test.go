package main

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
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
	// Emulators go through the whole bucket for each listing. The command removes what
	// each part wrote.
	parts := []string{"S", "I1,I2,I3,I4", "I5,I6,I7,I8,I9", "I10,I11,I12,I13,I14", "I15,I16,I17,I18"}
	s3test.EachEmulator(t, func(t *testing.T, emulator *s3test.Emulator) {
		all := 0
		for _, part := range parts {
			//nolint:gosec // the test's own program, found by its name on the PATH that testscript set up
			cmd := exec.CommandContext(t.Context(), "immukv-conformance", "--quick", "--store", emulator.URL, "--only", part)
			cmd.Env = emulator.Environ
			out, err := cmd.CombinedOutput()
			counts := regexp.MustCompile(`(?m)^(\d+) checks: .* 0 failed, `).FindSubmatch(out)
			if err != nil || counts == nil {
				t.Errorf("%s: %v:\n%s", part, err, out)
				continue
			}
			n, _ := strconv.Atoi(string(counts[1]))
			all += n
		}
		if want := len(readMatrix(t).Stores[0].Results); all != want && !t.Failed() {
			t.Errorf("the parts have %d checks together, of %d", all, want)
		}
	})
}
