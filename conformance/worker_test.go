package conformance_test

import (
	"bufio"
	"context"
	"io"
	"log"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/blobstore"
	"github.com/immukv/immukv-go/conformance"
)

// What a worker process is told by its environment.
const (
	workOnVar = "CONFORMANCE_TEST_WORK_ON" // the directory of the store
	ordersVar = "CONFORMANCE_TEST_ORDERS"  // how many orders it carries out; empty: all
)

// TestMain is also the worker process of these tests.
func TestMain(m *testing.M) {
	if dir := os.Getenv(workOnVar); dir != "" {
		work(dir, os.Getenv(ordersVar))
		return
	}
	os.Exit(m.Run())
}

func work(dir, orders string) {
	s, err := blobstore.OpenDir(dir)
	if err != nil {
		log.Fatal(err)
	}
	if n, err := strconv.Atoi(orders); err == nil {
		os.Stdin = first(n)
		defer os.Exit(3)
	}
	if err := conformance.Work(context.Background(), s); err != nil {
		log.Fatal(err)
	}
}

// first is the standard input up to its n-th line.
func first(n int) *os.File {
	r, w, err := os.Pipe()
	if err != nil {
		log.Fatal(err)
	}
	lines := bufio.NewReader(os.Stdin) // which is another when the goroutine begins
	go func() {
		for range n {
			line, err := lines.ReadString('\n')
			if err != nil {
				break
			}
			io.WriteString(w, line) //nolint:errcheck // the reader is this process
		}
		w.Close()
	}()
	return r
}

// files makes stores in directories, with the given worker.
func files(t *testing.T, worker func(ctx context.Context, dir string) *exec.Cmd) conformance.Harness {
	root := t.TempDir()
	return conformance.Harness{
		New: func(context.Context) (conformance.Store, error) {
			dir, err := os.MkdirTemp(root, "")
			return conformance.Store{
				Open:   func(context.Context) (backend.VersionedStore, error) { return blobstore.OpenDir(dir) },
				Worker: func(ctx context.Context) (*exec.Cmd, error) { return worker(ctx, dir), nil },
			}, err
		},
	}
}

// obedient is a worker that carries out so many orders; empty: all.
func obedient(orders string) func(context.Context, string) *exec.Cmd {
	return func(ctx context.Context, dir string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), workOnVar+"="+dir, ordersVar+"="+orders)
		return cmd
	}
}

var workerChecks = []string{"S3/processes-racing", "S5/killed-writer", "I1/processes"}

// Where the suite kills a process it is the suite that ends it, however few the
// rounds.
func TestWorkers(t *testing.T) {
	t.Parallel()
	h := files(t, obedient(""))
	h.Rounds = 1
	for name, r := range examine(t, h, workerChecks...) {
		if r.Outcome != conformance.Pass || r.Requests < 1 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// A worker that ends by itself fails the checks that use it, with how it ended.
func TestWorkerThatEnds(t *testing.T) {
	t.Parallel()
	workers := map[string]struct {
		worker func(ctx context.Context, dir string) *exec.Cmd
		seen   string
	}{
		"at once": {func(ctx context.Context, _ string) *exec.Cmd {
			return exec.CommandContext(ctx, "sh", "-c", "exit 7")
		}, "exit status 7"},
		"without its store": {func(ctx context.Context, dir string) *exec.Cmd {
			return obedient("")(ctx, dir+"/none")
		}, "exit status 1"},
		"after its first order": {obedient("1"), "exit status 3"},
		"killed by another": {func(ctx context.Context, _ string) *exec.Cmd {
			return exec.CommandContext(ctx, "sh", "-c", "kill -KILL $$")
		}, "signal: killed"},
		"with other output": {func(ctx context.Context, _ string) *exec.Cmd {
			return exec.CommandContext(ctx, "sh", "-c", "echo a log line; cat >/dev/null")
		}, "on its standard output"},
	}
	for name, w := range workers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := files(t, func(ctx context.Context, dir string) *exec.Cmd {
				cmd := w.worker(ctx, dir)
				cmd.Stderr = io.Discard // it says why, which is not for these tests' readers
				return cmd
			})
			h.Rounds = 20
			for check, r := range examine(t, h, workerChecks...) {
				if r.Outcome != conformance.Fail || !strings.Contains(r.Seen, w.seen) {
					t.Errorf("%s: %+v; want it to be seen to end with %q", check, r, w.seen)
				}
			}
		})
	}
}

// Killing a shell does not kill what it has started.
func TestWorkerInShell(t *testing.T) {
	t.Parallel()
	h := files(t, func(ctx context.Context, dir string) *exec.Cmd {
		cmd := obedient("")(ctx, dir)
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", cmd.Path + "; true"}
		return cmd
	})
	const check = "S5/killed-writer"
	if r := examine(t, h, check)[check]; r.Outcome != conformance.Fail || !strings.Contains(r.Seen, "a shell around it") {
		t.Errorf("%+v", r)
	}
}
