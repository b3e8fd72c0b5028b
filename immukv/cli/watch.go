package cli

import (
	"bufio"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/immukv/immukv-go/immukv"
)

// watchFlags are the flags of watch.
type watchFlags struct {
	after     checkpointFlag
	from      countFlag
	state     string
	keyPrefix string
	poll      time.Duration
	untilIdle bool
}

func newWatchCommand(a *app) *cobra.Command {
	var flags watchFlags
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Print entries as they come, and verify the log on the way",
		Long: `Print the entries of the log, oldest first, as log prints them, and wait for new ones
until interrupted.

Watch begins with the first entry, or after the checkpoint of --after, which the log
must have, or with the sequence of --from. With --state FILE, it begins at the position
in FILE, if the file exists, and updates the position when its output has been flushed.
If it is killed and started again, it may repeat the entries printed since then, but
omits none.

Each entry must match its hash and follow the one before. If the log was cut off, rolled
back, rewritten or replaced, the command ends with exit code 4 and names the sequence.
If the store does not answer, watch retries without limit.`,
		Example: `  immukv watch
  immukv watch --from 1041
  immukv watch --after 1040:sha256:9f86d081… --key-prefix sensor- --poll 10s
  immukv --json watch --state index.state | update-index
  immukv watch --state seen.state --until-idle`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.watch(cmd, &flags)
		},
	}
	cmd.Flags().Var(&flags.after, "after", "begin after this checkpoint, as `SEQ:HASH`, which the log must have")
	cmd.Flags().Var(&flags.from, "from", "begin with the entry of this `sequence`")
	cmd.Flags().StringVar(&flags.state, "state", "", "`file` for the position: watch begins there and updates it")
	cmd.Flags().StringVar(&flags.keyPrefix, "key-prefix", "", "print only entries of keys that begin with this `prefix`; the others are verified nevertheless")
	cmd.Flags().DurationVar(&flags.poll, "poll", immukv.DefaultPollInterval, "time between two requests for new entries, about this `duration`")
	cmd.Flags().BoolVar(&flags.untilIdle, "until-idle", false, "end when all entries are printed")
	return cmd
}

func (a *app) watch(cmd *cobra.Command, flags *watchFlags) error {
	switch {
	case flags.after.set && cmd.Flags().Changed("from"):
		return usagef("--after and --from exclude each other")
	case flags.poll <= 0:
		return usagef("--poll %v is not positive", flags.poll)
	}
	opts := []immukv.WatchOption{immukv.WithPollInterval(flags.poll)}
	if flags.untilIdle {
		opts = append(opts, immukv.UntilIdle())
	}
	state := &watchState{file: flags.state}
	begin, err := state.load()
	switch {
	case err != nil:
		return err
	case begin != nil:
		opts = append(opts, immukv.After(*begin))
	case flags.after.set:
		opts = append(opts, immukv.After(flags.after.Checkpoint))
	default:
		opts = append(opts, immukv.From(int64(flags.from)))
	}
	ctx, cancel := a.limit(cmd.Context(), cmd, 0)
	defer cancel()
	return a.withClient(ctx, func(db *client) error {
		w := &watchPrinter{app: a, out: bufio.NewWriter(a.stdout), keyPrefix: flags.keyPrefix, state: state}
		err := w.print(db.Watch(ctx, opts...))
		return errors.Join(err, w.keep())
	})
}

// watchPrinter prints entries, and saves its position.
type watchPrinter struct {
	*app
	out       *bufio.Writer
	keyPrefix string
	state     *watchState

	last *immukv.Checkpoint // of the last entry, if not saved yet
	kept time.Time          // when the position was last saved
	bad  int                // entries that were not printed
}

// keepEvery is the interval at which the position is saved while entries come without a
// pause. At a pause, it is saved at once.
const keepEvery = 100 * time.Millisecond

// print prints entries as they are read.
func (w *watchPrinter) print(entries iter.Seq2[immukv.Entry[value], error]) error {
	type item struct {
		entry immukv.Entry[value]
		err   error
	}
	items, done := make(chan item), make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(items)
		for e, err := range entries {
			select {
			case items <- item{e, err}:
			case <-done:
				return
			}
		}
	}()
	defer func() { close(done); <-ended }()
	for {
		var it item
		var ok bool
		select {
		case it, ok = <-items:
		default:
			if err := w.keep(); err != nil {
				return err
			}
			it, ok = <-items
		}
		if !ok {
			return w.verdict()
		}
		if err := w.deal(it.entry, it.err); err != nil {
			return err
		}
	}
}

// deal prints one entry, or reports on standard error why it is not printed.
func (w *watchPrinter) deal(e immukv.Entry[value], err error) error {
	var entryErr *immukv.EntryError
	switch {
	case err != nil && e.Hash != "" && errors.As(err, &entryErr):
		w.bad++
		w.tell("immukv: entry not printed: %v\n", err)
	case err != nil:
		return err
	case strings.HasPrefix(e.Key, w.keyPrefix):
		if err := w.printLine(w.out, e); err != nil {
			return err
		}
	}
	w.last = new(e.Checkpoint())
	if time.Since(w.kept) < keepEvery {
		return nil
	}
	return w.keep()
}

// keep flushes the output, and then saves the position.
func (w *watchPrinter) keep() error {
	if w.last == nil {
		return nil
	}
	if err := w.out.Flush(); err != nil {
		return err
	}
	if err := w.state.save(*w.last, w.stdout); err != nil {
		return err
	}
	w.last, w.kept = nil, time.Now()
	return nil
}

func (w *watchPrinter) verdict() error {
	if w.bad > 0 {
		return fmt.Errorf("%w: %s", immukv.ErrVerificationFailed, count(w.bad, "entry was not printed", "entries were not printed"))
	}
	return nil
}
