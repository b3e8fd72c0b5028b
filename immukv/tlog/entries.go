package tlog

import (
	"context"
	"encoding/json"

	"github.com/immukv/immukv-go/immukv"
)

// rawCodec returns the JSON of values as it is stored.
type rawCodec struct{}

func (rawCodec) Encode(v json.RawMessage) ([]byte, error)    { return v, nil }
func (rawCodec) Decode(text []byte) (json.RawMessage, error) { return text, nil }

// Entry is an entry whose value is JSON, exactly as it is stored.
type Entry = immukv.Entry[json.RawMessage]

type client = immukv.Client[json.RawMessage]

func raw[V any](c *immukv.Client[V]) *client {
	return immukv.WithCodec(c, immukv.Codec[json.RawMessage](rawCodec{}))
}

func sealedLogOf[V any](c *immukv.Client[V]) *sealedLog {
	return &sealedLog{store: c.Store(), prefix: c.Prefix()}
}

// newest returns the newest entry of the log, or nil if the log is empty.
func newest(ctx context.Context, db *client) (*Entry, error) {
	for e, err := range db.Log(ctx, immukv.Limit(1)) {
		return &e, err
	}
	return nil, nil
}
