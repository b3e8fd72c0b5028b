package tlog

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
)

// KeyEnv is the environment variable from which commands read the private key.
const KeyEnv = "IMMUKV_SIGNING_KEY"

// Signer signs checkpoints. Its name is the origin of the log.
type Signer struct {
	note.Signer
	verifier    note.Verifier
	verifierKey string
}

// VerifierKey returns the public key, in the form that [NewVerifier] takes.
func (s *Signer) VerifierKey() string { return s.verifierKey }

// NewSigner returns a signer for a private key of [GenerateKey]. The key has the form
// of package golang.org/x/mod/sumdb/note: PRIVATE+KEY+name+…. If the key is malformed,
// the error is [ErrInvalidKey]; its text does not contain the key.
func NewSigner(privateKey string) (*Signer, error) {
	s, err := note.NewSigner(privateKey)
	if err != nil {
		return nil, fmt.Errorf("%w: it does not have the form PRIVATE+KEY+…", ErrInvalidKey)
	}
	v, err := torchwood.NewVerifierFromSigner(privateKey)
	if err != nil {
		return nil, fmt.Errorf("%w: it is not an Ed25519 private key", ErrInvalidKey)
	}
	verifierKey, err := verifierKeyOf(privateKey)
	if err != nil {
		return nil, err
	}
	return &Signer{Signer: s, verifier: v, verifierKey: verifierKey}, nil
}

// verifierKeyOf returns the verifier key of an Ed25519 private key, whose last part is
// one byte for the algorithm, and the seed.
func verifierKeyOf(privateKey string) (string, error) {
	parts := strings.SplitN(privateKey, "+", 5)
	seed, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(seed) != 1+ed25519.SeedSize {
		return "", fmt.Errorf("%w: it is not an Ed25519 private key", ErrInvalidKey)
	}
	public := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	return note.NewEd25519VerifierKey(parts[2], public)
}

// GenerateKey makes an Ed25519 key pair. Only the sealer may have the private key. The
// verifier key is public. The name becomes the origin of the log. It must have no
// spaces and no plus sign, and should be globally unique, such as
// "example.com/plant-7".
func GenerateKey(name string) (privateKey, verifierKey string, err error) {
	if name == "" || strings.ContainsAny(name, "+ \t\r\n") {
		return "", "", fmt.Errorf("%w: the name %q is empty or has a space or a plus sign", ErrInvalidKey, name)
	}
	privateKey, verifierKey, err = note.GenerateKey(rand.Reader, name)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrInvalidKey, err)
	}
	// The name may have other Unicode spaces, with which the key could not be read.
	if _, err := NewSigner(privateKey); err != nil {
		return "", "", fmt.Errorf("%w: the name %q cannot be used", ErrInvalidKey, name)
	}
	return privateKey, verifierKey, nil
}

// WriteKeyFile writes a private key to a new file that only its owner may read. It
// never replaces a file, which might hold the only copy of another key.
func WriteKeyFile(path, privateKey string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s already exists and was not replaced", ErrInvalidKey, path)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(privateKey + "\n")
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// maxKeyBytes bounds the size of a key file.
const maxKeyBytes = 4096

// ReadKeyFile reads a private key. If anyone but the owner may read or write the file,
// the error is [ErrInvalidKey].
func ReadKeyFile(path string) (*Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the signing key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s has mode %#o, so other users have access: run chmod 600, and replace the key if somebody may have read it",
			ErrInvalidKey, path, info.Mode().Perm())
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyBytes {
		return nil, fmt.Errorf("%w: %s is not a key file", ErrInvalidKey, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the signing key: %w", err)
	}
	s, err := NewSigner(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}
