package immukv

import (
	"context"
	"encoding/binary"
	"io"
	"time"
)

const (
	backoffBase = 10 * time.Millisecond
	backoffCap  = 2 * time.Second
)

// backoff spaces attempts with full jitter: each wait is drawn evenly from zero
// to a limit that doubles. Jitter is what lets contending writers that lost
// together not lose together again.
type backoff struct {
	random io.Reader
	waits  int
}

// wait pauses, at least as long as the store asked for.
func (b *backoff) wait(ctx context.Context, asked time.Duration) error {
	limit := backoffBase << min(b.waits, 16)
	b.waits++
	d, err := jitter(b.random, min(limit, backoffCap))
	if err != nil {
		return err
	}
	timer := time.NewTimer(max(d, asked))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func jitter(random io.Reader, limit time.Duration) (time.Duration, error) {
	var b [8]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return 0, err
	}
	return time.Duration(binary.LittleEndian.Uint64(b[:]) % uint64(limit)), nil
}
