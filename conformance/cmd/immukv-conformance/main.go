// Command immukv-conformance tests a store, given by its URL, against the contract
// of ImmuKV's stores, clause by clause, and the ImmuKV protocol on it.
//
//	go run ./conformance/cmd/immukv-conformance --store 's3://bucket?region=eu-central-1'
//
// It works below a new directory or prefix, prints beforehand how many requests
// it will make at most, and removes what it wrote if it can. It exits with 0 if
// everything holds, 1 if something does not, and 2 for a usage error.
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

// run returns the exit code, which distinguishes a failed store or run from a
// usage error.
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

// errBroken is returned after the report, which has all the details.
var errBroken = errors.New("the store does not keep the contract")

// failedError is an error that is not a usage error.
type failedError struct{ error }

func (e failedError) Unwrap() error { return e.error }
