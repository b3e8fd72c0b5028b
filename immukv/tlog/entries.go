package tlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// rawCodec passes the JSON of values through.
type rawCodec struct{}

func (rawCodec) Encode(v json.RawMessage) ([]byte, error)    { return v, nil }
func (rawCodec) Decode(text []byte) (json.RawMessage, error) { return text, nil }

// Entry is an entry whose value is JSON as it is stored.
type Entry = immukv.Entry[json.RawMessage]

type client = immukv.Client[json.RawMessage]

func raw[V any](c *immukv.Client[V]) *client {
	return immukv.WithCodec(c, immukv.Codec[json.RawMessage](rawCodec{}))
}

func sealedLogOf[V any](c *immukv.Client[V]) *sealedLog {
	return &sealedLog{store: c.Store(), prefix: c.Prefix()}
}

// newest is the newest entry of the log, or nil if the log is empty.
func newest(ctx context.Context, db *client) (*Entry, error) {
	for e, err := range db.Log(ctx, immukv.Limit(1)) {
		return &e, err
	}
	return nil, nil
}

// chainBefore calls visit with the entries before one, newest first, down to the
// one of a sequence. Each is the one that the newer one names by hash.
func chainBefore(ctx context.Context, db *client, newer Entry, down int64, visit func(Entry) error) error {
	if newer.Sequence <= down {
		return nil
	}
	last := newer
	for e, err := range db.Log(ctx, immukv.Before(newer.VersionID), immukv.Limit(int(newer.Sequence-down))) {
		switch {
		case errors.Is(err, backend.ErrNotFound):
			return fmt.Errorf("%w: the entry before sequence %d is gone: %w", immukv.ErrVerificationFailed, last.Sequence, err)
		case err != nil:
			return err
		case e.Sequence != last.Sequence-1 || e.Hash != last.PreviousHash:
			return fmt.Errorf("%w: sequence %d is not the entry that sequence %d follows", immukv.ErrVerificationFailed, e.Sequence, last.Sequence)
		}
		if err := visit(e); err != nil {
			return err
		}
		last = e
	}
	if last.Sequence != down {
		return fmt.Errorf("%w: the log ends at sequence %d, above sequence %d", immukv.ErrVerificationFailed, last.Sequence, down)
	}
	return nil
}
