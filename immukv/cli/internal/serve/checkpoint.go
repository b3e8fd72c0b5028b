package serve

import (
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

// checkpointName is where the transparency log of a store keeps its checkpoint, below the
// prefix of the log (docs/trust.md).
const checkpointName = "tlog/checkpoint"

// checkpointView is what a page says of the newest checkpoint.
type checkpointView struct {
	Origin string
	Size   int64
	Root   string
	// Checked: its signature was checked, and it extends what was accepted before.
	Checked   bool
	Problem   string // why it is not to be trusted, or empty
	Witnesses []witnessView
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

// checkpointSoon is the checkpoint for pages that need it only to offer proofs: nil if it
// cannot be read.
func (s *Server) checkpointSoon(ctx context.Context) *checkpointView {
	c, err := s.checkpoint(ctx)
	if err != nil {
		return nil
	}
	return c
}

// checkpoint reads the newest checkpoint. If the server has a verifier, a checkpoint that
// it does not accept is returned with the problem.
func (s *Server) checkpoint(ctx context.Context) (*checkpointView, error) {
	obj, err := s.store.Get(ctx, s.db.Prefix()+checkpointName)
	if errors.Is(err, backend.ErrNotFound) {
		return nil, tlog.ErrNoCheckpoint
	}
	if err != nil {
		return nil, err
	}
	text, _, _ := strings.Cut(string(obj.Body), "\n\n")
	parsed, err := torchwood.ParseCheckpoint(text + "\n")
	if err != nil {
		return &checkpointView{Problem: "it is malformed: " + err.Error()}, nil
	}
	view := &checkpointView{Origin: parsed.Origin, Size: parsed.N, Root: base64.StdEncoding.EncodeToString(parsed.Hash[:])}
	signed := obj.Body
	if s.Verifier != nil {
		c, err := tlog.Latest(ctx, s.Verifier, s.db)
		if err != nil {
			view.Problem = err.Error()
		} else {
			view.Checked = true
			view.Origin, view.Size, view.Root, signed = c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]), c.Signed
		}
	}
	view.Witnesses = s.witnesses(signed, view.Origin)
	return view, nil
}

// witnesses lists the witnesses of the policy, and what else signed the checkpoint.
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

// cosigned is when a witness signed, as C2SP tlog-cosignature says it: behind the four
// bytes that name the key stand eight of seconds, and the signature.
func cosigned(sig note.Signature) time.Time {
	raw, err := base64.StdEncoding.DecodeString(sig.Base64)
	if err != nil || len(raw) != 4+8+64 {
		return time.Time{}
	}
	return time.Unix(int64(binary.BigEndian.Uint64(raw[4:12])), 0).UTC()
}
