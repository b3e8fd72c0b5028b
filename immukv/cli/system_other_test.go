//go:build !linux

package cli

import (
	"os/exec"
	"testing"
)

func unprivileged(t *testing.T, _ string) func(*exec.Cmd) {
	t.Helper()
	skip(t, "how to run a command without the right to write is known for Linux only")
	return nil
}

func onSmallDisk(t *testing.T, _, _ string) result {
	t.Helper()
	skip(t, "how to mount a small file system is known for Linux only")
	return result{}
}
