package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/immukv/immukv-go/immukv"
)

// writeFlags are the flags of commands that append entries.
type writeFlags struct {
	dialect  string
	attempts countFlag
}

func (f *writeFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.dialect, "dialect", immukv.Python.String(), "`dialect` in which entries are hashed: python or typescript")
	flags.Var(&f.attempts, "attempts", "give up with exit code 5 after `n` attempts that lost to other writers; 0 means never")
}

func (f *writeFlags) options() ([]immukv.Option, error) {
	dialect, err := immukv.ParseDialect(f.dialect)
	if err != nil {
		return nil, usagef("--dialect: %w", err)
	}
	return []immukv.Option{immukv.WithDialect(dialect), immukv.WithMaxAttempts(int(f.attempts))}, nil
}

func newSetCommand(a *app) *cobra.Command {
	var write writeFlags
	var when conditionFlags
	cmd := &cobra.Command{
		Use:   "set KEY VALUE",
		Short: "Set a key to a value",
		Long: `Set a key to a value, and print the entry that was appended to the log.

VALUE is JSON. It may be - for standard input, or @FILE for the content of a file. If
the key or the value begins with -, write -- before them, which ends the flags.

With --if-absent or --if-sequence the entry is appended only if the key has no entry,
or if its newest entry has that sequence. Otherwise nothing is written, and the exit
code is 5. No other write can come between the check and the append.

If set exits with 0, the entry is in the log, once and for ever. If it exits with 6,
the entry may be in the log, now or later, and the message says how to find out. With
any other code it is not in the log and never will be.`,
		Example: `  immukv set sensor-012352 '{"alpha":0.15,"beta":2.8}'
  immukv set name '"a string has quotes of its own"'
  immukv set -- offset -5
  immukv set table @table.json
  immukv set valve '"open"' --if-sequence 41
  generate | immukv set report -`,
		Args: args("KEY", "VALUE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.set(cmd, args[0], args[1], &write, &when)
		},
	}
	write.add(cmd.Flags())
	when.add(cmd)
	return cmd
}

// conditionFlags are the flags that give the condition of a write.
type conditionFlags struct {
	absent   bool
	sequence countFlag
}

const ifAbsent, ifSequence = "if-absent", "if-sequence"

func (f *conditionFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.absent, ifAbsent, false, "write only if the key has no entry; otherwise the exit code is 5")
	cmd.Flags().Var(&f.sequence, ifSequence, "write only if the key's newest entry has sequence `n`; otherwise the exit code is 5")
}

func (f *conditionFlags) options(cmd *cobra.Command) ([]immukv.SetOption, error) {
	wanted := cmd.Flags().Changed(ifSequence)
	switch {
	case f.absent && wanted:
		return nil, usagef("--%s and --%s exclude each other", ifAbsent, ifSequence)
	case f.absent:
		return []immukv.SetOption{immukv.IfAbsent()}, nil
	case wanted:
		return []immukv.SetOption{immukv.IfSequence(int64(f.sequence))}, nil
	}
	return nil, nil
}

func (a *app) set(cmd *cobra.Command, key, source string, write *writeFlags, when *conditionFlags) error {
	opts, err := write.options()
	if err != nil {
		return err
	}
	conditions, err := when.options(cmd)
	if err != nil {
		return err
	}
	if err := a.refuseReadOnly("set"); err != nil {
		return err
	}
	reading, cancelReading := a.limit(cmd.Context(), cmd, 0)
	defer cancelReading()
	text, err := a.readValue(reading, source)
	if err != nil {
		return err
	}
	ctx, done := withGrace(cmd.Context())
	defer done()
	ctx, cancel := a.limit(ctx, cmd, singleTimeout)
	defer cancel()
	return a.withClient(ctx, func(db *client) error {
		entry, err := db.Set(ctx, key, text, conditions...)
		if err != nil {
			return err
		}
		if a.json {
			err = printJSON(a.stdout, newEntryJSON(entry))
		} else {
			_, err = fmt.Fprintf(a.stdout, "set %s, sequence %d, version %s\n", shown(entry.Key), entry.Sequence, entry.VersionID)
		}
		if err != nil {
			return fmt.Errorf("the entry is in the log as sequence %d, but printing it failed: %w", entry.Sequence, err)
		}
		return nil
	}, opts...)
}

// maxValueText is the longest text of a value that is read. The client would reject any
// longer one.
const maxValueText = 2 * immukv.DefaultMaxValueBytes

// readValue returns the VALUE argument, or reads the value from where it points.
func (a *app) readValue(ctx context.Context, source string) (value, error) {
	path, isFile := strings.CutPrefix(source, "@")
	if !isFile && source != "-" {
		return value(source), nil
	}
	what := "standard input"
	if isFile {
		what = path
	}
	text, err := await(ctx, func() ([]byte, error) {
		from := a.stdin
		if isFile {
			f, err := os.Open(path)
			if err != nil {
				return nil, err
			}
			defer func() { _ = f.Close() }()
			from = f
		}
		return io.ReadAll(io.LimitReader(from, maxValueText+1))
	})
	if err != nil {
		return nil, fmt.Errorf("read the value from %s: %w", what, err)
	}
	if len(text) > maxValueText {
		return nil, fmt.Errorf("%w: %s has more than %d bytes", immukv.ErrValueTooLarge, what, maxValueText)
	}
	return text, nil
}
