package conformance_test

import (
	"bufio"
	"context"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/blobstore"
	"github.com/immukv/immukv-go/conformance"
)

// The environment variables that configure a worker process.
const (
	workOnVar = "CONFORMANCE_TEST_WORK_ON" // the directory of the store
	ordersVar = "CONFORMANCE_TEST_ORDERS"  // how many orders it carries out; empty: all
	spoolVar  = "CONFORMANCE_TEST_SPOOL"   // a file that large bodies pass through; empty: none
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
	var store backend.VersionedStore = s
	if file := os.Getenv(spoolVar); file != "" {
		store = spooled{s, file}
	}
	if err := conformance.Work(context.Background(), store); err != nil {
		log.Fatal(err)
	}
}

// spooled is a store that writes large bodies to a file first, which has the same
// name in every process.
type spooled struct {
	backend.VersionedStore
	file string
}

func (s spooled) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if len(body) < 64<<10 {
		return s.VersionedStore.Put(ctx, name, body, cond)
	}
	body, err := s.spool(body)
	if err != nil {
		return backend.Version{}, &backend.Error{Op: "put", Name: name, Err: err}
	}
	return s.VersionedStore.Put(ctx, name, body, cond)
}

// spool makes the body durable, and reads it back.
func (s spooled) spool(body []byte) ([]byte, error) {
	f, err := os.Create(s.file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Write(body); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	return os.ReadFile(s.file)
}

// Large bodies that processes write at the same time are each read back.
func TestWorkersThatMixUpBodies(t *testing.T) {
	t.Parallel()
	const check = "S13/large-by-processes"
	spool := filepath.Join(t.TempDir(), "spool")
	h := files(t, func(ctx context.Context, dir string) *exec.Cmd {
		cmd := obedient("")(ctx, dir)
		cmd.Env = append(cmd.Env, spoolVar+"="+spool)
		return cmd
	})
	if r := examine(t, h, check)[check]; r.Outcome != conformance.Fail || !strings.Contains(r.Seen, "which differ from byte") {
		t.Errorf("%+v", r)
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

var workerChecks = []string{"S3/processes-racing", "S5/killed-writer", "S13/large-by-processes", "I1/processes", "I1/processes-in-batches"}

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
		}, "to its standard output"},
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
