package journal_test

import (
	"context"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/conformance"
	"github.com/immukv/immukv-go/conformance/internal/journal"
)

const workOn = "JOURNAL_TEST_WORK_ON"

// TestMain is also the worker process that the suite asks for.
func TestMain(m *testing.M) {
	if path := os.Getenv(workOn); path != "" {
		s, err := journal.Open(path)
		if err != nil {
			log.Fatal(err)
		}
		if err := conformance.Work(context.Background(), s); err != nil {
			log.Fatal(err)
		}
		return
	}
	os.Exit(m.Run())
}

func TestConformance(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	conformance.Run(t, conformance.Harness{
		New: func(context.Context) (conformance.Store, error) {
			dir, err := os.MkdirTemp(root, "")
			path := filepath.Join(dir, "store")
			return conformance.Store{
				Open:    func(context.Context) (backend.VersionedStore, error) { return journal.Open(path) },
				Restart: func(context.Context) error { return nil }, // no process but its users'
				OpenAbsent: func(context.Context) (backend.VersionedStore, error) {
					return journal.Open(filepath.Join(dir, "no-such-directory", "store"))
				},
				Worker: func(ctx context.Context) (*exec.Cmd, error) {
					cmd := exec.CommandContext(ctx, os.Args[0])
					cmd.Env = append(os.Environ(), workOn+"="+path)
					return cmd, nil
				},
			}, err
		},
		Lacks: map[conformance.Facility]string{
			conformance.OpenDenied: "permissions do not bind the superuser, who may be running this",
			conformance.OpenHTTP:   "files are not reached over HTTP",
		},
		Rounds: 3,
	})
}
