package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// The limits of a log version with several entries.
const (
	maxBatchLines = 1000
	maxBatchBytes = 8 << 20
)

// batchLoader sets several lines at a time: each batch is set as a whole or not at all.
type batchLoader struct {
	*loader
	most   int  // lines of a batch
	atomic bool // all lines must be one batch
	lines  []line
	keys   map[string]int64 // each with the number of its line
	bytes  int
}

// runBatches sets the lines of the input, as run does, n in one log version. A version
// has fewer lines if a key occurs again, or if they would be too large.
func (l *loader) runBatches(reading, setting context.Context, in io.Reader, n int) error {
	b := batchLoader{loader: l, most: n, keys: make(map[string]int64)}
	return b.run(reading, setting, in)
}

// runAtomic sets all lines of the input in one log version, or none of them.
func (l *loader) runAtomic(reading, setting context.Context, in io.Reader) error {
	b := batchLoader{loader: l, most: maxBatchLines, atomic: true, keys: make(map[string]int64)}
	l.atomic = true
	return b.run(reading, setting, in)
}

func (b *batchLoader) run(reading, setting context.Context, in io.Reader) error {
	reading, cancel := context.WithCancel(reading)
	defer cancel()
	lines := readLines(reading, in)
	for {
		var r numbered
		select {
		case r = <-lines:
		case <-reading.Done():
			return reading.Err()
		}
		switch {
		case errors.Is(r.err, io.EOF):
			b.flush(setting)
			return nil
		case r.err != nil:
			if b.atomic || b.flush(setting) {
				b.fail(&lineError{r.number, r.err})
			}
			return nil
		}
		if err := b.full(r.line); err != nil {
			if b.atomic {
				b.fail(&lineError{r.number, &inputError{err}})
				return nil
			}
			if !b.flush(setting) {
				return nil
			}
		}
		b.add(r.line)
	}
}

// lineSize estimates the size of a line's entry in a log version.
func lineSize(ln line) int { return len(ln.value) + 6*len(ln.key) + 1024 }

// full returns the reason why a line cannot be added to the batch, or nil if it can.
func (b *batchLoader) full(ln line) error {
	first, again := b.keys[ln.key]
	switch {
	case len(b.lines) == b.most:
		return fmt.Errorf("a log version holds at most %d lines", b.most)
	case again:
		return fmt.Errorf("it has the same key as line %d, and a log version holds a key once", first)
	case len(b.lines) > 0 && b.bytes+lineSize(ln) > maxBatchBytes:
		return fmt.Errorf("with it, the lines have more than %d bytes: %w", maxBatchBytes, immukv.ErrValueTooLarge)
	}
	return nil
}

func (b *batchLoader) add(ln line) {
	b.lines = append(b.lines, ln)
	b.keys[ln.key] = ln.number
	b.bytes += lineSize(ln)
}

// flush sets the lines of the batch. It reports false if that ends the load.
func (b *batchLoader) flush(ctx context.Context) bool {
	lines := b.lines
	b.lines, b.bytes = nil, 0
	clear(b.keys)
	if len(lines) == 0 {
		return true
	}
	for _, ln := range lines {
		b.begin(ln)
	}
	writes := make([]immukv.Write[value], len(lines))
	for i, ln := range lines {
		writes[i] = immukv.Write[value]{Key: ln.key, Value: ln.value}
	}
	entries, err := b.db.SetAll(ctx, writes...)
	switch {
	case err == nil:
		for i, ln := range lines {
			b.acknowledge(ln, entries[i])
		}
		return !b.passed(lines[len(lines)-1])
	case isAny(err, immukv.ErrInvalidKey, immukv.ErrInvalidValue, immukv.ErrValueTooLarge, backend.ErrInvalidName):
		return b.refused(ctx, lines, &inputError{err})
	}
	b.failBatch(lines, err)
	return false
}

// refused handles a batch with a line that cannot be set: it sets the lines before that
// one by one, and names it in the error.
func (b *batchLoader) refused(ctx context.Context, lines []line, err error) bool {
	if b.atomic {
		b.failBatch(lines, err)
		return false
	}
	for _, ln := range lines {
		if b.setLine(ctx, ln); b.passed(ln) {
			return false
		}
	}
	return true
}

// failBatch records that the lines were not set, or that the outcome is unknown.
func (b *batchLoader) failBatch(lines []line, err error) {
	first, last := lines[0].number, lines[len(lines)-1].number
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.begun)
	b.stopAt, b.failed = first, err
	if first != last {
		b.failed = fmt.Errorf("lines %d to %d: %w", first, last, err)
	} else {
		b.failed = &lineError{first, err}
	}
	if errors.Is(err, immukv.ErrOutcomeUnknown) {
		b.unknownTo = last
	}
}
