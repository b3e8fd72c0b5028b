package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/immukv/immukv-go/immukv"
)

func newRepairCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "repair",
		Short: "Repair an orphan that a crashed writer left",
		Long: `Read the newest entry of the log and, if it is an orphan, apply it to its key's object.
Every write does so first. Use this command only if you cannot wait for the next write.

It prints what it found and did. With --json it prints an object with the fields empty
(the log has no entry), orphan (the newest entry was an orphan), repaired (it is applied
now), and that entry's key, sequence, version_id and hash.`,
		Example: `  immukv repair
  immukv --json repair`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.repair(cmd)
		},
	}
}

// repairJSON is a repair as --json prints it.
type repairJSON struct {
	Empty     bool                 `json:"empty"`
	Orphan    bool                 `json:"orphan"`
	Repaired  bool                 `json:"repaired"`
	Key       *string              `json:"key"`
	Sequence  *int64               `json:"sequence"`
	VersionID *immukv.LogVersionID `json:"version_id"`
	Hash      *immukv.Hash         `json:"hash"`
}

func (a *app) repair(cmd *cobra.Command) error {
	if err := a.refuseReadOnly("repair"); err != nil {
		return err
	}
	ctx, done := withGrace(cmd.Context())
	defer done()
	ctx, cancel := a.limit(ctx, cmd, singleTimeout)
	defer cancel()
	return a.withClient(ctx, func(db *client) error {
		r, err := db.Repair(ctx)
		if err != nil {
			return err
		}
		if a.json {
			j := repairJSON{Empty: r.Empty, Orphan: len(r.Orphans) > 0, Repaired: r.Repaired}
			if !r.Empty {
				j.Key, j.Sequence, j.VersionID, j.Hash = &r.Key, &r.Head.Sequence, &r.VersionID, &r.Head.Hash
			}
			return printJSON(a.stdout, j)
		}
		switch {
		case r.Empty:
			_, err = fmt.Fprintln(a.stdout, "nothing to repair: the log is empty")
		case r.Repaired:
			for _, o := range r.Orphans {
				if err == nil {
					_, err = fmt.Fprintf(a.stdout, "repaired: sequence %d of key %s was an orphan, and is applied to its key's object now\n", o.Sequence, shown(o.Key))
				}
			}
		default:
			_, err = fmt.Fprintf(a.stdout, "nothing to repair: the newest entry, sequence %d of key %s, is applied\n", r.Head.Sequence, shown(r.Key))
		}
		return err
	})
}
