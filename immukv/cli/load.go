package cli

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"
)

const maxLoadConcurrency = 256

func newLoadCommand(a *app) *cobra.Command {
	var write writeFlags
	var how loadFlags
	cmd := &cobra.Command{
		Use:   "load FILE.jsonl",
		Short: "Set many keys, from a file of JSON lines",
		Long: `Set a key for each line of a file, or of standard input if it is -. A line is

  {"key":"sensor-012352","value":{"alpha":0.15,"beta":2.8}}

with these two fields and no other; blank lines are skipped.

Lines are set one after another, so the log has them in the order of the file. With
--concurrency, several are set at once, and only lines of the same key keep their
order.

With --batch, several lines go into one version of the log, all of them or none, which
is many times faster. A version has fewer lines if a key occurs again, or if they would
exceed 8 MiB. With --atomic, all lines go into one version: up to 1,000, with distinct
keys. The Python and TypeScript clients cannot read such a version: they fail, and write
nothing, while it is the newest.

Load stops at the first line that is wrong or cannot be set, and names it. Then all
lines before it are set, and none after it. With --concurrency, lines after it may be
set, and the message says which. To continue, correct the line and load the rest. An
interrupt stops load in the same way.

It prints how many lines were set. With --json, it prints the entry of each line as
soon as the entry is durable in the log. So a reader of the output knows which lines are
set, even if the command is killed.`,
		Example: `  immukv load calibrations.jsonl
  immukv load --concurrency 8 calibrations.jsonl
  immukv load --batch 100 calibrations.jsonl
  immukv load --atomic release.jsonl
  generate | immukv --json load - > entries.jsonl
  tail -n +1042 calibrations.jsonl | immukv load -`,
		Args: args("FILE.jsonl"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.load(cmd, args[0], how, &write)
		},
	}
	cmd.Flags().IntVar(&how.concurrency, "concurrency", 1, "set up to `n` lines at once")
	cmd.Flags().IntVar(&how.batch, "batch", 1, "put up to `n` lines into one version of the log")
	cmd.Flags().BoolVar(&how.atomic, "atomic", false, "set all lines, or none")
	write.add(cmd.Flags())
	return cmd
}

// loadFlags say how lines are set.
type loadFlags struct {
	concurrency int
	batch       int
	atomic      bool
}

func (f loadFlags) check() error {
	switch {
	case f.concurrency < 1 || f.concurrency > maxLoadConcurrency:
		return usagef("--concurrency %d is not between 1 and %d", f.concurrency, maxLoadConcurrency)
	case f.batch < 1 || f.batch > maxBatchLines:
		return usagef("--batch %d is not between 1 and %d", f.batch, maxBatchLines)
	case f.atomic && f.batch > 1:
		return usagef("--atomic and --batch exclude each other: with --atomic all lines are one batch")
	case f.concurrency > 1 && (f.atomic || f.batch > 1):
		return usagef("--concurrency excludes --batch and --atomic, which set many lines at once")
	}
	return nil
}

func (a *app) load(cmd *cobra.Command, path string, how loadFlags, write *writeFlags) error {
	opts, err := write.options()
	if err != nil {
		return err
	}
	if err := how.check(); err != nil {
		return err
	}
	if err := a.refuseReadOnly("load"); err != nil {
		return err
	}
	reading, cancelReading := a.limit(cmd.Context(), cmd, 0)
	defer cancelReading()
	in, err := a.openInput(reading, path)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	setting, done := withGrace(cmd.Context())
	defer done()
	setting, cancelSetting := a.limit(setting, cmd, 0)
	defer cancelSetting()
	return a.withClient(setting, func(db *client) error {
		l := newLoader(a, db, in.size)
		var stopped error
		switch {
		case how.atomic:
			stopped = l.runAtomic(reading, setting, in)
		case how.batch > 1:
			stopped = l.runBatches(reading, setting, in, how.batch)
		default:
			stopped = l.run(reading, setting, in, how.concurrency)
		}
		l.bar.clear()
		return l.report(path, stopped)
	}, opts...)
}

// input is the input of load, and its size: -1 if that is not known.
type input struct {
	io.Reader
	io.Closer
	size int64
}

func (a *app) openInput(ctx context.Context, path string) (*input, error) {
	if path == "-" {
		return &input{Reader: a.stdin, Closer: io.NopCloser(nil), size: -1}, nil
	}
	return await(ctx, func() (*input, error) { // opening a pipe waits for its writer
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		in := &input{Reader: f, Closer: f, size: -1}
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			in.size = info.Size()
		}
		return in, nil
	})
}
