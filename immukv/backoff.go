package immukv

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/immukv/immukv-go/backend"
)

const (
	backoffBase = 10 * time.Millisecond
	backoffCap  = 2 * time.Second
	// lostRaceCap is the limit after a lost race, which is no sign of an overloaded
	// store. A writer that never pauses leaves the others only short gaps, so they must
	// try often.
	lostRaceCap = 500 * time.Millisecond
	// batchingCap is that limit for a client that batches: others rest from time to time
	// (see turn), and it must try within such a rest.
	batchingCap = 80 * time.Millisecond
)

// backoff spaces attempts with full jitter: each wait is drawn evenly between zero and a
// limit that doubles. Without jitter, writers that lost a race together would lose the
// next one together.
type backoff struct {
	random  io.Reader
	raceCap time.Duration // the limit after a lost race
	waits   int
}

// wait pauses after a request that failed with the given error, for at least as long as
// the store asked for.
func (b *backoff) wait(ctx context.Context, failure error) error {
	limit := min(backoffBase<<min(b.waits, 16), backoffCap)
	if errors.Is(failure, backend.ErrPreconditionFailed) {
		limit = min(limit, b.raceCap)
	}
	b.waits++
	d, err := jitter(b.random, limit)
	if err != nil {
		return err
	}
	timer := time.NewTimer(max(d, backend.RetryAfter(failure)))
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

// sharedReader lets several goroutines read from a source of random bytes, one at a time.
type sharedReader struct {
	mu   sync.Mutex
	from io.Reader
}

func (r *sharedReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.from.Read(p)
}
