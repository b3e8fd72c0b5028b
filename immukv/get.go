package immukv

import (
	"context"
	"errors"
	"fmt"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// get is [Client.Get].
func (c *core) get(ctx context.Context, key string) (*version, error) {
	if err := c.startRead(ctx, key); err != nil {
		return nil, err
	}
	// Before the key object is read: an entry pending now is one that the read
	// need not show; one that comes to be pending later may be missed.
	pending := c.orphanOf(key)
	object := wire.KeyObject(c.prefix, key)
	obj, err := c.store.Get(ctx, object)
	if err != nil {
		if pending != nil && errors.Is(err, backend.ErrNotFound) {
			return pending, nil
		}
		return nil, keyError(err)
	}
	v, err := c.readKeyVersion(ctx, object, obj.ID, obj.Body)
	if v == nil {
		return nil, err
	}
	if v.Key != key {
		return v, v.wrong(fmt.Errorf("%w: the key object holds an entry of key %q", ErrVerificationFailed, v.Key))
	}
	if pending != nil && v.Sequence < pending.Sequence {
		return pending, nil
	}
	return v, err
}

// startRead is what every read of a key does first.
func (c *core) startRead(ctx context.Context, key string) error {
	if err := checkKey(c.prefix, key); err != nil {
		return err
	}
	if err := c.checkOpen(); err != nil {
		return err
	}
	return c.checkHead(ctx)
}

// logVersion is [Client.LogVersion].
func (c *core) logVersion(ctx context.Context, id LogVersionID) (*version, error) {
	if id == "" {
		return nil, fmt.Errorf("log version ID is empty: %w", ErrNotFound)
	}
	if err := c.checkOpen(); err != nil {
		return nil, err
	}
	object := c.prefix + wire.LogName
	obj, err := c.store.GetVersion(ctx, object, backend.VersionID(id))
	if err != nil {
		return nil, err
	}
	return c.readLogVersion(obj.ID, obj.Body)
}
