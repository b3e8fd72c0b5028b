package cli

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress prints the progress of a long command on standard error. It prints nothing
// unless that is a terminal, and nothing that would mix with data on the same terminal.
type progress struct{ bar *progressbar.ProgressBar }

// newProgress starts a progress bar with a total, or one without if the total is
// negative.
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

// update sets how much is done, and of how much. The total may grow if others write.
func (p *progress) update(done, total int64) {
	if p.bar == nil {
		return
	}
	if total != p.bar.GetMax64() {
		p.bar.ChangeMax64(total)
	}
	// An error of the terminal must not fail the command.
	_ = p.bar.Set64(done)
}

// clear removes the bar before other output.
func (p *progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
