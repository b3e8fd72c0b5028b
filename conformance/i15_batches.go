package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/sim"
)

// I15: a consistent reader sees all entries of a log version, or none.
var batchChecks = clause("I15",
	check{
		name: "atomic-reads-beside-batches", cost: cost{fixed: 200 + 2*snapshotBatches*60 + 2*snapshots*8},
		title: "a consistent read of several keys that two clients set in batches returns the entries of one batch",
		run:   checkSnapshots,
	},
	check{
		name: "crash-in-a-batch", cost: cost{fixed: 800},
		title: "if the writer of a batch crashes at any request, a consistent reader sees all its entries or none, before the repair and after it",
		run:   checkCrashedBatches,
	},
	check{
		name: "many-entries", cost: cost{fixed: 100 + 14*manyEntries, deep: 8 * mostEntries},
		title: "a batch of as many entries as there may be is read completely, applied to each key object, and followed by others",
		run:   checkManyEntries,
	},
	check{
		name: "large-batches-racing", cost: cost{fixed: 100 + largeBatchRounds*largeBatchers*(3*largeBatchEntries+40) + 10*largeBatchEntries},
		title: "each of two contending clients succeeds with batches as large as a version may be, and every byte is read back",
		run:   checkLargeBatches,
	},
	check{
		name: "keys-that-cannot-be-held", cost: cost{fixed: 300},
		title: "a batch with a key whose object the store cannot hold is not written, and concurrent writes of other keys are",
		run:   checkUnholdableKeys,
	},
)

const (
	snapshotBatches = 12 // of each writer
	snapshots       = 20 // of each reader
)

func checkSnapshots(ctx context.Context, e *env) error {
	const writers, readers = 2, 2
	stores := e.stores
	l := &ledger{}
	if err := applied(ctx, stores[0], "", l, "first", batchKeys...); err != nil {
		return err
	}
	err := together(writers+readers, func(i int) error {
		if i >= writers {
			return seesWhole(ctx, stores[i%2], batchKeys, snapshots)
		}
		c, err := connect(ctx, stores[i%2], "")
		if err != nil {
			return err
		}
		for n := range snapshotBatches {
			if err := l.setAll(ctx, c, writesOf(fmt.Sprintf("client %d, batch %d", i, n), batchKeys...)); err != nil {
				return unlike("a batch to get through", "%v", err)
			}
		}
		return c.Close()
	})
	if err != nil {
		return err
	}
	return sound(ctx, stores[0], "", l)
}

// seesWhole reads keys that are set only in batches, and expects the entries of
// one batch each time.
func seesWhole(ctx context.Context, s backend.VersionedStore, keys []string, times int) error {
	c, err := connect(ctx, s, "", immukv.WithReadOnly())
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // it wrote nothing
	for range times {
		if err := oneBatch(ctx, c, keys); err != nil {
			return err
		}
	}
	return nil
}

// oneBatch checks that a consistent read of the keys has the entries of one version
// of the log.
func oneBatch(ctx context.Context, c *client, keys []string) error {
	got, err := c.GetAll(ctx, keys, immukv.Consistent())
	if err != nil {
		return unlike("keys that were set in a batch to be readable", "%v", err)
	}
	first, ok := got.Entries[keys[0]]
	for _, key := range keys {
		if e, there := got.Entries[key]; there != ok || e.VersionID != first.VersionID {
			return unlike(fmt.Sprintf("a consistent read of %d keys to return the entries of one batch, all or none", len(keys)),
				"%q as in version %q, and %q as in %q", first.Value, first.VersionID, e.Value, e.VersionID)
		}
	}
	return nil
}

