package tlog

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// Names of objects, below the prefix of the log.
const (
	dir            = "tlog/"
	checkpointName = "checkpoint"
)

// Checkpoint is a signed tree head: the number of entries, and the root of their Merkle
// tree.
type Checkpoint struct {
	// Origin names the log. It is the name of the key that signs it.
	Origin string
	// Size is the number of entries covered: sequences 0 to Size-1.
	Size int64
	// Root is the root of the Merkle tree (RFC 6962).
	Root [32]byte
	// Signed is the stored form of the checkpoint: a signed note, with the cosignatures
	// of witnesses.
	Signed []byte
}

func (c Checkpoint) tree() tlog.Tree { return tlog.Tree{N: c.Size, Hash: c.Root} }

// String returns the size and the beginning of the root, for messages.
func (c Checkpoint) String() string {
	return fmt.Sprintf("checkpoint of size %d (root %x…)", c.Size, c.Root[:4])
}

// Policy says whose signatures a checkpoint must have.
type Policy struct {
	// Log is the key of the log. The origin of the checkpoint must be the name of this
	// key.
	Log note.Verifier
	// Witnesses says which witnesses must have cosigned, and how many of them. Nil
	// requires none.
	Witnesses *WitnessPolicy
}

// NewPolicy returns a policy that requires only the signature of the log itself. The
// argument is the verifier key of the log.
func NewPolicy(verifierKey string) (Policy, error) {
	v, err := note.NewVerifier(strings.TrimSpace(verifierKey))
	if err != nil {
		return Policy{}, fmt.Errorf("%w: it does not have the form name+hash+key", ErrInvalidKey)
	}
	return Policy{Log: v}, nil
}

// Open reads a signed checkpoint and checks its signatures. Every error is
// [ErrBadCheckpoint].
func (p Policy) Open(signed []byte) (Checkpoint, error) {
	c, err := parseCheckpoint(signed)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != p.Log.Name() {
		return Checkpoint{}, fmt.Errorf("%w: its origin is %q, but the verifier key is that of %q", ErrBadCheckpoint, c.Origin, p.Log.Name())
	}
	if _, err := note.Open(signed, note.VerifierList(p.Log)); err != nil {
		return Checkpoint{}, fmt.Errorf("%w: it is not signed with the key of %s (%08x): %w", ErrBadCheckpoint, p.Log.Name(), p.Log.KeyHash(), err)
	}
	if err := p.Witnesses.check(signed); err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrBadCheckpoint, err)
	}
	return c, nil
}

// maxCheckpointBytes bounds the size of a checkpoint with all its cosignatures.
const maxCheckpointBytes = 64 << 10

// parseCheckpoint reads a signed checkpoint without checking its signatures. It
// accepts one spelling only, so that no byte can be changed without effect.
func parseCheckpoint(signed []byte) (Checkpoint, error) {
	text, signatures, ok := bytes.Cut(signed, []byte("\n\n"))
	if !ok || len(signed) > maxCheckpointBytes {
		return Checkpoint{}, fmt.Errorf("%w: not a signed note", ErrBadCheckpoint)
	}
	parsed, err := torchwood.ParseCheckpoint(string(text) + "\n")
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrBadCheckpoint, err)
	}
	if parsed.String() != string(text)+"\n" {
		return Checkpoint{}, fmt.Errorf("%w: it is not in canonical form", ErrBadCheckpoint)
	}
	for line := range strings.Lines(string(signatures)) {
		if _, err := parseSignature(line); err != nil {
			return Checkpoint{}, err
		}
	}
	return Checkpoint{Origin: parsed.Origin, Size: parsed.N, Root: parsed.Hash, Signed: signed}, nil
}

// parseSignature reads the line of one signature, newline included, strictly.
func parseSignature(line string) (note.Signature, error) {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "— ")
	name, text, ok2 := strings.Cut(rest, " ")
	sig, err := base64.StdEncoding.Strict().DecodeString(text)
	if !ok || !ok2 || err != nil || !strings.HasSuffix(line, "\n") || len(sig) < 5 || strings.ContainsAny(text, "\r") {
		return note.Signature{}, fmt.Errorf("%w: malformed signature line", ErrBadCheckpoint)
	}
	hash := uint32(sig[0])<<24 | uint32(sig[1])<<16 | uint32(sig[2])<<8 | uint32(sig[3])
	return note.Signature{Name: name, Hash: hash, Base64: text}, nil
}

// sign returns the signed checkpoint of a tree.
func (s *Signer) sign(tree tlog.Tree) (Checkpoint, error) {
	text := torchwood.Checkpoint{Origin: s.Name(), Tree: tree}.String()
	signed, err := note.Sign(&note.Note{Text: text}, s.Signer)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("sign checkpoint: %w", err)
	}
	return Checkpoint{Origin: s.Name(), Size: tree.N, Root: tree.Hash, Signed: signed}, nil
}

// readCheckpoint reads the newest checkpoint and its ETag. It does not check its
// signatures.
func (l *sealedLog) readCheckpoint(ctx context.Context) ([]byte, backend.ETag, error) {
	obj, err := l.store.Get(ctx, l.name(checkpointName))
	if errors.Is(err, backend.ErrNotFound) {
		return nil, "", fmt.Errorf("%w at %s: seal the log first", ErrNoCheckpoint, l.name(checkpointName))
	}
	if err != nil {
		return nil, "", fmt.Errorf("read checkpoint: %w", err)
	}
	return obj.Body, obj.ETag, nil
}

// Unverified returns the newest checkpoint as it is stored. Nothing about it is verified:
// anyone who can write to the bucket may have made it. It is for programs that have no
// verifier key and present what the bucket holds. To rely on a checkpoint, use [Latest].
//
// If the checkpoint is malformed, the error is [ErrBadCheckpoint], and only Signed is set.
func Unverified[V any](ctx context.Context, c *immukv.Client[V]) (Checkpoint, error) {
	signed, _, err := sealedLogOf(c).readCheckpoint(ctx)
	if err != nil {
		return Checkpoint{}, err
	}
	checkpoint, err := parseCheckpoint(signed)
	checkpoint.Signed = signed
	return checkpoint, err
}

// consistent returns ErrFork unless two checkpoints are of one history.
func (l *sealedLog) consistent(ctx context.Context, shorter, longer Checkpoint) error {
	switch {
	case shorter.tree() == longer.tree():
		return nil
	case shorter.Size == longer.Size:
		return fmt.Errorf("%w: two checkpoints of size %d have different roots, %x and %x", ErrFork, longer.Size, shorter.Root, longer.Root)
	case shorter.Size == 0:
		return nil
	}
	proof, err := tlog.ProveTree(longer.Size, shorter.Size, l.hashes(ctx, longer.tree()))
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, longer.Size, longer.Root, shorter.Size, shorter.Root); err != nil {
		return fmt.Errorf("%w: the %v does not extend the %v", ErrFork, longer, shorter)
	}
	return nil
}
