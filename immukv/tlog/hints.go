package tlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// A hint lists the log versions that hold the entries of a full bundle, one in each line,
// so that an entry is read by its sequence in two requests. A hint is never trusted: the
// entry that it names is checked against the tree. Without a hint, or with a wrong one,
// the entry is searched for in another way.
//
// Version IDs belong to the bucket and are not a function of the log. So a hint is
// created if there is none, and never replaced.

// hintName returns the name of the hint of a group of 256 entries.
func (l *sealedLog) hintName(group int64) string {
	t := tlog.Tile{H: torchwood.TileHeight, L: 0, N: group, W: torchwood.TileWidth}
	return l.name("versions/" + strings.TrimPrefix(torchwood.TilePath(t), "tile/0/"))
}

// hintWriter writes the hints of groups that become full.
type hintWriter struct {
	log  *sealedLog
	db   *client
	size int64                 // the sequence of the next entry
	ids  []immukv.LogVersionID // of the new entries of the group
}

func (h *hintWriter) add(ctx context.Context, g *growth, e Entry) error {
	h.ids = append(h.ids, e.VersionID)
	if h.size++; h.size%torchwood.TileWidth != 0 {
		return nil
	}
	ids := h.ids
	h.ids = nil
	if before := torchwood.TileWidth - len(ids); before > 0 {
		older, err := h.older(ctx, ids[0], h.size-torchwood.TileWidth, before)
		if older == nil {
			return err
		}
		ids = append(older, ids...)
	}
	body := hintOf(ids)
	if body == nil {
		return nil
	}
	name := h.log.hintName(h.size/torchwood.TileWidth - 1)
	g.writes.Go(func() error { return h.log.createHint(g.ctx, name, body) })
	return nil
}

// older returns the log versions of a number of entries that were sealed before: those
// from a sequence on, up to the version next. It returns nil if it cannot find them, for
// example because they have expired.
func (h *hintWriter) older(ctx context.Context, next immukv.LogVersionID, from int64, number int) ([]immukv.LogVersionID, error) {
	// If there are exactly as many versions as entries, and the oldest has the first
	// sequence, each version has one entry.
	page, err := h.log.store.ListVersions(ctx, h.log.prefix+wire.LogName, backend.VersionsRequest{After: backend.VersionID(next), Limit: number})
	if err != nil {
		return nil, fmt.Errorf("list the sealed log versions: %w", err)
	}
	var ids []immukv.LogVersionID
	for _, v := range page.Versions {
		if !v.DeleteMarker {
			ids = append(ids, immukv.LogVersionID(v.ID))
		}
	}
	if len(ids) == number {
		if oldest, err := h.db.LogVersion(ctx, ids[number-1]); err == nil && len(oldest) > 0 && oldest[0].Sequence == from {
			slices.Reverse(ids)
			return ids, nil
		}
	}
	ids = nil
	for e, err := range h.db.Log(ctx, immukv.From(from), immukv.OldestFirst(), immukv.Limit(number)) {
		if errors.Is(err, immukv.ErrVerificationFailed) || errors.Is(err, backend.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, e.VersionID)
	}
	if len(ids) != number {
		return nil, nil
	}
	return ids, nil
}

// maxVersionID bounds the length of a version ID in a hint; the IDs of stores are far
// shorter.
const maxVersionID = 1024

// hintOf returns the hint for the entries of a group, or nil if a version ID cannot be
// written in a line.
func hintOf(ids []immukv.LogVersionID) []byte {
	var body []byte
	for _, id := range ids {
		if id == "" || len(id) > maxVersionID || strings.ContainsAny(string(id), "\r\n") {
			return nil
		}
		body = append(append(body, id...), '\n')
	}
	return body
}

func (l *sealedLog) createHint(ctx context.Context, name string, body []byte) error {
	_, err := l.store.Put(ctx, name, body, backend.IfAbsent())
	if errors.Is(err, backend.ErrPreconditionFailed) {
		return nil
	}
	if errors.Is(err, backend.ErrOutcomeUnknown) {
		if _, headErr := l.store.Head(ctx, name); headErr == nil {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("write hint: %w", err)
	}
	return nil
}

// hinted returns the entry of a sequence that the hint names, or nil. The caller must
// check the entry.
func (l *sealedLog) hinted(ctx context.Context, db *client, sequence int64) (*Entry, error) {
	obj, err := l.store.Get(ctx, l.hintName(sequence/torchwood.TileWidth))
	if errors.Is(err, backend.ErrNotFound) || errors.Is(err, backend.ErrDamaged) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read hint: %w", err)
	}
	lines := strings.Split(string(obj.Body), "\n")
	if len(lines) != torchwood.TileWidth+1 || len(obj.Body) > torchwood.TileWidth*(maxVersionID+1) {
		return nil, nil
	}
	id := lines[sequence%torchwood.TileWidth]
	if id == "" || len(id) > maxVersionID {
		return nil, nil
	}
	entries, err := db.LogVersion(ctx, immukv.LogVersionID(id))
	for i := range entries {
		if err == nil && entries[i].Sequence == sequence {
			return &entries[i], nil
		}
	}
	return nil, ctx.Err() // the caller searches in another way
}
