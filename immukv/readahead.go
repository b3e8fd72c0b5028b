package immukv

import (
	"context"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/readahead"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// fetched is one version of an object. Both its value and its error may be set: then it
// was read, but cannot be trusted.
type fetched = readahead.Item[*version]

// fetchedLog is one version of the log.
type fetchedLog = readahead.Item[logVersion]

// logReading reads the versions of the log.
func (c *core) logReading() readahead.Config[logVersion] {
	return readahead.Config[logVersion]{
		Store: c.store, Object: c.prefix + wire.LogName, Window: c.concurrency, Fetch: c.fetchLogVersion,
	}
}

// keyReading reads the versions of a key object, at most limit of them if limit is
// positive.
func (c *core) keyReading(object string, limit int) readahead.Config[*version] {
	return readahead.Config[*version]{
		Store: c.store, Object: object, Limit: limit, Window: c.concurrency,
		Fetch: func(ctx context.Context, v backend.Version) (*version, error) {
			obj, err := c.store.GetVersion(ctx, object, v.ID)
			if err != nil {
				return nil, err
			}
			return c.readKeyVersion(ctx, object, v.ID, obj.Body)
		},
	}
}

func (c *core) fetchLogVersion(ctx context.Context, v backend.Version) (logVersion, error) {
	obj, err := c.store.GetVersion(ctx, c.prefix+wire.LogName, v.ID)
	if err != nil {
		return nil, err
	}
	return c.readLogVersion(v.ID, obj.Body)
}
