package cli

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/immukv/immukv-go/backend"
)

// newCrashCommand is set, but killed between append and apply. The tour runs it in a
// separate process.
func newCrashCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "demo-crash KEY VALUE",
		Short:  "Begin to set a key, and be killed by SIGKILL between append and apply",
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

// crashingStore kills the process instead of making the second write, which is the apply
// of a set that has nothing to repair.
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
		<-ctx.Done() // wait for the signal
		err = ctx.Err()
	}
	return backend.Version{}, err
}
