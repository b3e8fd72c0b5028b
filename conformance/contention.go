package conformance

import (
	"cmp"
	"context"
	"fmt"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// contendingWrites is how many writes each caller of contending clients makes.
const contendingWrites = 6

// batchCallers is how many goroutines write through each client that batches.
const batchCallers = 8

// contend runs clients, each with its own options, that set a few keys
// concurrently, with so many callers each.
func (e *env) contend(ctx context.Context, clients, callers int, opts func(i int) []immukv.Option) (*ledger, backend.VersionedStore, error) {
	stores := e.stores
	l := &ledger{}
	err := together(clients, func(i int) error {
		return throughOne(ctx, stores[i%2], opts(i), callers, func(c *client, caller int) error {
			for n := range contendingWrites {
				key := fmt.Sprintf("key-%d", (i+caller+n)%(2+callers))
				if err := l.set(ctx, c, key, fmt.Sprintf("client %d, caller %d, write %d", i, caller, n)); err != nil {
					return unlike("a contending write to get through", "%v", err)
				}
			}
			return nil
		})
	})
	return l, stores[1], err
}

// throughOne opens a client and has callers use it concurrently.
func throughOne(ctx context.Context, s backend.VersionedStore, opts []immukv.Option, callers int, use func(c *client, caller int) error) error {
	c, err := connect(ctx, s, "", opts...)
	if err != nil {
		return err
	}
	err = together(callers, func(caller int) error { return use(c, caller) })
	return cmp.Or(err, c.Close())
}

// byDefault gives a client no options.
func byDefault(int) []immukv.Option { return nil }

// batching puts writes that are under way at once into one version of the log.
func batching(int) []immukv.Option {
	return []immukv.Option{immukv.WithBatching(immukv.Batching{})}
}
