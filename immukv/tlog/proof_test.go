package tlog_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// TestProofsOfAllEntries proves every entry of a log and checks the proofs without
// the store.
func TestProofsOfAllEntries(t *testing.T) {
	t.Parallel()
	for _, dialect := range []immukv.Dialect{immukv.Python, immukv.TypeScript} {
		k := newKeys(t)
		db := open(t, memstore.New(), immukv.WithDialect(dialect))
		values := []string{`1.5`, `{"b":[1,2e-9],"a":"é\u2028\u007f"}`, `null`, `"<&>"`, `[]`}
		const n = 300
		for i := range n {
			if _, err := db.Set(t.Context(), fmt.Sprintf("k\u00fc/\"%d\u007f😀", i%11), json.RawMessage(values[i%len(values)])); err != nil {
				t.Fatal(err)
			}
		}
		seal(t, db, k)
		for sequence := range int64(n) {
			proof, err := tlog.Prove(t.Context(), db, sequence)
			if err != nil {
				t.Fatal(err)
			}
			e, c, err := tlog.CheckProof(proof, k.policy)
			if err != nil || e.Sequence != sequence || c.Size != n || e.Dialect != dialect {
				t.Fatalf("sequence %d: %+v in %v, %v", sequence, e, c, err)
			}
		}
		if _, err := tlog.Prove(t.Context(), db, n); !errors.Is(err, tlog.ErrNotSealed) {
			t.Errorf("beyond the checkpoint: %v", err)
		}
		if _, err := tlog.Prove(t.Context(), db, -1); !errors.Is(err, tlog.ErrNotSealed) {
			t.Errorf("before the beginning: %v", err)
		}
	}
}

// TestChangedProofs changes every single bit of some proofs, more than 10,000 times
// in all: no such proof holds.
func TestChangedProofs(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	db := open(t, memstore.New())
	if _, err := db.Set(t.Context(), "k", json.RawMessage(`{"text":"é😀 plain","n":[1.5,null]}`)); err != nil {
		t.Fatal(err)
	}
	grow(t, db, 1, 300)
	seal(t, db, k)
	var proofs [][]byte
	for _, sequence := range []int64{0, 255} {
		proof, err := tlog.Prove(t.Context(), db, sequence)
		if err != nil {
			t.Fatal(err)
		}
		proofs = append(proofs, proof)
	}
	changed := 0
	for _, original := range proofs {
		proof := append([]byte{}, original...)
		for bit := range 8 * len(proof) {
			proof[bit/8] ^= 1 << (bit % 8)
			if _, _, err := tlog.CheckProof(proof, k.policy); !errors.Is(err, immukv.ErrVerificationFailed) {
				t.Fatalf("bit %d of byte %d of a proof is another, and the error is %v:\n%s", bit%8, bit/8, err, proof)
			}
			proof[bit/8] ^= 1 << (bit % 8)
			changed++
		}
	}
	if changed < 10_000 {
		t.Errorf("only %d bits were changed", changed)
	}
	// The last character of base64 has bits that a careless reader leaves out.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range len(proofs[0]) - 1 {
		last := proofs[0][i]
		if proofs[0][i+1] != '=' || last == '=' {
			continue
		}
		for _, c := range []byte(alphabet) {
			proof := append([]byte{}, proofs[0]...)
			proof[i] = c
			if _, _, err := tlog.CheckProof(proof, k.policy); (err == nil) != (c == last) {
				t.Errorf("with %q for %q at byte %d: %v", c, last, i, err)
			}
		}
	}
}

// TestForeignProofs are proofs of another log, with another key, or none at all.
func TestForeignProofs(t *testing.T) {
	t.Parallel()
	k, other := newKeys(t), newKeys(t)
	db := open(t, memstore.New())
	grow(t, db, 0, 3)
	seal(t, db, k)
	proof, err := tlog.ProveKey(t.Context(), db, "sensor-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := tlog.CheckProof(proof, other.policy); !errors.Is(err, tlog.ErrBadCheckpoint) {
		t.Errorf("with another key of the same name: %v", err)
	}
	_, public, err := tlog.GenerateKey("example.com/other")
	if err != nil {
		t.Fatal(err)
	}
	policy, err := tlog.NewPolicy(public)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := tlog.CheckProof(proof, policy); !errors.Is(err, tlog.ErrBadCheckpoint) {
		t.Errorf("with a key of another origin: %v", err)
	}
	for _, text := range []string{"", "\n\n", "c2sp.org/tlog-proof@v1\n\n", "c2sp.org/tlog-proof@v1\nextra \nindex 0\n\nx", "c2sp.org/tlog-proof@v1\nextra !\nindex -1\n\nx\n1\n\n"} {
		if _, _, err := tlog.CheckProof([]byte(text), k.policy); !errors.Is(err, tlog.ErrBadProof) && !errors.Is(err, tlog.ErrBadCheckpoint) {
			t.Errorf("proof %q: %v", text, err)
		}
	}
	if _, err := tlog.ProveKey(t.Context(), open(t, memstore.New()), "k"); !errors.Is(err, immukv.ErrNotFound) {
		t.Errorf("of an empty log: %v", err)
	}
}
