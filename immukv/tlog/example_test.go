package tlog_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// A sealer signs the log from time to time. A reader with the verifier key gets entries
// and proves that they are in the log.
func Example() {
	ctx := context.Background()
	db, _ := immukv.Open[float64](ctx, memstore.New())
	_, _ = db.Set(ctx, "sensor-7", 0.15)

	privateKey, verifierKey, _ := tlog.GenerateKey("example.com/plant-7")
	signer, _ := tlog.NewSigner(privateKey)
	checkpoint, _ := tlog.Seal(ctx, db, signer)
	fmt.Println("sealed", checkpoint.Size)

	verifier, _ := tlog.NewVerifier(verifierKey)
	entry, err := tlog.Get(ctx, verifier, db, "sensor-7")
	fmt.Println(entry.Value, err)

	_, _ = db.Set(ctx, "sensor-7", 0.16)
	entry, err = tlog.Get(ctx, verifier, db, "sensor-7")
	fmt.Println(entry.Value, errors.Is(err, tlog.ErrNotSealed))
	// Output:
	// sealed 1
	// 0.15 <nil>
	// 0.16 true
}

// A proof is a text. Anyone with the verifier key can check it without the store.
func ExampleProve() {
	ctx := context.Background()
	db, _ := immukv.Open[float64](ctx, memstore.New())
	_, _ = db.Set(ctx, "sensor-7", 0.15)
	privateKey, verifierKey, _ := tlog.GenerateKey("example.com/plant-7")
	signer, _ := tlog.NewSigner(privateKey)
	_, _ = tlog.Seal(ctx, db, signer)

	proof, _ := tlog.Prove(ctx, db, 0)

	policy, _ := tlog.NewPolicy(verifierKey)
	entry, checkpoint, err := tlog.CheckProof(proof, policy)
	fmt.Println(entry.Key, string(entry.JSON), checkpoint.Size, err)

	proof[len(proof)/2] ^= 1
	_, _, err = tlog.CheckProof(proof, policy)
	fmt.Println(errors.Is(err, immukv.ErrVerificationFailed))
	// Output:
	// sensor-7 0.15 1 <nil>
	// true
}

// An audit with a verifier checks the log and the key objects, and that the log is the
// one that was signed.
func ExampleAuditStore() {
	ctx := context.Background()
	db, _ := immukv.Open[float64](ctx, memstore.New())
	_, _ = db.Set(ctx, "sensor-7", 0.15)
	privateKey, verifierKey, _ := tlog.GenerateKey("example.com/plant-7")
	signer, _ := tlog.NewSigner(privateKey)
	_, _ = tlog.Seal(ctx, db, signer)
	_, _ = db.Set(ctx, "sensor-7", 0.16)

	verifier, _ := tlog.NewVerifier(verifierKey)
	report, checkpoint, err := tlog.AuditStore(ctx, verifier, db)
	fmt.Println("valid:", report.Valid(), "entries:", report.Entries, "sealed:", checkpoint.Size, err)
	// Output:
	// valid: true entries: 2 sealed: 1 <nil>
}
