package immukv

import (
	"context"
	"errors"
	"fmt"

	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// entryAt is [Client.EntryAt].
func (c *core) entryAt(ctx context.Context, sequence int64) (*version, error) {
	if sequence < 0 {
		return nil, fmt.Errorf("%w: sequence %d is negative", ErrInvalidOption, sequence)
	}
	head, err := c.newestVersion(ctx)
	switch {
	case err != nil:
		return nil, err
	case head == nil:
		return nil, fmt.Errorf("the log is empty: %w", ErrNotFound)
	case sequence > head.newest().Sequence:
		return nil, fmt.Errorf("the log ends with sequence %d: %w", head.newest().Sequence, ErrNotFound)
	}
	if v := head.oldest().at(sequence); v != nil {
		return v, v.checkHash()
	}
	// If the head's hash does not match, its sequence is still a place to begin at.
	return c.entryBelow(ctx, head.oldest(), sequence)
}

// entryBelow returns the entry of a sequence that is less than those of the version from.
// It finds the place in the listing, and then follows the chain if the listing is out of
// order.
func (c *core) entryBelow(ctx context.Context, from *version, sequence int64) (*version, error) {
	x := c.indexVersions(c.prefix+wire.LogName, from.id)
	above, below, err := x.find(ctx, sequence, indexed{place: -1, v: from})
	if err != nil {
		return nil, err
	}
	if v := below.v.at(sequence); v != nil {
		return v, v.checkHash()
	}
	v, err := c.versionAt(ctx, above.v, sequence)
	if below.v != nil && errors.Is(err, ErrNotFound) {
		err = Finding{
			Kind: MissingVersion, Object: x.object, Sequence: sequence,
			Detail: fmt.Sprintf("the entry is missing: the log has sequences %d and %d", below.v.Sequence, above.v.Sequence),
		}
	}
	return v, err
}
