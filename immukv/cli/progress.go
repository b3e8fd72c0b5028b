package cli

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows on standard error how far a long command has come. It shows
// nothing unless that is a terminal, and nothing that would mix with data on the
// same one.
type progress struct{ bar *progressbar.ProgressBar }

// newProgress begins to show progress towards a total, or, if that is negative,
// just that there is some.
func (a *app) newProgress(what string, total int64, opts ...progressbar.Option) *progress {
	if !isTerminal(a.stderr) || a.json && isTerminal(a.stdout) || a.logging.format == jsonFormat {
		return &progress{}
	}
	opts = append(opts,
		progressbar.OptionSetWriter(a.stderr),
		progressbar.OptionSetDescription(what),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
	return &progress{bar: progressbar.NewOptions64(total, opts...)}
}

// update shows that so much of so much is done. The total may grow: others may
// go on writing.
func (p *progress) update(done, total int64) {
	if p.bar == nil {
		return
	}
	if total != p.bar.GetMax64() {
		p.bar.ChangeMax64(total)
	}
	// The bar goes by the terminal, whose failure is none of the command's.
	_ = p.bar.Set64(done)
}

// clear takes the bar away, for what is printed next.
func (p *progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