func checkCrashedBatches(ctx context.Context, e *env) error {
	stores := e.stores
	n, appended := 0, 0
	for injection := range sim.Crashes() {
		n++
		prefix := fmt.Sprintf("%d/", n)
		l := &ledger{}
		if err := applied(ctx, stores[0], prefix, l, prefix+"before", batchKeys...); err != nil {
			return err
		}
		_ = injection.Run(ctx, stores[0], func(ctx context.Context, s backend.VersionedStore) error { // it crashes, or not
			return applied(ctx, s, prefix, l, prefix+"after", batchKeys...)
		})
		reader, err := connect(ctx, stores[1], prefix, immukv.WithReadOnly(), lazy)
		if err != nil {
			return err
		}
		defer reader.Close() //nolint:errcheck // it wrote nothing
		if err := oneBatch(ctx, reader, batchKeys); err != nil {
			return fmt.Errorf("%v: %w", injection, err)
		}
		if err := applied(ctx, stores[0], prefix, l, prefix+"next", "d"); err != nil {
			return fmt.Errorf("%v: %w", injection, err)
		}
		if err := oneBatch(ctx, reader, batchKeys); err != nil {
			return fmt.Errorf("%v, after the next write: %w", injection, err)
		}
		log, err := readLog(ctx, reader)
		if err != nil {
			return err
		}
		if len(log) > len(batchKeys)+1 {
			appended++
		}
		if err := l.agrees(log); err != nil {
			return fmt.Errorf("%v: %w", injection, err)
		}
	}
	if appended == 0 || appended == n {
		return fmt.Errorf("%d of %d crashes came after the append", appended, n)
	}
	return nil
}

const (
	mostEntries = 1000 // in one version
	// manyEntries are more than a client applies at once.
	manyEntries = 150
)

func checkManyEntries(ctx context.Context, e *env) error {
	stores := e.stores
	n := manyEntries
	if e.h.Deep {
		n = mostEntries
	}
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("key-%03d", i)
	}
	first, err := connect(ctx, stores[0], "")
	if err != nil {
		return err
	}
	defer first.Close() //nolint:errcheck // others read what it wrote
	second, err := connect(ctx, stores[1], "")
	if err != nil {
		return err
	}
	defer second.Close() //nolint:errcheck // others read what it wrote
	l := &ledger{}
	// Key objects are written under the ETags that writes have returned, and then
	// under those that HEAD requests return, many at once.
	for i, c := range []*client{first, first, second} {
		some := keys
		if i > 0 {
			some = keys[:manyEntries]
		}
		if err := l.setMany(ctx, c, fmt.Sprintf("batch %d", i), some); err != nil {
			return err
		}
	}
	// After one more entry, the newest of each key is read from its key object.
	if err := l.set(ctx, second, keys[0], "after the batches"); err != nil {
		return unlike("a write to commit after a large batch", "%v", err)
	}
	for _, part := range [][]string{keys[1:manyEntries], keys[manyEntries:]} {
		if len(part) == 0 {
			continue
		}
		if err := oneBatch(ctx, first, part); err != nil {
			return err
		}
	}
	var listed []string
	for key, err := range first.Keys(ctx) {
		if err != nil {
			return err
		}
		listed = append(listed, key)
	}
	if !slices.Equal(listed, keys) {
		return unlike(fmt.Sprintf("the %d keys of the batch to be listed", n), "%s", showNames(listed, keys))
	}
	if err := orphaned(ctx, stores[1], "", nil); err != nil {
		return err
	}
	log, err := readLog(ctx, first)
	if err != nil {
		return err
	}
	return l.agrees(log)
}

// setMany sets many keys in one batch, and reads the version of the log that
// holds it.
func (l *ledger) setMany(ctx context.Context, c *client, value string, keys []string) error {
	if err := l.setAll(ctx, c, writesOf(value, keys...)); err != nil {
		return unlike(fmt.Sprintf("a batch of %d entries to commit", len(keys)), "%v", err)
	}
	there, err := c.LogVersion(ctx, l.attempts[len(l.attempts)-1].entry.VersionID)
	if err != nil {
		return unlike(fmt.Sprintf("a version of %d entries to be read", len(keys)), "%v", err)
	}
	if len(there) != len(keys) {
		return unlike(fmt.Sprintf("a version of %d entries", len(keys)), "%d", len(there))
	}
	return nil
}

const (
	largeBatchers     = 2
	largeBatchEntries = 16
	largeBatchRounds  = 3
)

