package serve

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/immukv/immukv-go/immukv/tlog"
)

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
	c, err := tlog.Unverified(ctx, s.db)
	if err != nil {
		return 0
	}
	return c.Size
}

// checkpoint reads the newest checkpoint. A checkpoint that is malformed, or that the
// verifier does not accept, is returned with the problem.
func (s *Server) checkpoint(ctx context.Context) (*checkpointView, error) {
	var c tlog.Checkpoint
	var problem error
	if s.Verifier != nil {
		c, problem = tlog.Latest(ctx, s.Verifier, s.db)
	}
	accepted := s.Verifier != nil && problem == nil
	if !accepted {
		var err error
		if c, err = tlog.Unverified(ctx, s.db); err != nil {
			if problem = cmp.Or(problem, err); c.Signed == nil {
				return nil, problem // a missing checkpoint may contradict the remembered one
			}
		}
	}
	view := &checkpointView{Origin: c.Origin, Size: c.Size, Root: base64.StdEncoding.EncodeToString(c.Root[:])}
	switch {
	case problem != nil:
		view.Problem = problem.Error()
	case accepted:
		view.Checked, view.Since = true, s.acceptedSince(c)
	}
	view.Witnesses = s.witnesses(c.Signed, view.Origin)
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
// four bytes of the key ID, which is a hash of the key and its name, eight bytes of
// seconds, and the signature itself.
func cosigned(sig note.Signature) time.Time {
	raw, err := base64.StdEncoding.DecodeString(sig.Base64)
	if err != nil || len(raw) != 4+8+64 {
		return time.Time{}
	}
	return time.Unix(int64(binary.BigEndian.Uint64(raw[4:12])), 0).UTC()
}
