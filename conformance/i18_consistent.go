package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// I18: a consistent read returns what was the key's newest entry at some moment
// during the call.
var consistentChecks = clause("I18",
	check{
		name: "newest-under-load", cost: cost{fixed: 300 + 40*batchCallers*contendingWrites + consistentReaders*consistentReads*8},
		title: "a consistent read returns the newest entry that was acknowledged before it began, or a newer one, of clients that batch, that defer the apply, or that cannot apply",
		run:   checkNewestUnderLoad,
	},
	check{
		name: "orphans-and-batches", cost: cost{fixed: 1200},
		title: "a consistent read returns the newest entry of each key, whichever entries of the newest version are orphans, and writes nothing",
		run:   checkConsistentAtOrphans,
	},
	check{
		name: "every-moment", cost: cost{fixed: 1200},
		title: "a read as of any sequence returns the key's newest entry up to it, of batches as of single entries",
		run:   checkEveryMoment,
	},
)

const (
	consistentReaders = 2
	consistentReads   = 25
)

// newest has the sequence of the newest entry acknowledged of each key.
type newest struct {
	mu       sync.Mutex
	sequence map[string]int64
}

func (n *newest) acknowledged(key string, sequence int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sequence[key] = max(n.sequence[key], sequence)
}

func (n *newest) of(key string) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sequence[key]
}

func checkNewestUnderLoad(ctx context.Context, e *env) error {
	stores := e.stores
	l := &ledger{}
	if err := applied(ctx, stores[0], "", l, "first", batchKeys...); err != nil {
		return err
	}
	acknowledged := &newest{sequence: make(map[string]int64)}
	// The last writer never applies an entry of one key: others repair it.
	writers := []struct {
		store   backend.VersionedStore
		callers int
		opts    []immukv.Option
	}{
		{stores[0], batchCallers, batching(0)},
		{stores[1], 1, []immukv.Option{immukv.WithDeferredApply()}},
		{&keyless{VersionedStore: stores[1], denied: map[string]bool{"keys/b.json": true}}, 1, nil},
	}
	seen := make([]map[string][]entry, consistentReaders)
	err := together(len(writers)+consistentReaders, func(i int) error {
		if i >= len(writers) {
			i -= len(writers)
			seen[i] = make(map[string][]entry)
			return acknowledged.readBy(ctx, stores[i%2], seen[i])
		}
		w := writers[i]
		return throughOne(ctx, w.store, w.opts, w.callers, func(c *client, caller int) error {
			for n := range contendingWrites {
				key := batchKeys[(i+caller+n)%len(batchKeys)]
				a := &attempt{key: key, value: fmt.Sprintf("client %d, caller %d, write %d", i, caller, n)}
				l.begin(a)
				e, err := c.Set(ctx, key, a.value)
				l.end([]*attempt{a}, []entry{e}, err)
				if err == nil {
					acknowledged.acknowledged(key, e.Sequence)
					continue
				}
				// This writer cannot repair its own orphan, and may have to wait
				// until another did.
				if w.callers > 1 || w.opts != nil || !errors.Is(err, backend.ErrAccessDenied) {
					return unlike("a write to get through", "%v", err)
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	if err := sound(ctx, stores[0], "", l); err != nil {
		return err
	}
	log, err := logOf(ctx, stores[0])
	if err != nil {
		return err
	}
	return neverBack(seen, log)
}

// readBy makes consistent reads, and compares each with what was acknowledged
// when it began.
func (n *newest) readBy(ctx context.Context, s backend.VersionedStore, seen map[string][]entry) error {
	c, err := connect(ctx, s, "", immukv.WithReadOnly(), lazy)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // it wrote nothing
	for i := range consistentReads {
		key := batchKeys[i%len(batchKeys)]
		floor := n.of(key)
		got, err := c.Get(ctx, key, immukv.Consistent())
		if err != nil {
			return unlike("a key to be readable while it is set", "%v", err)
		}
		if got.Sequence < floor {
			return unlike(fmt.Sprintf("a consistent read of %q to return sequence %d, which was acknowledged before it began, or a newer one", key, floor),
				"sequence %d", got.Sequence)
		}
		seen[key] = append(seen[key], got)
	}
	return nil
}

func checkConsistentAtOrphans(ctx context.Context, e *env) error {
	stores := e.stores
	for subset := range 1 << len(batchKeys) {
		outstanding := batchKeysIn(subset)
		prefix := fmt.Sprintf("%d/", subset)
		l := &ledger{}
		if err := applied(ctx, stores[0], prefix, l, prefix+"before", "d", "a"); err != nil {
			return err
		}
		if err := unapplied(ctx, stores[0], prefix, l, batchKeys, outstanding); err != nil {
			return err
		}
		guarded := &writeless{VersionedStore: stores[1]}
		c, err := connect(ctx, guarded, prefix, lazy)
		if err != nil {
			return err
		}
		defer c.Close() //nolint:errcheck // it wrote nothing
		want := map[string]string{"d": prefix + "before of d"}
		for _, key := range batchKeys {
			want[key] = prefix + "orphan of " + key
		}
		for key, value := range want {
			got, err := c.Get(ctx, key, immukv.Consistent())
			if err != nil {
				return unlike("an orphan to be readable", "%v", err)
			}
			if got.Value != value {
				return unlike(fmt.Sprintf("a consistent read of %q to return %q, with orphans of %q", key, value, outstanding), "%q", got.Value)
			}
		}
		if err := oneBatch(ctx, c, batchKeys); err != nil {
			return err
		}
		if n := guarded.writes.Load(); n > 0 {
			return unlike("a consistent read to make no request that writes", "%d", n)
		}
		if err := sound(ctx, stores[0], prefix, l); err != nil {
			return err
		}
	}
	return nil
}

func checkEveryMoment(ctx context.Context, e *env) error {
	stores := e.stores
	l := &ledger{}
	for i := range 3 {
		for _, keys := range [][]string{{"a"}, {"c", "a", "b"}, {"b"}} {
			if err := applied(ctx, stores[i%2], "", l, fmt.Sprintf("round %d, %d keys", i, len(keys)), keys...); err != nil {
				return err
			}
		}
	}
	c, err := connect(ctx, stores[0], "", immukv.WithReadOnly())
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // it wrote nothing
	log, err := readLog(ctx, c)
	if err != nil {
		return err
	}
	if err := l.agrees(log); err != nil {
		return err
	}
	then := make(map[string]string) // the newest value of each key
	for _, at := range log {
		then[at.Key] = at.Value
		got, err := c.GetAll(ctx, batchKeys, immukv.AtSequence(at.Sequence))
		if err != nil {
			return unlike(fmt.Sprintf("keys to be readable as of sequence %d", at.Sequence), "%v", err)
		}
		for _, key := range batchKeys {
			if e := got.Entries[key]; e.Value != then[key] {
				return unlike(fmt.Sprintf("%q to have %q as of sequence %d", key, then[key], at.Sequence), "%q", e.Value)
			}
		}
		if there, err := c.EntryAt(ctx, at.Sequence); err != nil || there.Hash != at.Hash {
			return unlike(fmt.Sprintf("the entry of sequence %d to be %q", at.Sequence, at.Value), "%q, %s", there.Value, outcome(err))
		}
	}
	return nil
}
