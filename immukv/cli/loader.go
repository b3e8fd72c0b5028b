package cli

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/schollz/progressbar/v3"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// loader sets lines. Each worker has its own keys, so that the lines of a key keep their
// order.
type loader struct {
	*app
	db   *client
	bar  *progress
	size int64 // of the input

	mu    sync.Mutex
	set   int64          // how many lines were set
	begun map[int64]bool // lines that workers are setting
	last  int64          // the last line given to a worker
	// stopAt is the first line that is not set, and failed is the reason. Lines before it
	// are still set. Lines after it are set only if they had begun.
	stopAt int64
	failed error
	// unknown are the lines with an unknown outcome. An interrupt can leave several.
	unknown []*lineError
	// recent has the lines that were set before an earlier line was, among others.
	recent []int64
	// atomic: all lines are set, or none.
	atomic bool
	// unknownTo is the last line of a batch with an unknown outcome, which begins with
	// stopAt; 0 if there is none.
	unknownTo int64
}

const noStop = math.MaxInt64

func newLoader(a *app, db *client, size int64) *loader {
	return &loader{
		app: a, db: db, size: size, bar: a.newProgress("loading", size, progressbar.OptionShowBytes(true)),
		begun: make(map[int64]bool), stopAt: noStop,
	}
}

// run sets the lines of the input until it ends, a line fails, or the reading context
// ends. In the last case, it returns that context's error. A line that has begun then
// continues until the setting context ends.
func (l *loader) run(reading, setting context.Context, in io.Reader, concurrency int) error {
	var running sync.WaitGroup
	workers := make([]chan line, concurrency)
	for i := range workers {
		lines := make(chan line)
		workers[i] = lines
		running.Go(func() {
			for ln := range lines {
				l.setLine(setting, ln)
			}
		})
	}
	err := l.deal(reading, in, workers)
	for _, lines := range workers {
		close(lines)
	}
	running.Wait()
	return err
}

// deal distributes lines to the workers.
func (l *loader) deal(ctx context.Context, in io.Reader, workers []chan line) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := readLines(ctx, in)
	for {
		var r numbered
		select {
		case r = <-lines:
		case <-ctx.Done():
			return ctx.Err()
		}
		if errors.Is(r.err, io.EOF) {
			return nil
		}
		if r.err != nil {
			l.fail(&lineError{r.number, r.err})
			return nil
		}
		if !l.begin(r.line) {
			return nil
		}
		hash := fnv.New32a()
		_, _ = io.WriteString(hash, r.key)
		select {
		case workers[hash.Sum32()%uint32(len(workers))] <- r.line:
		case <-ctx.Done():
			l.forgo(r.line)
			return ctx.Err()
		}
	}
}

// numbered is a line, or the error in its place.
type numbered struct {
	line
	err error
}

// readLines reads lines until the first error, io.EOF included, or until ctx ends. A read
// cannot be interrupted: its goroutine may outlive ctx while a terminal or a pipe has no
// data.
func readLines(ctx context.Context, in io.Reader) <-chan numbered {
	lines := make(chan numbered)
	go func() {
		r := newLineReader(in)
		for {
			ln, err := r.next()
			ln.number = r.number
			select {
			case lines <- numbered{ln, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return lines
}

// begin records that a worker starts a line. It reports false if an earlier line failed.
func (l *loader) begin(ln line) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ln.number >= l.stopAt {
		return false
	}
	l.begun[ln.number] = true
	l.last = ln.number
	return true
}

// forgo undoes begin.
func (l *loader) forgo(ln line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.begun, ln.number)
	l.stopAt = min(l.stopAt, ln.number)
}

func (l *loader) passed(ln line) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return ln.number >= l.stopAt
}

// setLine sets one line.
func (l *loader) setLine(ctx context.Context, ln line) {
	if l.passed(ln) {
		return
	}
	entry, err := l.db.Set(ctx, ln.key, ln.value)
	if err != nil {
		if isAny(err, immukv.ErrInvalidKey, immukv.ErrInvalidValue, immukv.ErrValueTooLarge, backend.ErrInvalidName) {
			err = &inputError{err}
		}
		l.fail(&lineError{ln.number, err})
		return
	}
	l.acknowledge(ln, entry)
}

// fail records that a line was not set, and why.
func (l *loader) fail(err *lineError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.begun, err.number)
	if err.number < l.stopAt {
		l.stopAt, l.failed = err.number, err
	}
	if errors.Is(err, immukv.ErrOutcomeUnknown) {
		l.unknown = append(l.unknown, err)
	}
}

// acknowledge records that a line is in the log and, with --json, prints its entry.
func (l *loader) acknowledge(ln line, entry immukv.Entry[value]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.begun, ln.number)
	l.set++
	l.recent = append(l.recent, ln.number)
	if len(l.recent) > 2*maxLoadConcurrency {
		l.recent = slices.DeleteFunc(l.recent, func(n int64) bool { return !l.overtook(n) })
	}
	l.bar.update(ln.end, l.size)
	if !l.json {
		return
	}
	if err := printJSON(l.stdout, newEntryJSON(entry)); err != nil && ln.number < l.stopAt {
		l.stopAt, l.failed = ln.number+1, fmt.Errorf("line %d is set, but printing its entry failed: %w", ln.number, err)
	}
}

// overtook reports whether a line was set before one that precedes it in the input. The
// client serves its writers in order, so there are never many.
func (l *loader) overtook(number int64) bool {
	for begun := range l.begun {
		if begun < number {
			return true
		}
	}
	return false
}

// report prints how many lines were set. If not all of them were, it returns the error
// that says which, and why.
func (l *loader) report(path string, stopped error) error {
	out := l.stdout
	if l.json {
		out = l.stderr
	}
	_, err := fmt.Fprintf(out, "%d set\n", l.set)
	why := l.failed
	if why == nil {
		why = stopped
	}
	if why == nil {
		return err
	}
	why = fmt.Errorf("load %s: %w; %s", path, why, l.extent())
	for _, unknown := range l.unknown {
		if unknown.number != l.stopAt {
			why = errors.Join(why, unknown)
		}
	}
	return why
}

// extent says which lines are set, of an input that was not set to its end.
func (l *loader) extent() string {
	first := min(l.stopAt, l.last+1) // the first line that is not set
	switch {
	case l.atomic && l.unknownTo > 0:
		return "either all lines are set or none"
	case l.atomic:
		return "no line is set"
	case l.unknownTo > first && first > 1:
		return fmt.Sprintf("every line before line %d is set; of lines %d to %d, all or none; and none after them", first, first, l.unknownTo)
	case l.unknownTo > first:
		return fmt.Sprintf("of lines %d to %d, all or none are set; and none after them", first, l.unknownTo)
	}
	slices.Sort(l.recent)
	var after []string
	for _, number := range l.recent {
		if number > first {
			after = append(after, fmt.Sprint(number))
		}
	}
	switch {
	case len(after) > 0:
		return fmt.Sprintf("every line before line %d is set, and of those after it %s", first, strings.Join(after, ", "))
	case first == 1:
		return "no line is set"
	}
	return fmt.Sprintf("every line before line %d is set, and none after it", first)
}
