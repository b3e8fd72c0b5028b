package cli

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const nobody = 65534 // the user, and the group

// unprivileged takes the right to write to a store's directory away, and returns
// what makes a command run without it: as another user, if this one is root, whom
// no mode keeps out.
func unprivileged(t *testing.T, dir string) func(*exec.Cmd) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o444)
		if entry.IsDir() {
			mode = 0o555
			t.Cleanup(func() { check(t, os.Chmod(path, 0o755)) })
		}
		return os.Chmod(path, mode)
	}))
	if os.Getuid() != 0 {
		return func(*exec.Cmd) {}
	}
	binary, err := exec.LookPath("immukv")
	check(t, err)
	for _, path := range []string{dir, binary} {
		for path = filepath.Dir(path); path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
			check(t, os.Chmod(path, 0o755))
		}
	}
	return func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
}

// onSmallDisk runs a shell script with a file system of 512 kB mounted on a
// directory, which only it and its children see.
func onSmallDisk(t *testing.T, dir, script string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `mount -t tmpfs -o size=512k tmpfs "$0" || exit 100`+"\n"+script, dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		skip(t, "no mounts of one's own here: %v", err)
	}
	_ = cmd.Wait() // the state says more
	code := cmd.ProcessState.ExitCode()
	if code == 100 {
		skip(t, "no small file system can be mounted here: %s", &stderr)
	}
	return result{code, stdout.String(), stderr.String()}
}
