package tlog_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// TestOmniwitness has a witness of another project, a process of its own, cosign
// every checkpoint, and refuse those that do not extend what it has seen.
func TestOmniwitness(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	private, public, err := note.GenerateKey(rand.Reader, "w.example")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	keyFile, logsFile := filepath.Join(folder, "key"), filepath.Join(folder, "logs.yaml")
	write(t, keyFile, []byte(private))
	write(t, logsFile, fmt.Appendf(nil, "Logs:\n  - Origin: %s\n    PublicKey: %s\n    URL: http://127.0.0.1:1/\n", origin, k.public))
	url := s3test.StartWitness(t, keyFile, logsFile)
	policy := policyOf(t, "witness w.example "+public+" "+url+"\nquorum w.example\n")

	store := memstore.New()
	db := open(t, store)
	v := verifier(t, k, tlog.RequireWitnesses(policy))
	last := 0
	for _, size := range []int{1, 2, 255, 256, 257, 1000} {
		grow(t, db, last, size)
		last = size
		seal(t, db, k, tlog.Witnessed(policy))
		if c, err := tlog.Audit(t.Context(), v, db); err != nil || c.Size != int64(size) {
			t.Fatalf("size %d: %v, %v", size, c, err)
		}
	}
	seal(t, db, k, tlog.Witnessed(policy)) // nothing is new

	for name, sizes := range map[string]struct {
		n    int
		kind error
	}{"shorter": {500, tlog.ErrRolledBack}, "as long": {1000, tlog.ErrFork}, "longer": {1500, tlog.ErrFork}} {
		fork := open(t, memstore.New())
		grow(t, fork, 0, sizes.n)
		_, err := tlog.Seal(t.Context(), fork, k.signer, tlog.Witnessed(policy))
		if !errors.Is(err, tlog.ErrWitnesses) || !errors.Is(err, sizes.kind) {
			t.Errorf("a fork that is %s: %v", name, err)
		}
	}
	grow(t, db, last, last+1)
	seal(t, db, k, tlog.Witnessed(policy)) // the honest log goes on
}
