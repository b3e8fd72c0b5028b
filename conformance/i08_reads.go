package conformance

import (
	"context"
	"fmt"

	"github.com/immukv/immukv-go/immukv"
)

// I8: a read never returns what is not in the log.
var readChecks = clause("I8",
	check{
		name: "reads-under-load", cost: cost{fixed: 100 + 4*contendingWrites*30 + 2*2*30*4},
		title: "a key read while it is set returns what the log holds, and never an older entry than before",
		run:   checkReadsUnderLoad,
	},
	check{
		name: "reads-beside-batches", cost: cost{fixed: 300 + 4*contendingWrites*30 + 2*30*4*len(batchKeys)},
		title: "keys read while batches set them have what the log holds, and never an older entry than before",
		run:   checkReadsBesideBatches,
	},
)

func checkReadsUnderLoad(ctx context.Context, e *env) error {
	const key = "key"
	return e.readersBeside(ctx, func(l *ledger, c *client, value string) error {
		return l.set(ctx, c, key, value)
	}, func(c *client) (map[string]entry, error) {
		got, err := c.Get(ctx, key)
		if err != nil {
			return nil, unlike("a key that is being set to be readable", "%v", err)
		}
		return map[string]entry{key: got}, nil
	})
}

func checkReadsBesideBatches(ctx context.Context, e *env) error {
	return e.readersBeside(ctx, func(l *ledger, c *client, value string) error {
		return l.setAll(ctx, c, writesOf(value, batchKeys...))
	}, func(c *client) (map[string]entry, error) {
		got, err := c.GetAll(ctx, batchKeys)
		if err != nil {
			return nil, unlike("keys that a batch sets to be readable", "%v", err)
		}
		for _, key := range batchKeys {
			if _, ok := got.Entries[key]; !ok {
				return nil, unlike("a key that was set to be there", "no %q", key)
			}
		}
		return got.Entries, nil
	})
}

// readersBeside has clients read keys while another one sets them, and compares what
// they read with the log.
func (e *env) readersBeside(ctx context.Context, set func(l *ledger, c *client, value string) error, read func(c *client) (map[string]entry, error)) error {
	const readers, reads = 2, 30
	stores := e.stores
	writer, err := connect(ctx, stores[0], "")
	if err != nil {
		return err
	}
	defer writer.Close() //nolint:errcheck // others read what it wrote
	l := &ledger{}
	if err := set(l, writer, "first"); err != nil {
		return err
	}
	seen := make([]map[string][]entry, readers)
	err = together(1+readers, func(worker int) error {
		if worker == readers {
			for n := range 4 * contendingWrites {
				if err := set(l, writer, fmt.Sprintf("write %d", n)); err != nil {
					return err
				}
			}
			return nil
		}
		reader, err := connect(ctx, stores[worker%2], "", immukv.WithReadOnly())
		if err != nil {
			return err
		}
		defer reader.Close() //nolint:errcheck // it wrote nothing
		seen[worker] = make(map[string][]entry)
		for range reads {
			got, err := read(reader)
			if err != nil {
				return err
			}
			for key, there := range got {
				seen[worker][key] = append(seen[worker][key], there)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	log, err := readLog(ctx, writer)
	if err != nil {
		return err
	}
	if err := neverBack(seen, log); err != nil {
		return err
	}
	return l.agrees(log)
}

// neverBack compares what readers read of each key, in their order, with the log.
func neverBack(seen []map[string][]entry, log []entry) error {
	for _, byKey := range seen {
		for _, entries := range byKey {
			if err := ascending(entries, log); err != nil {
				return err
			}
		}
	}
	return nil
}

// ascending compares what one reader of a key read with the log.
func ascending(seen, log []entry) error {
	last := int64(-1)
	for _, got := range seen {
		if got.Sequence >= int64(len(log)) || log[got.Sequence].Value != got.Value || log[got.Sequence].Hash != got.Hash {
			return unlike("reads to return what is in the log", "%q as entry %d", got.Value, got.Sequence)
		}
		if got.Sequence < last {
			return unlike("a key never to return an older entry than before", "entry %d after %d", got.Sequence, last)
		}
		last = got.Sequence
	}
	return nil
}
