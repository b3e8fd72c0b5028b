package conformance

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// worker is a process with its own handle on the store.
type worker struct {
	watch   *watch
	cmd     *exec.Cmd
	in      io.Closer
	orders  *json.Encoder
	answers *json.Decoder
	sent    atomic.Bool  // the suite has killed it, or is about to
	wait    func() error // for it to end, any number of times
}

// processRacers is how many processes work side by side.
const processRacers = 4

// hire starts worker processes. They end with the check at the latest.
func (e *env) hire(ctx context.Context, n int) ([]*worker, error) {
	workers := make([]*worker, n)
	for i := range workers {
		var err error
		if workers[i], err = e.hireOne(ctx); err != nil {
			return nil, err
		}
	}
	return workers, nil
}

func (e *env) hireOne(ctx context.Context) (*worker, error) {
	cmd, err := e.store.Worker(ctx)
	if err != nil {
		return nil, fmt.Errorf("make a worker: %w", err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("make a worker: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("make a worker: %w", err)
	}
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	// A process that it started may keep its output open.
	cmd.WaitDelay = cmp.Or(cmd.WaitDelay, grace)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	w := &worker{
		watch: e.watch, cmd: cmd, in: in, orders: json.NewEncoder(in), answers: json.NewDecoder(bufio.NewReader(out)),
		wait: sync.OnceValue(cmd.Wait),
	}
	context.AfterFunc(ctx, w.kill)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.workers = append(e.workers, w)
	return w, nil
}

// errKilled means that a worker has ended because the suite killed it.
var errKilled = errors.New("the worker process was killed by the suite")

// ask makes the worker perform an order. It returns errKilled if the worker
// ended because the suite killed it.
func (w *worker) ask(o order) (answerTo, error) {
	var a answerTo
	var err error
	w.watch.during(func() string { return "a worker process that was asked to " + o.String() }, func() {
		if err = w.orders.Encode(o); err == nil {
			err = w.answers.Decode(&a)
		}
		if err != nil {
			err = w.ended(err)
		}
	})
	w.watch.unavailable.Add(a.Unavailable)
	return a, err
}

// ended returns the reason why a worker did not answer.
func (w *worker) ended(err error) error {
	if syntax := new(json.SyntaxError); errors.As(err, &syntax) || errors.As(err, new(*json.UnmarshalTypeError)) {
		return fmt.Errorf("the worker process wrote something other than an answer to its standard output: %w", err)
	}
	w.in.Close() // it has nothing left to wait for
	// It may have closed its output and still be running.
	timer := time.AfterFunc(grace, func() { w.cmd.Process.Kill() }) //nolint:errcheck // it may have ended
	defer timer.Stop()
	_ = w.wait() // the state says more
	state := w.cmd.ProcessState
	// A killed process did not exit, except on Windows, where killing makes it
	// exit.
	if w.sent.Load() && (runtime.GOOS == "windows" || !state.Exited()) {
		return errKilled
	}
	return fmt.Errorf("the worker process ended too soon, with %v", state)
}

// kill kills the process.
func (w *worker) kill() {
	w.sent.Store(true)
	_ = w.cmd.Process.Kill() // it may have ended
}

// killed returns an error unless the process ended because the suite killed it.
func (w *worker) killed() error {
	if err := w.ended(io.EOF); !errors.Is(err, errKilled) {
		return unlike("a process to work until it is killed", "%v", err)
	}
	return nil
}

// dismissAll ends the input of the processes, and waits for them.
func (e *env) dismissAll(workers []*worker) error {
	var failed error
	for _, w := range workers {
		w.in.Close()
		if err := e.watch.doing("a worker process whose standard input has ended", w.wait); err != nil && failed == nil {
			failed = fmt.Errorf("a worker process failed: %w", err)
		}
	}
	return failed
}
