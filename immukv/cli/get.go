package cli

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/immukv/immukv-go/immukv"
)

// getFlags select an entry of a key.
type getFlags struct {
	bare, consistent bool
	atSequence       countFlag
	asOf             timeFlag
}

func (f *getFlags) options(flags *pflag.FlagSet) ([]immukv.GetOption, error) {
	var opts []immukv.GetOption
	if f.consistent {
		opts = append(opts, immukv.Consistent())
	}
	if flags.Changed("at-sequence") {
		opts = append(opts, immukv.AtSequence(int64(f.atSequence)))
	}
	if f.asOf.set {
		opts = append(opts, immukv.AsOf(f.asOf.Time))
	}
	if flags.Changed("at-sequence") && f.asOf.set {
		return nil, usagef("--at-sequence and --as-of exclude each other")
	}
	return opts, nil
}

func newGetCommand(a *app) *cobra.Command {
	var flags getFlags
	cmd := &cobra.Command{
		Use:   "get KEY",
		Short: "Print the latest entry of a key, or an earlier one",
		Long: `Print the latest entry of a key, or just its value.

The entry's hash is checked first: an entry that does not match its hash is not
printed, and the exit code is 4. The exit code is 3 if the key was never set.

If a crashed writer left the newest entry of the log as an orphan, get repairs it,
unless --read-only is given.

The key's object, from which get reads, may be a moment behind the log. With
--consistent, get reads the head of the log first. Then it prints an entry at least as
new as every write that ended before get began, and repairs nothing.

With --at-sequence, get prints the entry that the key had when the log ended with that
sequence. With --as-of, it goes back from the newest entry to the first whose timestamp
is not later. Timestamps come from the writers' clocks, which may differ; sequences are
the order of the log. The exit code is 3 if the key had no entry then.`,
		Example: `  immukv get sensor-012352
  immukv get sensor-012352 --value | jq .alpha
  immukv get sensor-012352 --at-sequence 1041
  immukv get sensor-012352 --as-of 2026-11-24T09:00:00Z
  immukv --json get sensor-012352`,
		Args: args("KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.get(cmd, args[0], &flags)
		},
	}
	cmd.Flags().BoolVar(&flags.bare, "value", false, "print the bare JSON value")
	cmd.Flags().BoolVar(&flags.consistent, "consistent", false, "read the head of the log first, so that the entry is certainly the newest")
	cmd.Flags().Var(&flags.atSequence, "at-sequence", "print the newest entry of the key up to sequence `n`")
	cmd.Flags().Var(&flags.asOf, "as-of", "print the newest entry whose timestamp is not later than this `time`, as in RFC 3339")
	return cmd
}

func (a *app) get(cmd *cobra.Command, key string, flags *getFlags) error {
	if flags.bare && a.json {
		return usagef("--value and --json exclude each other: --value prints only the value, --json the whole entry")
	}
	opts, err := flags.options(cmd.Flags())
	if err != nil {
		return err
	}
	ctx, cancel := a.limit(cmd.Context(), cmd, singleTimeout)
	defer cancel()
	return a.withClient(ctx, func(db *client) error {
		entry, err := db.Get(ctx, key, opts...)
		if err != nil {
			return err
		}
		if flags.bare {
			_, err = fmt.Fprintf(a.stdout, "%s\n", entry.JSON)
			return err
		}
		return a.printEntry(a.stdout, entry)
	})
}
