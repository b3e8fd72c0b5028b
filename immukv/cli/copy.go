package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

func newCopyCommand(a *app) *cobra.Command {
	var fromPrefix, toPrefix string
	cmd := &cobra.Command{
		Use:   "copy SRC DST",
		Short: "Copy the log of one store to another, entry by entry",
		Long: `Copy the log of the store SRC to the store DST, both URLs, entry by entry: with the
same sequences, values, times and hashes, and so with the same checkpoints. It begins
where DST ends, and verifies each entry before it writes it. DST is a valid store at
every moment. If copy is killed, run it again.

The prefixes are --from-prefix and --to-prefix. The global --store and --prefix, and
IMMUKV_STORE and IMMUKV_PREFIX, are not used.

If DST has other entries than SRC, nothing is written. The message names the first
sequence at which they differ, and the exit code is 4. Nobody else should write to DST
during the copy: if somebody does, copy stops in the same way.`,
		Example: `  immukv copy file:///var/lib/calibration 's3://backup?region=eu-central-1'
  immukv copy s3://bucket s3://bucket --from-prefix plant-7/ --to-prefix archive/plant-7/`,
		Args: args("SRC", "DST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.copy(cmd, args[0], args[1], fromPrefix, toPrefix)
		},
	}
	cmd.Flags().StringVar(&fromPrefix, "from-prefix", "", "`prefix` of the object names in SRC")
	cmd.Flags().StringVar(&toPrefix, "to-prefix", "", "`prefix` of the object names in DST")
	return cmd
}

func (a *app) copy(cmd *cobra.Command, from, to, fromPrefix, toPrefix string) (err error) {
	for _, name := range []string{"store", "prefix"} {
		if cmd.Flags().Changed(name) {
			return usagef("copy does not use --%s: give SRC and DST as arguments, with --from-prefix and --to-prefix", name)
		}
	}
	if err := a.refuseReadOnly("copy"); err != nil {
		return err
	}
	ctx, cancel := a.limit(cmd.Context(), cmd, 0)
	defer cancel()
	src, err := backend.Open(ctx, from)
	if err != nil {
		return fmt.Errorf("SRC: %w", err)
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := backend.Open(ctx, to)
	if err != nil {
		return fmt.Errorf("DST: %w", err)
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	return a.withStore(ctx, src, func(srcDB *client) error {
		return a.withStore(ctx, dst, func(dstDB *client) error {
			bar := a.newProgress("copying", -1)
			report, err := immukv.Copy(ctx, dstDB, srcDB, immukv.Progress(bar.update))
			bar.clear()
			return a.copied(report, err)
		}, immukv.WithPrefix(toPrefix))
	}, immukv.WithPrefix(fromPrefix), immukv.WithReadOnly())
}
