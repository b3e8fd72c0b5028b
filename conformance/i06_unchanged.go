package conformance

import (
	"context"
	"fmt"
)

// I6: a version that is read twice is the same twice.
var unchangedChecks = clause("I6",
	check{
		name: "nothing-changes", cost: cost{fixed: 400},
		title: "every entry that was read once reads the same after more writes, repairs and restarts of clients",
		run:   checkNothingChanges,
	},
)

func checkNothingChanges(ctx context.Context, e *env) error {
	stores := e.stores
	l := &ledger{}
	var before []entry
	for round := range 3 {
		c, err := connect(ctx, stores[round%2], "")
		if err != nil {
			return err
		}
		for i := range 4 {
			if err := l.set(ctx, c, fmt.Sprintf("key-%d", i%2), fmt.Sprintf("round %d, write %d", round, i)); err != nil {
				return err
			}
		}
		if err := l.setAll(ctx, c, writesOf(fmt.Sprintf("round %d, batch", round), "key-1", "key-0", "key-2")); err != nil {
			return err
		}
		log, err := readLog(ctx, c)
		if err != nil {
			return err
		}
		for i, was := range before {
			there, err := c.LogVersion(ctx, was.VersionID)
			if err != nil {
				return err
			}
			if at := was.Sequence - there[0].Sequence; at < 0 || at >= int64(len(there)) {
				return unlike(fmt.Sprintf("version %q to hold entry %d as before", was.VersionID, i), "%d entries from %d on", len(there), there[0].Sequence)
			}
			now := there[was.Sequence-there[0].Sequence]
			if log[i].Hash != was.Hash || now.Hash != was.Hash || string(now.JSON) != string(was.JSON) || !now.Timestamp.Equal(was.Timestamp) {
				return unlike(fmt.Sprintf("entry %d to read as before, %+v", i, was), "%+v", now)
			}
			if err := c.Verify(now); err != nil {
				return err
			}
		}
		before = log
		if err := c.Close(); err != nil {
			return err
		}
	}
	return sound(ctx, stores[0], "", l)
}
