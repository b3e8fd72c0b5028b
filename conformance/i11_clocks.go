package conformance

import (
	"context"
	"time"

	"github.com/immukv/immukv-go/immukv"
)

// I11: the result does not depend on clocks.
var clockChecks = clause("I11",
	check{
		name: "skewed-clocks", cost: cost{fixed: 100 + 4*contendingWrites*30},
		title: "clocks that differ and run backwards change only the times of entries",
		run:   checkSkewedClocks,
	},
)

func checkSkewedClocks(ctx context.Context, e *env) error {
	l, s, err := e.contend(ctx, 4, func(i int) []immukv.Option {
		now := time.Unix(1_700_000_000, 0).AddDate(10*i, 0, 0)
		return []immukv.Option{immukv.WithClock(func() time.Time {
			now = now.Add(-time.Hour)
			return now
		})}
	})
	if err != nil {
		return err
	}
	if err := l.ordered(); err != nil {
		return err
	}
	return sound(ctx, s, "", l)
}