// checkLargeBatches has clients race for the next version of the log with
// batches of the largest size. Their bodies take long to arrive. In each round
// all clients know the same head before any of them appends.
func checkLargeBatches(ctx context.Context, e *env) error {
	stores := e.stores
	most := 1 << 20
	if e.h.Deep {
		most = 8 << 20
	}
	// An entry takes less than a kilobyte beside its value.
	size := min(most, e.h.Limits.maxBody())/largeBatchEntries - 1<<10
	var keys []string
	for i := range largeBatchEntries {
		keys = append(keys, fmt.Sprintf("key-%d", i))
	}
	l := &ledger{}
	racing := make([]*logRacer, largeBatchers)
	clients := make([]*client, largeBatchers)
	for i := range clients {
		racing[i] = &logRacer{VersionedStore: stores[i%2]}
		var err error
		if clients[i], err = connect(ctx, racing[i], ""); err != nil {
			return err
		}
		defer clients[i].Close() //nolint:errcheck // others read what it wrote
	}
	for round := range largeBatchRounds {
		line := newStartLine(largeBatchers)
		for _, s := range racing {
			s.enter(line)
		}
		err := together(largeBatchers, func(i int) error {
			defer racing[i].leave() // if it appends nothing, the others must not wait for it
			if _, err := clients[i].Repair(ctx); err != nil {
				return unlike("a client to read the head before it appends", "%v", err)
			}
			value := fmt.Sprintf("round %d, client %d", round, i)
			writes := writesOf(value, keys...)
			for n := range writes {
				writes[n].Value += strings.Repeat(".", size-len(writes[n].Value))
			}
			if err := l.setAll(ctx, clients[i], writes); err != nil {
				return unlike("a contending batch of the largest size to commit", "%v", err)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := oneBatch(ctx, clients[round%largeBatchers], keys); err != nil {
			return err
		}
	}
	return sound(ctx, stores[1], "", l)
}

// logRacer is a store of a client whose next append waits at a start line, so that
// it overlaps with those of the other clients there.
type logRacer struct {
	backend.VersionedStore
	line atomic.Pointer[startLine] // nil: the append has come to it
}

// enter makes the next append wait at the line. The client must then append or leave.
func (s *logRacer) enter(line *startLine) { s.line.Store(line) }

// leave lets the others go on without an append of this client.
func (s *logRacer) leave() {
	if line := s.line.Swap(nil); line != nil {
		line.come()
	}
}

func (s *logRacer) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if name == "_log.json" {
		if line := s.line.Swap(nil); line != nil {
			line.come()
			line.wait()
		}
	}
	return s.VersionedStore.Put(ctx, name, body, cond)
}

// checkUnholdableKeys writes a key whose object has a name that the store declares
// it cannot hold.
func checkUnholdableKeys(ctx context.Context, e *env) error {
	unholdable, ok := e.unholdableKey()
	if !ok {
		return inapplicable("the store can hold the object of every key")
	}
	s := e.stores[0]
	c, err := connect(ctx, s, "", batching(0)...)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // others read what it wrote
	l := &ledger{}
	for round := range 2 { // of an empty log, and of one with entries
		batch := writesOf(fmt.Sprintf("batch %d", round), "a", unholdable, "b")
		if err := l.setAll(ctx, c, batch); !errors.Is(err, immukv.ErrInvalidKey) {
			return unlike(fmt.Sprintf("a batch with key %s to fail with %q", show(unholdable), immukv.ErrInvalidKey), "%s", outcome(err))
		}
		err := together(batchCallers, func(caller int) error {
			value := fmt.Sprintf("round %d, caller %d", round, caller)
			if caller == 0 {
				if err := l.set(ctx, c, unholdable, value); !errors.Is(err, immukv.ErrInvalidKey) {
					return unlike(fmt.Sprintf("a write of key %s to fail with %q", show(unholdable), immukv.ErrInvalidKey), "%s", outcome(err))
				}
				return nil
			}
			if err := l.set(ctx, c, fmt.Sprintf("key-%d", caller), value); err != nil {
				return unlike("a write to commit beside one whose key the store cannot hold", "%v", err)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return sound(ctx, s, "", l)
}

// unholdableKey returns a key whose object the store declares it cannot hold.
func (e *env) unholdableKey() (string, bool) {
	object := func(key string) string { return "keys/" + key + ".json" }
	keys := []string{"a//b", "/a", "a/", "a\\b", "a\nb", "a\x01b", strings.Repeat("k", 300)}
	if room := e.h.Limits.maxName() - len(object("")); room+1 <= backend.MaxNameBytes-len(object("")) {
		keys = append(keys, strings.Repeat("k", room+1))
	}
	i := slices.IndexFunc(keys, func(key string) bool { return e.h.Limits.refuses(object(key)) })
	if i < 0 {
		return "", false
	}
	return keys[i], true
}
