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
	// Before the key object is read: it need not reflect an entry that is an orphan
	// now. One that becomes an orphan later may be missed.
	orphan := c.orphanOf(key)
	object := wire.KeyObject(c.prefix, key)
	obj, err := c.store.Get(ctx, object)
	if err != nil {
		if orphan != nil && errors.Is(err, backend.ErrNotFound) {
			return orphan, nil
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
	if orphan != nil && v.Sequence < orphan.Sequence {
		return orphan, nil
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
