package s3test

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel kill the process if the tests end without
// stopping it, as those do that run into go test's time limit.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
