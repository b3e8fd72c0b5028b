package chromium

import (
	"context"
	"errors"
	"os"
	"testing"
)

// ForTest starts a browser that runs until the test and its subtests end. It is for the
// long forms of tests, which IMMUKV_LONG=1 asks for. Otherwise, and where there is no
// browser, the test is skipped; with IMMUKV_NO_SKIP=1 it fails.
func ForTest(tb testing.TB) *Browser {
	tb.Helper()
	skip := tb.Skip
	if os.Getenv("IMMUKV_NO_SKIP") == "1" {
		skip = tb.Fatal
	}
	if os.Getenv("IMMUKV_LONG") != "1" {
		skip("left out: it starts a browser; set IMMUKV_LONG=1, as make test does")
	}
	// Subtests that run in parallel go on when the context of the test has ended.
	b, err := Start(context.WithoutCancel(tb.Context()))
	if errors.Is(err, ErrNotFound) {
		skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(b.Close)
	return b
}
