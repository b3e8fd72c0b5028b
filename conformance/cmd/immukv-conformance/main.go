// Command immukv-conformance tests a store, given by its URL, against the
// contract that ImmuKV has with stores, clause by clause, and the ImmuKV
// protocol on it.
//
//	go run ./conformance/cmd/immukv-conformance --store 's3://bucket?region=eu-central-1'
//
// It works under a name of its own beside whatever else the store holds, says
// beforehand how many requests it will make at most, and removes what it wrote
// where it knows how. It exits with 0 if all holds, 1 if something does not, 2
// for a mistake in its use.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run()) }

// run returns the exit code, which tells a store or a run that failed from a
// mistake in how the command was called.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := newCommand().ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if errors.Is(err, errBroken) {
		return 1
	}
	fmt.Fprintf(os.Stderr, "immukv-conformance: %v\n", err)
	if _, failed := errors.AsType[failedError](err); failed {
		return 1
	}
	return 2
}

// errBroken says what the report has said already.
var errBroken = errors.New("the store does not keep the contract")

// failedError is one that is no mistake in the command's use.
type failedError struct{ error }

func (e failedError) Unwrap() error { return e.error }
