// Package cli is the command line of ImmuKV as a package. With it, the command for a
// store of your own is a main function:
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
// Such a command opens mem://, file:// and the schemes that the imported packages
// register with backend.Register. The command immukv itself also imports other stores,
// such as S3.
//
// Programs do not use this package: they use package immukv.
package cli

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Main runs the command line of the process and exits with its code. The first
// interrupt or SIGTERM stops the command in an orderly way. A second one stops it at
// once.
func Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Run runs one command line and returns its exit code. The args do not include the
// program's name. The help of the command lists the exit codes. When ctx ends, the
// command stops. The environment variables IMMUKV_STORE and IMMUKV_PREFIX are the
// defaults of --store and --prefix. Several goroutines may call Run at once if each has
// its own streams.
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
