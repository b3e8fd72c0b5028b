// Package cli is the command line of ImmuKV as a package, so that a command for a
// store of one's own is a main function:
//
//	package main
//
//	import (
//		_ "example.com/mystore" // registers mystore:// with package backend
//
//		"github.com/immukv/immukv-go/immukv/cli"
//	)
//
//	func main() { cli.Main() }
//
// Such a command opens mem:// and file:// and whatever the imported packages have
// registered with backend.Register. Command immukv is this with S3.
//
// The package is not a library for programs: those use package immukv.
package cli

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Main runs the command line of the process and exits with its code. The first
// interrupt or SIGTERM ends the command in good order, a second one at once.
func Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Run runs one command line, without the program's name, and returns its exit
// code; the help of the command lists the codes. The end of ctx ends the command.
// The environment's IMMUKV_STORE and IMMUKV_PREFIX are defaults for --store and
// --prefix. Run may be called from several goroutines if their streams differ.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	cmd, err := a.root(args).ExecuteContextC(ctx)
	if a.telemetry != nil {
		if err := a.telemetry.close(ctx); err != nil {
			a.logger().Warn("telemetry was not closed", "error", err)
		}
	}
	if err == nil {
		return exitDone
	}
	if !a.parsed {
		err = &usageError{err}
	}
	a.complain(ctx, cmd, err)
	return exitCode(err)
}
