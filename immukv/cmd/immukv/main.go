// Command immukv reads, writes and verifies an immutable key-value store.
//
//	export IMMUKV_STORE='file:///var/lib/calibration?create_dir=true'
//	immukv set sensor-012352 '{"alpha":0.15,"beta":2.8}'
//	immukv get sensor-012352
//	immukv history sensor-012352
//	immukv audit
//
// Run immukv help for all of it, and immukv demo for a guided tour.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal ends the command in good order; a second one ends it at
	// once, as it would any program.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
