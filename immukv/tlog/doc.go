// Package tlog keeps a transparency log of the entries of an ImmuKV store. The log is a
// Merkle tree whose leaves are the entries. The head of the tree is signed. The tree is
// stored in the same bucket, in the layout that existing tools for transparency logs
// read.
//
// A hash chain has no key, so it proves nothing against someone who can rewrite the whole
// chain. Only the holder of the private key can sign a tree head. With the public key,
// anyone can check an entry in a few requests. This needs no server and no trust in the
// owner of the bucket.
//
//	signer, err := tlog.NewSigner(privateKey)
//	checkpoint, err := tlog.Seal(ctx, db, signer) // from a cron job, or after writes
//
//	verifier, err := tlog.NewVerifier(publicKey, tlog.Remember("checkpoint.state"))
//	entry, err := tlog.Get(ctx, verifier, db, "sensor-012352")
//
// The signed tree covers an entry once it is sealed. Until the next [Seal], the hash
// chain alone protects it. The document docs/trust.md lists what is detected, and when,
// and explains where to keep the private key.
//
// Formats: RFC 6962 hashes; C2SP signed-note, tlog-checkpoint, tlog-tiles,
// tlog-cosignature, tlog-witness and tlog-proof.
package tlog
