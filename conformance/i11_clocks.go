package conformance

import (
	"context"
	"time"

	"github.com/immukv/immukv-go/immukv"
)

// I11: the result does not depend on clocks.
var clockChecks = clause("I11",
	check{
		name: "skewed-clocks", cost: cost{fixed: 200 + 4*clockCallers*contendingWrites*30},
		title: "clocks that differ and run backwards change only the times of entries",
		run:   checkSkewedClocks,
	},
)

// clockCallers is how many goroutines write with each clock.
const clockCallers = 2

func checkSkewedClocks(ctx context.Context, e *env) error {
	l, s, err := e.contend(ctx, 4, clockCallers, func(i int) []immukv.Option {
		now := time.Unix(1_700_000_000, 0).AddDate(10*i, 0, 0)
		clock := immukv.WithClock(func() time.Time {
			now = now.Add(-time.Hour)
			return now
		})
		if i%2 == 0 {
			return []immukv.Option{clock}
		}
		return append(batching(i), clock)
	})
	if err != nil {
		return err
	}
	if err := l.ordered(); err != nil {
		return err
	}
	return sound(ctx, s, "", l)
}
