package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/sim"
)

// The protocol against a model so small that it is plainly right: a list of
// what was set.
var modelChecks = []check{
	{
		clause: "I3", name: "model", cost: cost{fixed: 500, perRound: 150},
		title: "a drawn history of writes, reads, crashes and repairs by several clients is what a plain list of entries says",
		run:   checkModel,
	},
}

// modelSteps bounds one drawn history.
const modelSteps = 30

// model is the list, and the clients that it is held against.
type model struct {
	ctx    context.Context // of the check: rapid calls steps without one
	stores []backend.VersionedStore
	prefix string

	entries []modelEntry // oldest first
	clients []*client
	steps   int
	values  int
}

type modelEntry struct {
	key, value string
	hash       immukv.Hash
}

var modelKeys = []string{"a", "a-", "a.", "a/", "ab", "é"}

func checkModel(ctx context.Context, e *env) error {
	stores, err := e.openAll(ctx, 2)
	if err != nil {
		return err
	}
	histories := 0
	failing := false
	return drawn("I3/model", func(t *rapid.T) {
		// Rapid's own count is a flag of the whole program. What it asks for
		// beyond the rounds is passed, unless it is shrinking a failure.
		if histories >= e.rounds() && !failing {
			return
		}
		histories++
		failed := failing
		failing = true // unless this one passes, and none failed before
		m := &model{ctx: ctx, stores: stores, prefix: fmt.Sprintf("%d/", histories)}
		defer m.close()
		for i := range 2 {
			m.clients = append(m.clients, m.connect(t, i))
		}
		t.Repeat(map[string]func(*rapid.T){
			"set":     m.bounded(m.set),
			"crash":   m.bounded(m.crash),
			"get":     m.bounded(m.get),
			"history": m.bounded(m.history),
			"log":     m.bounded(m.log),
			"keys":    m.bounded(m.keys),
			"repair":  m.bounded(m.repair),
			"restart": m.bounded(m.restart),
		})
		m.audit(t)
		failing = failed
	})
}

// bounded makes steps beyond modelSteps do nothing: the suite states beforehand
// how many requests it makes.
func (m *model) bounded(step func(*rapid.T)) func(*rapid.T) {
	return func(t *rapid.T) {
		if m.steps++; m.steps <= modelSteps {
			step(t)
		}
	}
}

