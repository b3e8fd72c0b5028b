package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/immukv/immukv-go/immukv"
)

func newGetCommand(a *app) *cobra.Command {
	var bare, consistent bool
	cmd := &cobra.Command{
		Use:   "get KEY",
		Short: "Print the latest entry of a key",
		Long: `Print the latest entry of a key, or just its value.

The entry's hash is checked first: an entry that is not what its hash says is
not printed, and the exit code is 4. The exit code is 3 if the key was never set.

Should the newest entry of the log have been left half written by a writer that
died, get repairs it, unless --read-only is given.

The key's object, from which get reads, may be a moment behind the log. With
--consistent the head of the log is read before it: what is printed is at least as
new as every write that had ended when get began. Nothing is repaired then.`,
		Example: `  immukv get sensor-012352
  immukv get sensor-012352 --value | jq .alpha
  immukv --json get sensor-012352`,
		Args: args("KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.get(cmd, args[0], bare, consistent)
		},
	}
	cmd.Flags().BoolVar(&bare, "value", false, "print the bare JSON value")
	cmd.Flags().BoolVar(&consistent, "consistent", false, "read what is certainly newest, with one request more")
	return cmd
}

func (a *app) get(cmd *cobra.Command, key string, bare, consistent bool) error {
	if bare && a.json {
		return usagef("--value and --json exclude each other: the one prints the value alone, the other the whole entry")
	}
	var opts []immukv.GetOption
	if consistent {
		opts = append(opts, immukv.Consistent())
	}
	ctx, cancel := a.limit(cmd.Context(), cmd, singleTimeout)
	defer cancel()
	return a.withClient(ctx, func(db *client) error {
		entry, err := db.Get(ctx, key, opts...)
		if err != nil {
			return err
		}
		if bare {
			_, err = fmt.Fprintf(a.stdout, "%s\n", entry.JSON)
			return err
		}
		return a.printEntry(a.stdout, entry)
	})
}
