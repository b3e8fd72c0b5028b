package tlog

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/gofrs/flock"

	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/internal/statefile"
)

// Verifier checks what it reads against the log's signed checkpoints. It remembers the
// last checkpoint that it accepted, and accepts only a checkpoint that extends it. Any
// number of goroutines may use a Verifier.
type Verifier struct {
	policy Policy
	state  string // the state file; "" if it remembers only in memory
	cache  tileCache

	mu   sync.Mutex
	last *Checkpoint // nil: none yet
}

// VerifierOption is an option of [NewVerifier].
type VerifierOption func(*Verifier)

// Remember makes a verifier keep the last checkpoint that it accepted in a file. The
// file is replaced as a whole and synced. Without this option, the verifier forgets the
// checkpoint when the process ends. Any number of processes may share the file. The
// file never goes back to an older checkpoint, and each process rejects a checkpoint
// that contradicts it. The verifier keeps a lock file beside it, whose name ends in
// .lock.
func Remember(file string) VerifierOption { return func(v *Verifier) { v.state = file } }

// RequireWitnesses makes a verifier accept a checkpoint only with the cosignatures that
// the policy requires.
func RequireWitnesses(p *WitnessPolicy) VerifierOption {
	return func(v *Verifier) { v.policy.Witnesses = p }
}

// NewVerifier returns a verifier for the log with that verifier key. With [Remember],
// it reads the remembered checkpoint; if the file does not hold a checkpoint of this
// log, that is an error.
func NewVerifier(verifierKey string, opts ...VerifierOption) (*Verifier, error) {
	policy, err := NewPolicy(verifierKey)
	if err != nil {
		return nil, err
	}
	v := &Verifier{policy: policy}
	for _, opt := range opts {
		opt(v)
	}
	if err := v.load(); err != nil {
		return nil, err
	}
	return v, nil
}

// load reads the state file, which another process may have replaced.
func (v *Verifier) load() error {
	if v.state == "" {
		return nil
	}
	signed, err := os.ReadFile(v.state)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the remembered checkpoint: %w", err)
	}
	// The witness policy may have become stricter since the checkpoint was remembered.
	c, err := Policy{Log: v.policy.Log}.Open(signed)
	if err != nil {
		return fmt.Errorf("the remembered checkpoint in %s: %w", v.state, err)
	}
	if v.last == nil || c.Size > v.last.Size {
		v.last = &c
	}
	return nil
}

// Latest reads the newest checkpoint and checks its signatures. It checks that the
// checkpoint extends the remembered one, and then remembers it. [ErrRolledBack] or
// [ErrFork] mean that someone who holds the key, or controls the bucket, presents
// another history. In that case the verifier keeps both checkpoints beside the file of
// [Remember], as evidence.
func Latest[V any](ctx context.Context, v *Verifier, c *immukv.Client[V]) (Checkpoint, error) {
	checkpoint, _, err := v.latest(ctx, sealedLogOf(c))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	return checkpoint, nil
}

func (v *Verifier) latest(ctx context.Context, l *sealedLog) (Checkpoint, *sealedLog, error) {
	l.cache = &v.cache
	// The remembered checkpoint is read first: a checkpoint read later is not older,
	// unless the log was rolled back.
	before, err := v.remembered()
	if err != nil {
		return Checkpoint{}, nil, err
	}
	signed, _, err := l.readCheckpoint(ctx)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	c, err := v.policy.Open(signed)
	if err != nil {
		return Checkpoint{}, nil, fmt.Errorf("%s: %w", l.name(checkpointName), err)
	}
	if err := v.extends(ctx, l, before, c); err != nil {
		return Checkpoint{}, nil, err
	}
	if before != nil && before.tree() == c.tree() {
		return c, l, nil
	}
	return c, l, v.remember(ctx, l, c)
}

// remembered returns the last checkpoint that this or another process accepted, or nil if
// there is none.
func (v *Verifier) remembered() (*Checkpoint, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	err := v.load()
	return v.last, err
}

