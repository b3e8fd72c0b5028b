package s3test

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes the kernel kill the process if the tests end without stopping it,
// for example because of go test's time limit.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
