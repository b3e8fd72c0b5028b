package cli

import (
	"bufio"
	"errors"
	"fmt"
	"iter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/immukv/immukv-go/immukv"
)

// pageFlags are the flags that select a part of a listing of entries.
type pageFlags struct {
	limit  countFlag
	before string
}

func (f *pageFlags) add(flags *pflag.FlagSet) {
	flags.Var(&f.limit, "limit", "print at most `n` entries; 0 is all")
	flags.StringVar(&f.before, "before", "", "begin with the entry before the one of this `version`")
}

func newHistoryCommand(a *app) *cobra.Command {
	var page pageFlags
	cmd := &cobra.Command{
		Use:   "history KEY",
		Short: "Print the entries of a key, newest first",
		Long: `Print the entries of a key, newest first, one a line: sequence, time, version, key
and value, with tabs between them.

To continue where a listing with --limit ended, give the last entry's version to
--before. An entry that cannot be trusted is not printed, but reported on standard
error, and the exit code is then 4. It is 3 if the key was never set.`,
		Example: `  immukv history sensor-012352
  immukv history sensor-012352 --limit 10
  immukv --json history sensor-012352 | jq -c .value`,
		Args: args("KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.history(cmd, args[0], &page)
		},
	}
	page.add(cmd.Flags())
	return cmd
}

func (a *app) history(cmd *cobra.Command, key string, page *pageFlags) error {
	ctx, cancel := a.limit(cmd.Context(), cmd, 0)
	defer cancel()
	return a.withClient(ctx, func(db *client) error {
		opts := []immukv.HistoryOption{immukv.Limit(int(page.limit))}
		if page.before != "" {
			opts = append(opts, immukv.Before(immukv.LogVersionID(page.before)))
		}
		read, err := a.printEntries(db.History(ctx, key, opts...))
		if err == nil && read == 0 && page.before == "" {
			return fmt.Errorf("history of %q: %w", key, immukv.ErrNotFound)
		}
		return err
	})
}

func newLogCommand(a *app) *cobra.Command {
	var page pageFlags
	var pick logPick
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Print the entries of all keys, newest or oldest first",
		Long: `Print the entries of the whole log, over all keys, newest first, one a line:
sequence, time, version, key and value, with tabs between them.

With --oldest-first they are printed in the order in which they were appended, and
each must follow the one before. To wait for new entries, use watch.

To continue where a listing with --limit ended, give the last entry's version to
--before. An entry that cannot be trusted is not printed, but reported on standard
error, and the exit code is then 4.

To find out the outcome of a write, use --write-id. The exit code is 3 if the log, or
the part of it that --from selects, does not have it.`,
		Example: `  immukv log --limit 20
  immukv log --from 1000 --oldest-first
  immukv log --from 1041 --write-id 6d0f1c0e6b3a4f0d9f5b5a3c1e2d4f60
  immukv --json log | jq -r .key | sort | uniq -c`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.log(cmd, &page, &pick)
		},
	}
	page.add(cmd.Flags())
	cmd.Flags().Var(&pick.from, "from", "leave out entries before that of this `sequence`")
	cmd.Flags().BoolVar(&pick.oldestFirst, "oldest-first", false, "print them in the order in which they were appended")
	cmd.Flags().StringVar(&pick.writeID, "write-id", "", "print only the entry of the write of this `ID`")
	return cmd
}

func (a *app) log(cmd *cobra.Command, page *pageFlags, pick *logPick) error {
	if pick.writeID != "" && page.limit != 0 {
		return usagef("--limit and --write-id exclude each other: a write has one entry")
	}
	ctx, cancel := a.limit(cmd.Context(), cmd, 0)
	defer cancel()
	return a.withClient(ctx, func(db *client) error {
		opts := []immukv.LogOption{immukv.Limit(int(page.limit)), immukv.From(int64(pick.from))}
		if pick.oldestFirst {
			opts = append(opts, immukv.OldestFirst())
		}
		if page.before != "" {
			opts = append(opts, immukv.Before(immukv.LogVersionID(page.before)))
		}
		printed, err := a.printEntries(pick.of(db.Log(ctx, opts...)))
		if err == nil && printed == 0 && pick.writeID != "" {
			return fmt.Errorf("write %s: %w in the log", pick.writeID, immukv.ErrNotFound)
		}
		return err
	})
}

// logPick selects entries of the log.
type logPick struct {
	from        countFlag // the lowest sequence
	oldestFirst bool
	writeID     string // the write ID; empty means any
}

// of returns the selected entries of a sequence: only the one write, if it has a write
// ID.
func (p *logPick) of(log iter.Seq2[immukv.Entry[value], error]) iter.Seq2[immukv.Entry[value], error] {
	if p.writeID == "" {
		return log
	}
	return func(yield func(immukv.Entry[value], error) bool) {
		for e, err := range log {
			found := e.WriteID == p.writeID
			if (err != nil || found) && !yield(e, err) || found {
				return
			}
		}
	}
}

// printEntries prints entries as they are read, and reports those that cannot be trusted
// on standard error. It returns the number of entries, and an error if the listing did
// not reach its end or an entry was not printed.
func (a *app) printEntries(entries iter.Seq2[immukv.Entry[value], error]) (read int, err error) {
	out := bufio.NewWriter(a.stdout)
	bad := 0
	for e, err := range entries {
		var entryErr *immukv.EntryError
		switch {
		case errors.As(err, &entryErr):
			bad++
			a.tell("immukv: entry not printed: %v\n", err)
		case err != nil:
			if read > 0 && errors.Is(err, immukv.ErrNotFound) {
				// The missing version is one that a newer entry refers to.
				err = fmt.Errorf("%w: %w", immukv.ErrVerificationFailed, err)
			}
			return read, errors.Join(err, out.Flush())
		default:
			if err := a.printLine(out, e); err != nil {
				return read, err
			}
		}
		read++
	}
	if err := out.Flush(); err != nil {
		return read, err
	}
	if bad > 0 {
		return read, fmt.Errorf("%w: %s", immukv.ErrVerificationFailed, count(bad, "entry was not printed", "entries were not printed"))
	}
	return read, nil
}
