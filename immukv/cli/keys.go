package cli

import (
	"bufio"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/immukv/immukv-go/immukv"
)

func newKeysCommand(a *app) *cobra.Command {
	var prefix, after string
	var limit countFlag
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Print the keys that were ever set",
		Long: `Print the keys that were ever set, one a line, in the order of their bytes.

Here --prefix is that of the keys. Give the global --prefix, of the store's object
names, before the command or in IMMUKV_PREFIX.

A key that is empty, has control characters or begins with a quote is printed in
quotes, with escapes; with --json every key is exact.`,
		Example: `  immukv keys
  immukv keys --prefix sensor- --limit 100
  immukv keys --prefix sensor- --limit 100 --after sensor-012352
  immukv --prefix plant-7/ keys --prefix sensor-`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts := []immukv.KeysOption{immukv.KeyPrefix(prefix), immukv.Limit(int(limit))}
			if cmd.Flags().Changed("after") {
				opts = append(opts, immukv.AfterKey(after))
			}
			return a.keys(cmd, opts)
		},
	}
	cmd.Flags().StringVar(&prefix, "prefix", "", "print only keys that begin with this `prefix`")
	cmd.Flags().StringVar(&after, "after", "", "begin with the first key greater than this `key`, which need not exist")
	cmd.Flags().Var(&limit, "limit", "print at most `n` keys; 0 is all")
	return cmd
}

func (a *app) keys(cmd *cobra.Command, opts []immukv.KeysOption) error {
	ctx, cancel := a.limit(cmd.Context(), cmd, 0)
	defer cancel()
	return a.withClient(ctx, func(db *client) error {
		out := bufio.NewWriter(a.stdout)
		for key, err := range db.Keys(ctx, opts...) {
			switch {
			case err != nil:
				return errors.Join(err, out.Flush())
			case a.json:
				err = printJSON(out, struct {
					Key string `json:"key"`
				}{key})
			default:
				_, err = fmt.Fprintln(out, shown(key))
			}
			if err != nil {
				return err
			}
		}
		return out.Flush()
	})
}
