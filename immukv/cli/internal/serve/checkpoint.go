package serve

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// checkpointName is the name of the transparency log's checkpoint, below the
// prefix of the log (docs/trust.md).
const checkpointName = "tlog/checkpoint"

// checkpointView is the newest checkpoint as a page presents it.
type checkpointView struct {
	Origin string
	Size   int64
	Root   string
	// Checked: its signature is valid, and it extends the checkpoint accepted before.
	Checked   bool
	Problem   string // why it cannot be trusted, or empty
	Witnesses []witnessView
	Since     time.Time // when this server first accepted it
	Covered   time.Time // of the newest entry that it covers; zero if that was not read
}

// witnessView is a cosignature on a checkpoint.
type witnessView struct {
	Name string
	// Known: the policy names the witness, and its cosignature was checked.
	Known  bool
	Signed bool
	Since  time.Time // when it cosigned; zero if the cosignature does not say
}

// sealedSize is the number of entries that have proofs: zero if the checkpoint cannot be
// read.
func (s *Server) sealedSize(ctx context.Context) int64 {
	signed, err := s.storedCheckpoint(ctx)
	if err != nil {
		return 0
	}
	return newCheckpointView(signed).Size
}

// storedCheckpoint returns the newest checkpoint as it is stored, unchecked.
func (s *Server) storedCheckpoint(ctx context.Context) ([]byte, error) {
	obj, err := s.store.Get(ctx, s.db.Prefix()+checkpointName)
	if errors.Is(err, backend.ErrNotFound) {
		return nil, tlog.ErrNoCheckpoint
	}
	return obj.Body, err
}

func newCheckpointView(signed []byte) *checkpointView {
	text, _, _ := strings.Cut(string(signed), "\n\n")
	c, err := torchwood.ParseCheckpoint(text + "\n")
	if err != nil {
		return &checkpointView{Problem: "the checkpoint is malformed: " + err.Error()}
	}
	return &checkpointView{Origin: c.Origin, Size: c.N, Root: base64.StdEncoding.EncodeToString(c.Hash[:])}
}

// checkpoint reads the newest checkpoint. If the server has a verifier, a checkpoint that
// it does not accept is returned with the problem.
func (s *Server) checkpoint(ctx context.Context) (*checkpointView, error) {
	var accepted tlog.Checkpoint
	var problem error
	if s.Verifier != nil {
		accepted, problem = tlog.Latest(ctx, s.Verifier, s.db)
	}
	signed := accepted.Signed
	if signed == nil {
		var err error
		if signed, err = s.storedCheckpoint(ctx); err != nil {
			return nil, cmp.Or(problem, err) // a missing checkpoint may contradict the remembered one
		}
	}
	view := newCheckpointView(signed)
	switch {
	case problem != nil:
		view.Problem = problem.Error()
	case s.Verifier != nil:
		view.Checked, view.Since = true, s.acceptedSince(accepted)
	}
	view.Witnesses = s.witnesses(signed, view.Origin)
	return view, nil
}

// acceptedSince returns when this server first accepted a checkpoint.
func (s *Server) acceptedSince(c tlog.Checkpoint) time.Time {
	s.acceptedMu.Lock()
	defer s.acceptedMu.Unlock()
	if s.accepted.Size != c.Size || s.accepted.Root != c.Root {
		s.accepted, s.since = c, time.Now()
	}
	return s.since
}

// witnesses lists the witnesses of the policy, and other signers of the checkpoint.
func (s *Server) witnesses(signed []byte, origin string) []witnessView {
	var views []witnessView
	named := map[string]bool{origin: true}
	if s.Witnesses != nil {
		for _, w := range s.Witnesses.Witnesses {
			v := witnessView{Name: w.Verifier.Name(), Known: true}
			named[v.Name] = true
			if n, err := note.Open(signed, note.VerifierList(w.Verifier)); err == nil && len(n.Sigs) > 0 {
				v.Signed, v.Since = true, cosigned(n.Sigs[0])
			}
			views = append(views, v)
		}
	}
	n, err := note.Open(signed, note.VerifierList())
	var unverified *note.UnverifiedNoteError
	if errors.As(err, &unverified) {
		n = unverified.Note
	}
	if n == nil {
		return views
	}
	for _, sig := range n.UnverifiedSigs {
		if !named[sig.Name] {
			views = append(views, witnessView{Name: sig.Name, Signed: true, Since: cosigned(sig)})
		}
	}
	return views
}

// cosigned returns when a witness signed, from the signature of C2SP tlog-cosignature:
// four bytes of the key's name, eight bytes of seconds, and the signature itself.
func cosigned(sig note.Signature) time.Time {
	raw, err := base64.StdEncoding.DecodeString(sig.Base64)
	if err != nil || len(raw) != 4+8+64 {
		return time.Time{}
	}
	return time.Unix(int64(binary.BigEndian.Uint64(raw[4:12])), 0).UTC()
}
