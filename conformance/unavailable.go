package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/immukv/immukv-go/backend"
)

// A store may be unavailable for a request, which then has no effect (S17): a
// busy S3 answers one in many so. The suite waits and asks again, and counts how
// often it did. A store that is not available after that fails the check.
const (
	availableTries = 8
	// firstWait doubles with each try, and is the time that the store asked for
	// where that is longer.
	firstWait   = 20 * time.Millisecond
	longestWait = 5 * time.Second
)

// available makes a call until the store is available for it, and returns its
// error. Raw reports whether the check asks for that very answer; nil means never.
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
