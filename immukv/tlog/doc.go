// Package tlog keeps a transparency log over the entries of an ImmuKV store: a
// Merkle tree whose leaves are the entries, signed, in the same bucket, in the
// layout that the tools of transparency logs read.
//
// A hash chain without a key proves nothing against someone who may rewrite all of
// it. A signed tree head does: with one public key, anyone checks one entry in a
// few requests, without a server and without trusting whoever owns the bucket.
//
//	signer, err := tlog.NewSigner(privateKey)
//	checkpoint, err := tlog.Seal(ctx, db, signer) // from a cron job, or after writes
//
//	verifier, err := tlog.NewVerifier(publicKey, tlog.Remember("checkpoint.state"))
//	entry, err := tlog.Get(ctx, verifier, db, "sensor-012352")
//
// An entry is covered once it is sealed; what was appended since the last [Seal] is
// protected by the hash chain alone. docs/trust.md says what is detected when, and
// where the private key belongs.
//
// Formats: RFC 6962 hashes; C2SP signed-note, tlog-checkpoint, tlog-tiles,
// tlog-cosignature, tlog-witness and tlog-proof.
package tlog