// connect makes a client of a drawn dialect, which looks for an orphan at every
// read. None defers its second phase: others may then see a write a moment
// later, which is not for a plain list to tell.
func (m *model) connect(t *rapid.T, i int) *client {
	dialect := rapid.SampledFrom([]immukv.Dialect{immukv.Python, immukv.TypeScript}).Draw(t, "dialect")
	c, err := connect(m.ctx, m.stores[i], m.prefix, eager, immukv.WithDialect(dialect))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (m *model) close() {
	for _, c := range m.clients {
		_ = c.Close() // what it wrote is looked at by others
	}
}

func (m *model) client(t *rapid.T) *client {
	return m.clients[rapid.IntRange(0, len(m.clients)-1).Draw(t, "client")]
}

func drawKey(t *rapid.T) string { return rapid.SampledFrom(modelKeys).Draw(t, "key") }

func (m *model) value() string {
	m.values++
	return fmt.Sprintf("value %d", m.values)
}

func (m *model) set(t *rapid.T) {
	key, value := drawKey(t), m.value()
	e, err := m.client(t).Set(m.ctx, key, value)
	if err != nil {
		t.Fatalf("set %q: %v", key, err)
	}
	if e.Sequence != int64(len(m.entries)) {
		t.Fatalf("set %q: it has sequence %d after %d entries", key, e.Sequence, len(m.entries))
	}
	m.entries = append(m.entries, modelEntry{key, value, e.Hash})
}

// crash has a client die at a drawn request of a Set.
func (m *model) crash(t *rapid.T) {
	key, value := drawKey(t), m.value()
	injection := &sim.Injection{
		Fault: rapid.SampledFrom([]sim.Fault{sim.CrashBefore, sim.CrashAfter}).Draw(t, "crash"),
		At:    rapid.IntRange(1, 8).Draw(t, "request"),
	}
	err := injection.Run(m.ctx, m.stores[0], func(ctx context.Context, s backend.VersionedStore) error {
		c, err := connect(ctx, s, m.prefix)
		if err != nil {
			return err
		}
		defer c.Close() //nolint:errcheck // it may be dead
		_, err = c.Set(ctx, key, value)
		return err
	})
	head := m.newest(t)
	switch {
	case head != nil && head.Value == value:
		if err != nil && !errors.Is(err, immukv.ErrOutcomeUnknown) {
			t.Fatalf("a Set that ended with %v is in the log", err)
		}
		m.entries = append(m.entries, modelEntry{key, value, head.Hash})
	case err == nil:
		t.Fatalf("a Set that succeeded is not in the log")
	}
}

// newest is the newest entry of the log, as a client sees it that never writes.
func (m *model) newest(t *rapid.T) *entry {
	c, err := connect(m.ctx, m.stores[1], m.prefix, immukv.WithReadOnly())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // it wrote nothing
	for e, err := range c.Log(m.ctx, immukv.Limit(1)) {
		if err != nil {
			t.Fatal(err)
		}
		return &e
	}
	return nil
}

// of lists the entries of a key, newest first.
func (m *model) of(key string) []modelEntry {
	var of []modelEntry
	for _, e := range slices.Backward(m.entries) {
		if e.key == key {
			of = append(of, e)
		}
	}
	return of
}

func (m *model) get(t *rapid.T) {
	key := drawKey(t)
	got, err := m.client(t).Get(m.ctx, key)
	want := m.of(key)
	switch {
	case len(want) == 0 && !errors.Is(err, immukv.ErrNotFound):
		t.Fatalf("get %q, which was never set: %v", key, err)
	case len(want) > 0 && err != nil:
		t.Fatalf("get %q: %v", key, err)
	case len(want) > 0 && (got.Value != want[0].value || got.Hash != want[0].hash):
		t.Fatalf("get %q: %q instead of %q", key, got.Value, want[0].value)
	}
}

func (m *model) history(t *rapid.T) {
	key, limit := drawKey(t), rapid.IntRange(1, 4).Draw(t, "limit")
	var got []modelEntry
	for e, err := range m.client(t).History(m.ctx, key, immukv.Limit(limit)) {
		if err != nil {
			t.Fatalf("history of %q: %v", key, err)
		}
		got = append(got, modelEntry{e.Key, e.Value, e.Hash})
	}
	want := m.of(key)
	if want = want[:min(limit, len(want))]; !slices.Equal(got, want) {
		t.Fatalf("history of %q: %v instead of %v", key, got, want)
	}
}

func (m *model) log(t *rapid.T) {
	limit := rapid.IntRange(1, 4).Draw(t, "limit")
	i := len(m.entries)
	for e, err := range m.client(t).Log(m.ctx, immukv.Limit(limit)) {
		if err != nil {
			t.Fatalf("log: %v", err)
		}
		i--
		if i < 0 || m.entries[i] != (modelEntry{e.Key, e.Value, e.Hash}) {
			t.Fatalf("log: %q at place %d", e.Value, i)
		}
	}
	if want := max(0, len(m.entries)-limit); i != want {
		t.Fatalf("log: it ended at place %d instead of %d", i, want)
	}
}

func (m *model) keys(t *rapid.T) {
	prefix := rapid.SampledFrom([]string{"", "a", "a-", "b"}).Draw(t, "prefix")
	after := rapid.SampledFrom([]string{"", "a", "a/", "z"}).Draw(t, "after")
	var want []string
	for _, e := range m.entries {
		if strings.HasPrefix(e.key, prefix) && e.key > after {
			want = append(want, e.key)
		}
	}
	slices.Sort(want)
	want = slices.Compact(want)
	var got []string
	for key, err := range m.client(t).Keys(m.ctx, immukv.KeyPrefix(prefix), immukv.After(after)) {
		if err != nil {
			t.Fatalf("keys: %v", err)
		}
		got = append(got, key)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("keys with prefix %q after %q: %q instead of %q", prefix, after, got, want)
	}
}

func (m *model) repair(t *rapid.T) {
	c := m.client(t)
	if _, err := c.Repair(m.ctx); err != nil {
		t.Fatalf("repair: %v", err)
	}
	again, err := c.Repair(m.ctx)
	if err != nil || again.Orphan || again.Empty != (len(m.entries) == 0) {
		t.Fatalf("repair after repair: %+v, %v", again, err)
	}
}

// restart replaces a client by one that remembers nothing.
func (m *model) restart(t *rapid.T) {
	i := rapid.IntRange(0, len(m.clients)-1).Draw(t, "client")
	if err := m.clients[i].Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	m.clients[i] = m.connect(t, i)
}

// audit holds all of the store against all of the model.
func (m *model) audit(t *rapid.T) {
	m.close()
	if _, err := audited(m.ctx, m.stores[1], m.prefix); err != nil {
		t.Fatal(err)
	}
	c, err := connect(m.ctx, m.stores[1], m.prefix, immukv.WithReadOnly())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // it wrote nothing
	log, err := readLog(m.ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if len(log) != len(m.entries) {
		t.Fatalf("%d entries in the log instead of %d", len(log), len(m.entries))
	}
	for i, e := range log {
		if m.entries[i] != (modelEntry{e.Key, e.Value, e.Hash}) {
			t.Fatalf("entry %d is %q instead of %q", i, e.Value, m.entries[i].value)
		}
	}
}
