package immukv

import (
	"context"
	"errors"
	"fmt"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// get is [Client.Get].
func (c *core) get(ctx context.Context, key string, q getQuery) (*version, error) {
	switch {
	case q.past():
		return c.getPast(ctx, key, q)
	case q.consistent:
		return c.getConsistent(ctx, key)
	}
	if err := c.startRead(ctx, key); err != nil {
		return nil, err
	}
	// This must come before the read of the key object, which need not reflect an entry
	// that is an orphan now. The read may miss an entry that becomes an orphan later.
	orphan := c.orphanOf(key)
	v, _, err := c.readKey(ctx, key)
	switch {
	case v == nil && orphan != nil && errors.Is(err, backend.ErrNotFound):
		return orphan, nil
	case v == nil || v.Key != key:
		return v, err
	}
	if orphan != nil && v.Sequence < orphan.Sequence {
		return orphan, nil
	}
	return v, err
}

// getConsistent is [Client.Get] with [Consistent].
//
// The head is read first. If it holds an entry of the key, that entry is the key's
// newest. If not, the key's newest entry is applied, because nothing is appended after an
// orphan. Then the key object, read after the head, holds that entry or one appended
// since. If the key object were read before the head, or at the same time, an entry of
// the key and then one of another key could be appended in between, and the read would
// miss the first.
func (c *core) getConsistent(ctx context.Context, key string) (*version, error) {
	if err := checkKey(c.prefix, key); err != nil {
		return nil, err
	}
	newest, err := c.checkedHead(ctx)
	switch {
	case newest.ofKey(key) != nil:
		return newest.ofKey(key), err
	case err != nil:
		return nil, err
	case newest == nil:
		return nil, fmt.Errorf("the log is empty: %w", ErrNotFound)
	}
	v, _, err := c.readKey(ctx, key)
	return v, err
}

// checkedHead returns the newest version of the log, or nil if the log is empty. If the
// hash of an entry does not match, it returns the version with the error. It fails if the
// log was rolled back since this client last read it.
func (c *core) checkedHead(ctx context.Context) (logVersion, error) {
	known := c.knownHead()
	newest, err := c.newestVersion(ctx)
	if err == nil {
		err = newest.checkHashes()
	}
	if err != nil {
		return newest, fmt.Errorf("read the head of the log: %w", err)
	}
	fresh := &head{}
	if newest != nil {
		fresh = newHead(newest, "", unchecked)
	}
	if known != nil {
		if err := c.checkExtends(known, fresh); err != nil {
			return nil, err
		}
	}
	return newest, nil
}

// readKey reads the key object of a key: the entry that it holds, and its tag. An entry
// that cannot be trusted is returned with the error.
func (c *core) readKey(ctx context.Context, key string) (*version, backend.ETag, error) {
	object := wire.KeyObject(c.prefix, key)
	obj, err := c.store.Get(ctx, object)
	if err != nil {
		return nil, "", keyError(err)
	}
	v, err := c.readKeyVersion(ctx, object, obj.ID, obj.Body)
	if v != nil && v.Key != key {
		err = v.ofAnotherKey()
	}
	return v, obj.ETag, err
}

// ofAnotherKey is the error for an entry that is in the key object of another key.
func (v *version) ofAnotherKey() error {
	return v.wrong(fmt.Errorf("%w: the key object holds an entry of key %q", ErrVerificationFailed, v.Key))
}

// startRead is the first step of every read of a key.
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
func (c *core) logVersion(ctx context.Context, id LogVersionID) (logVersion, error) {
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
