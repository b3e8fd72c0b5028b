package cli

import (
	"strconv"

	"github.com/spf13/cobra"
)

func newEntryCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "entry SEQUENCE",
		Short: "Print the log's entry of a sequence number",
		Long: `Print the entry that the log has at a sequence number: 0 is the first.

The exit code is 3 if the log has not reached that sequence, or if its old versions
have expired. It is 4 if the entry does not match its hash, or is missing between
others.`,
		Example: `  immukv entry 1041
  immukv --json entry 0`,
		Args: args("SEQUENCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			sequence, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || sequence < 0 {
				return usagef("SEQUENCE %q is not a whole number, zero or more", args[0])
			}
			ctx, cancel := a.limit(cmd.Context(), cmd, 0)
			defer cancel()
			return a.withClient(ctx, func(db *client) error {
				entry, err := db.EntryAt(ctx, sequence)
				if err != nil {
					return err
				}
				return a.printEntry(a.stdout, entry)
			})
		},
	}
}
