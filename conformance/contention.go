package conformance

import (
	"context"
	"fmt"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// contendingWrites is how many writes each of contending clients makes.
const contendingWrites = 6

// contend runs clients, each with its own options, that set a few keys
// concurrently.
func (e *env) contend(ctx context.Context, clients int, opts func(i int) []immukv.Option) (*ledger, backend.VersionedStore, error) {
	stores := e.stores
	l := &ledger{}
	err := together(clients, func(i int) error {
		c, err := connect(ctx, stores[i%2], "", opts(i)...)
		if err != nil {
			return err
		}
		for n := range contendingWrites {
			key := fmt.Sprintf("key-%d", (i+n)%3)
			if err := l.set(ctx, c, key, fmt.Sprintf("client %d, write %d", i, n)); err != nil {
				return unlike("a contending write to get through", "%v", err)
			}
		}
		return c.Close()
	})
	return l, stores[1], err
}

// byDefault gives a client no options.
func byDefault(int) []immukv.Option { return nil }
