package tlog_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"filippo.io/torchwood"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// exampleLog is a log of two entries, with keys to seal it.
func exampleLog() (db *immukv.Client[float64], signer *tlog.Signer, verifierKey string) {
	ctx := context.Background()
	db, err := immukv.Open[float64](ctx, memstore.New())
	if err != nil {
		log.Fatal(err)
	}
	for _, alpha := range []float64{0.15, 0.16} {
		if _, err := db.Set(ctx, "sensor-7", alpha); err != nil {
			log.Fatal(err)
		}
	}
	privateKey, verifierKey, err := tlog.GenerateKey("example.com/plant-7")
	if err != nil {
		log.Fatal(err)
	}
	signer, err = tlog.NewSigner(privateKey)
	if err != nil {
		log.Fatal(err)
	}
	return db, signer, verifierKey
}

// exampleWitness runs a witness of the log, and returns the policy that asks for it.
func exampleWitness(verifierKey string) (server *httptest.Server, policy *tlog.WitnessPolicy) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := torchwood.NewCosignatureSigner("witness.example", private)
	if err != nil {
		log.Fatal(err)
	}
	of, err := tlog.NewPolicy(verifierKey)
	if err != nil {
		log.Fatal(err)
	}
	w := &testWitness{signer: signer, log: of.Log}
	server = httptest.NewServer(w)
	w.url = server.URL
	policy, err = tlog.ParseWitnessPolicy("witness " + w.line() + "\nquorum witness.example\n")
	if err != nil {
		log.Fatal(err)
	}
	return server, policy
}

// A checkpoint is published only when a witness has cosigned it.
func ExampleWitnessed() {
	ctx := context.Background()
	db, signer, verifierKey := exampleLog()
	witness, policy := exampleWitness(verifierKey)
	defer witness.Close()

	checkpoint, err := tlog.Seal(ctx, db, signer, tlog.Witnessed(policy))
	fmt.Println("sealed", checkpoint.Size, err)

	witness.Close()
	if _, err := db.Set(ctx, "sensor-7", 0.17); err != nil {
		log.Fatal(err)
	}
	_, err = tlog.Seal(ctx, db, signer, tlog.Witnessed(policy))
	fmt.Println("without the witness:", errors.Is(err, tlog.ErrWitnesses))
	// Output:
	// sealed 2 <nil>
	// without the witness: true
}

// A reader that does not take the log's word alone.
func ExampleRequireWitnesses() {
	ctx := context.Background()
	db, signer, verifierKey := exampleLog()
	witness, policy := exampleWitness(verifierKey)
	defer witness.Close()
	verifier, err := tlog.NewVerifier(verifierKey, tlog.RequireWitnesses(policy))
	if err != nil {
		log.Fatal(err)
	}

	if _, err := tlog.Seal(ctx, db, signer); err != nil {
		log.Fatal(err)
	}
	_, err = tlog.Get(ctx, verifier, db, "sensor-7")
	fmt.Println("signed by the log alone:", errors.Is(err, tlog.ErrBadCheckpoint))

	if _, err := db.Set(ctx, "sensor-7", 0.17); err != nil {
		log.Fatal(err)
	}
	if _, err := tlog.Seal(ctx, db, signer, tlog.Witnessed(policy)); err != nil {
		log.Fatal(err)
	}
	entry, err := tlog.Get(ctx, verifier, db, "sensor-7")
	fmt.Println("cosigned:", entry.Value, err)
	// Output:
	// signed by the log alone: true
	// cosigned: 0.17 <nil>
}

// A reader that is started anew still knows what it has accepted, and does not accept an
// older log afterwards.
func ExampleRemember() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "verifier")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "plant-7")
	db, signer, verifierKey := exampleLog()
	if _, err := tlog.Seal(ctx, db, signer); err != nil {
		log.Fatal(err)
	}
	verifier, err := tlog.NewVerifier(verifierKey, tlog.Remember(file))
	if err != nil {
		log.Fatal(err)
	}
	_, err = tlog.Get(ctx, verifier, db, "sensor-7")
	fmt.Println(err)

	// Somebody puts a shorter log in its place, and seals it with the stolen key.
	rolledBack, err := immukv.Open[float64](ctx, memstore.New())
	if err != nil {
		log.Fatal(err)
	}
	if _, err := rolledBack.Set(ctx, "sensor-7", 0.15); err != nil {
		log.Fatal(err)
	}
	if _, err := tlog.Seal(ctx, rolledBack, signer); err != nil {
		log.Fatal(err)
	}
	again, err := tlog.NewVerifier(verifierKey, tlog.Remember(file))
	if err != nil {
		log.Fatal(err)
	}
	_, err = tlog.Get(ctx, again, rolledBack, "sensor-7")
	fmt.Println(errors.Is(err, tlog.ErrRolledBack))
	// Output:
	// <nil>
	// true
}

// A sealer that remembers what it signed does not sign the log of somebody who has
// replaced the bucket, its checkpoint included.
func ExampleRemembering() {
	ctx := context.Background()
	db, signer, verifierKey := exampleLog()
	memory, err := tlog.NewVerifier(verifierKey) // with Remember, also over restarts
	if err != nil {
		log.Fatal(err)
	}
	sealed, err := tlog.Seal(ctx, db, signer, tlog.Remembering(memory))
	fmt.Println("sealed", sealed.Size, err)

	replaced, err := immukv.Open[float64](ctx, memstore.New())
	if err != nil {
		log.Fatal(err)
	}
	if _, err := replaced.Set(ctx, "sensor-7", 0.99); err != nil {
		log.Fatal(err)
	}
	_, err = tlog.Seal(ctx, replaced, signer, tlog.Remembering(memory))
	fmt.Println("replaced:", errors.Is(err, immukv.ErrVerificationFailed))
	// Output:
	// sealed 2 <nil>
	// replaced: true
}

// The log goes on under a new key.
func ExampleSucceeding() {
	ctx := context.Background()
	db, former, formerKey := exampleLog()
	if _, err := tlog.Seal(ctx, db, former); err != nil {
		log.Fatal(err)
	}
	policy, err := tlog.NewPolicy(formerKey)
	if err != nil {
		log.Fatal(err)
	}

	privateKey, verifierKey, err := tlog.GenerateKey("example.com/plant-7")
	if err != nil {
		log.Fatal(err)
	}
	signer, err := tlog.NewSigner(privateKey)
	if err != nil {
		log.Fatal(err)
	}
	sealed, err := tlog.Seal(ctx, db, signer, tlog.Succeeding(policy))
	fmt.Println("sealed", sealed.Size, err)
	verifier, err := tlog.NewVerifier(verifierKey)
	if err != nil {
		log.Fatal(err)
	}
	entry, err := tlog.Get(ctx, verifier, db, "sensor-7")
	fmt.Println(entry.Value, err)
	// Output:
	// sealed 2 <nil>
	// 0.16 <nil>
}

// A sealer that runs beside the writers until its context ends.
func ExampleEvery() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	db, signer, _ := exampleLog()
	_, err := tlog.Seal(ctx, db, signer, tlog.Every(time.Millisecond, func(c tlog.Checkpoint, err error) {
		if err != nil || c.Size < 2 {
			return // it is tried again
		}
		cancel()
	}))
	fmt.Println(errors.Is(err, context.Canceled))
	// Output: true
}