// extends returns an error unless c extends the checkpoint that was remembered before c
// was read. If the log has no checkpoint, c is the zero Checkpoint.
func (v *Verifier) extends(ctx context.Context, l *sealedLog, before *Checkpoint, c Checkpoint) error {
	switch {
	case before == nil || before.tree() == c.tree():
		return nil
	case len(c.Signed) == 0:
		return fmt.Errorf("%w: there is no checkpoint, but one of size %d was accepted before", ErrRolledBack, before.Size)
	case c.Size < before.Size:
		return v.evidence(*before, c, fmt.Errorf("%w: the checkpoint covers %d entries, but one of %d entries was accepted before", ErrRolledBack, c.Size, before.Size))
	}
	return v.consistent(ctx, l, *before, c, *before)
}

// consistent returns an error unless two checkpoints are of one history. One of them was
// accepted before.
func (v *Verifier) consistent(ctx context.Context, l *sealedLog, shorter, longer, before Checkpoint) error {
	after := longer
	if before.tree() == longer.tree() {
		after = shorter
	}
	err := l.consistent(ctx, shorter, longer)
	if errors.Is(err, ErrFork) {
		return v.evidence(before, after, err)
	}
	return err
}

// remember remembers a checkpoint that was accepted, or signed by this process. If a
// longer one has been remembered meanwhile, it keeps that, which must extend c.
func (v *Verifier) remember(ctx context.Context, l *sealedLog, c Checkpoint) error {
	for {
		last, err := v.remembered()
		if err != nil {
			return err
		}
		if last != nil {
			shorter, longer := *last, c
			if shorter.Size > longer.Size {
				shorter, longer = longer, shorter
			}
			if err := v.consistent(ctx, l, shorter, longer, *last); err != nil || last.Size >= c.Size {
				return err
			}
		}
		if replaced, err := v.replace(last, c); replaced || err != nil {
			return err
		}
	}
}

// replace remembers a checkpoint if the remembered one is still the given one.
func (v *Verifier) replace(last *Checkpoint, c Checkpoint) (replaced bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.state == "" {
		if v.last == last {
			v.last = &c
			return true, nil
		}
		return false, nil
	}
	// No other process may replace the file between this read and the write.
	file := flock.New(v.state+".lock", flock.SetPermissions(0o600))
	if err := file.Lock(); err != nil {
		return false, fmt.Errorf("lock the remembered checkpoint: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := v.load(); err != nil || v.last != last {
		return false, err
	}
	if err := statefile.Replace(v.state, c.Signed); err != nil {
		return false, fmt.Errorf("remember the checkpoint: %w", err)
	}
	v.last = &c
	return true, nil
}

// evidence writes two contradicting checkpoints to a file beside the one of [Remember],
// and names that file in the error.
func (v *Verifier) evidence(before, after Checkpoint, err error) error {
	if v.state == "" || len(after.Signed) == 0 {
		return err
	}
	name := v.state + ".evidence-" + hex.EncodeToString(after.Root[:8])
	both := append(append([]byte{}, before.Signed...), '\n')
	if writeErr := statefile.Replace(name, append(both, after.Signed...)); writeErr != nil {
		return errors.Join(err, fmt.Errorf("keep both as evidence: %w", writeErr))
	}
	return fmt.Errorf("%w; both are kept in %s", err, name)
}

// Get returns the newest entry of a key and proves that it is in the signed log. It
// reads the key object, the checkpoint, and those tiles on the entry's path that it
// does not have yet. If the entry was appended after the last seal, Get returns it
// together with [ErrNotSealed].
//
// Get does not prove that the entry is the newest of its key. If the bucket hides a
// newer one, [Audit] detects it.
func Get[V any](ctx context.Context, v *Verifier, c *immukv.Client[V], key string) (immukv.Entry[V], error) {
	e, err := c.Get(ctx, key)
	if err != nil {
		return e, err
	}
	latest, l, err := v.latest(ctx, sealedLogOf(c))
	if err == nil {
		_, err = l.includes(ctx, Entry{Key: e.Key, Sequence: e.Sequence, Timestamp: e.Timestamp, Hash: e.Hash}, latest)
	}
	if err != nil {
		return e, fmt.Errorf("get %q: %w", key, err)
	}
	return e, nil
}
