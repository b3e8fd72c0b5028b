package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/immukv/immukv-go/backend"
)

// A store may be unavailable for a request, which then has no effect (S17), as
// a busy S3 is for one in many. The suite waits, repeats the request, and
// counts the repetitions. A store that is still unavailable after that fails
// the check.
const (
	availableTries = 8
	// The wait begins with firstWait and doubles. It is longer if the store
	// asks for more, up to longestWait.
	firstWait   = 20 * time.Millisecond
	longestWait = 5 * time.Second
)

// available makes a call, repeats it while the store is unavailable, and
// returns its error. It does not repeat the call if raw returns true. A nil raw
// returns false.
func (w *watch) available(ctx context.Context, raw func() bool, call func() error) error {
	for try := 1; ; try++ {
		err := call()
		switch {
		case !errors.Is(err, backend.ErrUnavailable) || errors.Is(err, backend.ErrOutcomeUnknown) || raw != nil && raw():
			return err
		case w.gone.Load():
			return err // every call would wait as long
		case try == availableTries:
			w.gone.Store(true)
			return fmt.Errorf("still unavailable after %d attempts: %w", try, err)
		}
		timer := time.NewTimer(min(max(firstWait<<(try-1), backend.RetryAfter(err)), longestWait))
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
		w.unavailable.Add(1)
	}
}
