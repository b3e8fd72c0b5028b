package fleet

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// The invariants of seals. Any number of clients may seal at once, and each may crash
// during its seal:
//
//	S1  a tile is what the log yields, and never changes
//	S2  a checkpoint is signed; its root is that of as many entries of the log as it
//	    says, no fewer than the checkpoint before it covers, and its tiles are there
//	S3  a seal that succeeded covers all entries of the log when it began
//	S4  no seal reports tampering with an honest log
//	S5  when all have ended, the next seal covers the whole log, and an audit passes;
//	    and so does the seal after another entry
//
// So all checkpoints are consistent with each other: all are checkpoints of the one log.

const (
	sealedDir      = "tlog/"
	checkpointName = sealedDir + "checkpoint"
	tileWidth      = 256
)

// sealKeys are the keys of every simulated log: all sealers have the same, and their
// output is deterministic.
var sealKeys = sync.OnceValues(func() (*tlog.Signer, string) {
	const name = "sim.example/log"
	seed := make([]byte, ed25519.SeedSize)
	public, err := note.NewEd25519VerifierKey(name, ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey))
	if err != nil {
		panic(err)
	}
	hash := strings.SplitN(public, "+", 3)[1]
	algorithm := []byte{1}
	signer, err := tlog.NewSigner("PRIVATE+KEY+" + name + "+" + hash + "+" + base64.StdEncoding.EncodeToString(append(algorithm, seed...)))
	if err != nil {
		panic(err)
	}
	return signer, public
})

// sealModel is the content below tlog/.
type sealModel struct {
	objects map[string][]keyVersion // each tile has one version, the checkpoint has many
	size    int                     // of the newest checkpoint
}

// write adds an object that was written below tlog/, and checks S1 and S2.
func (s *sealModel) write(log []*entry, name string, body []byte, v backend.Version) error {
	if s.objects == nil {
		s.objects = make(map[string][]keyVersion)
	}
	if name == checkpointName {
		if err := s.checkpoint(log, body); err != nil {
			return err
		}
	} else {
		want, ok := tileOf(log, name)
		switch {
		case !ok:
			return violation("S1", "an object was written to %s, which is not a tile of a log of %d entries", name, len(log))
		case len(s.objects[name]) > 0:
			return violation("S1", "%s was written a second time", name)
		case string(body) != want:
			return violation("S1", "%s differs from what the log yields", name)
		}
	}
	s.objects[name] = append(s.objects[name], keyVersion{v.ID, string(body)})
	return nil
}

// checkpoint checks a checkpoint before it is added (S2).
func (s *sealModel) checkpoint(log []*entry, signed []byte) error {
	_, public := sealKeys()
	verifier, err := note.NewVerifier(public)
	if err != nil {
		return err
	}
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return violation("S2", "a checkpoint is not signed: %v", err)
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 {
		return violation("S2", "a checkpoint has %d lines", len(lines))
	}
	size, err := strconv.Atoi(lines[1])
	switch {
	case err != nil:
		return violation("S2", "a checkpoint has no size: %v", err)
	case size > len(log):
		return violation("S2", "a checkpoint covers %d entries, but the log has %d", size, len(log))
	case size < s.size:
		return violation("S2", "a checkpoint covers %d entries, but the one before it %d", size, s.size)
	}
	if root := base64.StdEncoding.EncodeToString(merkleRoot(log[:size])); lines[2] != root {
		return violation("S2", "a checkpoint of %d entries has the root %s, but the log has %s", size, lines[2], root)
	}
	for _, name := range tilesOf(size) {
		if len(s.objects[name]) == 0 {
			return violation("S2", "a checkpoint of %d entries was published without %s", size, name)
		}
	}
	s.size = size
	return nil
}

func (e *entry) leaf() []byte {
	return fmt.Appendf(nil, `{"hash":"%s","key":"%s","sequence":%d,"timestamp_ms":%d}`, e.hash, e.key, e.sequence, e.timestamp)
}

// merkleRoot computes the root of RFC 6962, section 2.1, literally.
func merkleRoot(log []*entry) []byte {
	switch len(log) {
	case 0:
		return rfc6962.DefaultHasher.EmptyRoot()
	case 1:
		return rfc6962.DefaultHasher.HashLeaf(log[0].leaf())
	}
	k := 1
	for 2*k < len(log) {
		k *= 2
	}
	return rfc6962.DefaultHasher.HashChildren(merkleRoot(log[:k]), merkleRoot(log[k:]))
}

var tileName = regexp.MustCompile(`^tlog/tile/(entries|[0-9])/([0-9]{3})(?:\.p/([0-9]+))?$`)

// tileOf returns the content of the tile or bundle of that name in the tree of the log,
// or of a later one. ok is false if the log has too few entries for it.
func tileOf(log []*entry, name string) (content string, ok bool) {
	m := tileName.FindStringSubmatch(name)
	if m == nil {
		return "", false
	}
	level, _ := strconv.Atoi(m[1]) // of entries it is 0
	n, _ := strconv.Atoi(m[2])
	width := tileWidth
	if m[3] != "" {
		width, _ = strconv.Atoi(m[3])
	}
	span := 1 << (8 * level)
	first := n * tileWidth * span
	if width == 0 || width > tileWidth || first+width*span > len(log) {
		return "", false
	}
	var b []byte
	for i := range width {
		if below := log[first+i*span:][:span]; m[1] != "entries" {
			b = append(b, merkleRoot(below)...)
		} else {
			leaf := below[0].leaf()
			b = append(binary.BigEndian.AppendUint16(b, uint16(len(leaf))), leaf...)
		}
	}
	return string(b), true
}

// tilesOf returns the names of the tiles and bundles of a tree of that size.
func tilesOf(size int) []string {
	var names []string
	for level := 0; size>>(8*level) > 0; level++ {
		hashes := size >> (8 * level)
		for n := 0; n*tileWidth < hashes; n++ {
			place := fmt.Sprintf("%03d", n)
			if width := hashes - n*tileWidth; width < tileWidth {
				place += fmt.Sprintf(".p/%d", width)
			}
			names = append(names, fmt.Sprintf("%stile/%d/%s", sealedDir, level, place))
			if level == 0 {
				names = append(names, sealedDir+"tile/entries/"+place)
			}
		}
	}
	return names
}

// endedSeal checks the result of a seal (S3, S4).
func (o *oracle) endedSeal(c *callState, r *result, err error) error {
	switch {
	case errors.Is(err, immukv.ErrVerificationFailed):
		return violation("S4", "%s failed on an honest log: %v", c.what(), err)
	case err == nil && (*r.sealed < int64(c.floor.log) || *r.sealed > int64(len(o.model.log))):
		return violation("S3", "%s covers %d entries, but there were %d when it began", c.what(), *r.sealed, c.floor.log)
	}
	return nil
}

// finalSeal checks that unfinished seals do not prevent further ones (S5).
func (o *oracle) finalSeal(ctx context.Context, db *immukv.Client[string]) error {
	if !o.seals {
		return nil
	}
	signer, public := sealKeys()
	c, err := tlog.Seal(ctx, db, signer)
	if err != nil || c.Size != int64(len(o.model.log)) || o.model.sealed.size != len(o.model.log) {
		return violation("S5", "after the last fault, a seal covers %d of %d entries: %v", c.Size, len(o.model.log), err)
	}
	verifier, err := tlog.NewVerifier(public)
	if err != nil {
		return err
	}
	if _, err := tlog.Audit(ctx, verifier, db); err != nil {
		return violation("S5", "the audit of a sealed log: %v", err)
	}
	return nil
}
