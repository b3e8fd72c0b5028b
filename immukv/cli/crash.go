package cli

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/immukv/immukv-go/backend"
)

// newCrashCommand is set, killed between its two steps. The tour runs it as a
// process of its own; it is of no other use.
func newCrashCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "demo-crash KEY VALUE",
		Short:  "Begin to set a key, and die of SIGKILL between append and apply",
		Hidden: true,
		Args:   args("KEY", "VALUE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, err := a.openStore(cmd.Context())
			if err != nil {
				return err
			}
			return a.withStore(cmd.Context(), &crashingStore{VersionedStore: store}, func(db *client) error {
				_, err := db.Set(cmd.Context(), args[0], value(args[1]))
				return err
			})
		},
	}
}

// crashingStore kills the process instead of performing the second write, which
// is the apply of a set that has nothing to repair.
type crashingStore struct {
	backend.VersionedStore
	written bool
}

func (s *crashingStore) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if !s.written {
		s.written = true
		return s.VersionedStore.Put(ctx, name, body, cond)
	}
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err == nil {
		<-ctx.Done() // the signal is on its way
		err = ctx.Err()
	}
	return backend.Version{}, err
}
