package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/sim"
)

// I3: the log is a chain of entries numbered 0, 1, 2 and so on. The check compares
// clients with a model that is simple enough to be obviously correct: a list of what was
// set.
var modelChecks = clause("I3",
	check{
		name: "model", cost: cost{fixed: 700, perRound: 250},
		title: "a random history of writes, batches, reads, crashes and repairs by several clients has the results that a plain list of entries has",
		run:   checkModel,
	},
)

// modelSteps is how many steps are drawn for one history.
const modelSteps = 30

// modelStep is one step of a history. The fields that its action does not need
// are zero.
type modelStep struct {
	action  action
	client  int
	key     string
	keys    []string // of a batch, or of a client that crashes
	prefix  string   // of the keys that are listed
	after   string
	limit   int
	dialect immukv.Dialect // of a client that restarts
	crash   sim.Fault
	at      int // the request at which it crashes
}

// action is a kind of step.
type action string

var actions = map[action]func(*model, modelStep) error{
	"set": (*model).set, "batch": (*model).batch, "crash": (*model).crash, "get": (*model).get, "history": (*model).history,
	"log": (*model).log, "keys": (*model).keys, "repair": (*model).repair, "restart": (*model).restart,
}

// drawStep draws one step.
func drawStep(r *rand.Rand) modelStep {
	s := modelStep{action: pick(r, slices.Sorted(maps.Keys(actions))...), client: r.IntN(2)}
	switch s.action {
	case "set", "get":
		s.key = pick(r, modelKeys...)
	case "history":
		s.key, s.limit = pick(r, modelKeys...), 1+r.IntN(4)
	case "log":
		s.limit = 1 + r.IntN(4)
	case "keys":
		s.prefix, s.after = pick(r, "", "a", "a-", "b"), pick(r, "", "a", "a/", "z")
	case "batch":
		s.keys = drawKeys(r, 2+r.IntN(2))
	case "crash":
		s.keys = drawKeys(r, 1+r.IntN(3))
		s.crash, s.at = pick(r, sim.CrashBefore, sim.CrashAfter), 1+r.IntN(8+2*len(s.keys))
	case "restart":
		s.dialect = pick(r, immukv.Python, immukv.TypeScript)
	}
	return s
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// drawKeys draws some keys, in any order.
func drawKeys(r *rand.Rand, n int) []string {
	keys := slices.Clone(modelKeys)
	r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys[:n]
}

// String describes the step for a report.
func (s modelStep) String() string {
	switch s.action {
	case "set", "get":
		return fmt.Sprintf("client %d: %s %q", s.client, s.action, s.key)
	case "history":
		return fmt.Sprintf("client %d: history of %q, at most %d", s.client, s.key, s.limit)
	case "log":
		return fmt.Sprintf("client %d: log, at most %d", s.client, s.limit)
	case "keys":
		return fmt.Sprintf("client %d: keys with prefix %q after %q", s.client, s.prefix, s.after)
	case "batch":
		return fmt.Sprintf("client %d: set %q in a batch", s.client, s.keys)
	case "crash":
		return fmt.Sprintf("another client: set %q, %v at request %d", s.keys, s.crash, s.at)
	case "restart":
		return fmt.Sprintf("client %d: restart with dialect %v", s.client, s.dialect)
	default:
		return fmt.Sprintf("client %d: %s", s.client, s.action)
	}
}

// model is the list, and the clients that it is compared with.
type model struct {
	ctx    context.Context // of the check, for every step
	stores []backend.VersionedStore
	prefix string

	entries []modelEntry // oldest first
	clients []*client
	values  int
}

type modelEntry struct {
	key, value string
	hash       immukv.Hash
}

var modelKeys = []string{"a", "a-", "a.", "a/", "ab", "é"}

func checkModel(ctx context.Context, e *env) error {
	stores := e.stores
	histories := 0
	play := func(steps []modelStep) error {
		histories++ // each has a log of its own
		m := &model{ctx: ctx, stores: stores, prefix: fmt.Sprintf("%d/", histories)}
		return m.play(steps)
	}
	for left := e.rounds() - 1; left >= 0; left-- {
		steps := make([]modelStep, modelSteps)
		for i := range steps {
			steps[i] = drawStep(e.rand)
		}
		if failed := play(steps); failed != nil {
			return shorten(steps, failed, left, play)
		}
	}
	return nil
}

// shorten removes steps from a failed history as long as the rest still fails. It returns
// the error and the steps of the shortest history. It plays at most the given number of
// histories, which the suite has announced but does not need otherwise.
func shorten(steps []modelStep, failed error, histories int, play func([]modelStep) error) error {
	for n := len(steps) / 2; n > 0; n /= 2 {
		for at := 0; at+n <= len(steps) && histories > 0; histories-- {
			shorter := slices.Concat(steps[:at], steps[at+n:])
			if err := play(shorter); err != nil {
				steps, failed = shorter, err
			} else {
				at += n
			}
		}
	}
	var list strings.Builder
	for i, s := range steps {
		fmt.Fprintf(&list, "\n%d. %v", i+1, s)
	}
	return fmt.Errorf("%w, in the history%s", failed, list.String())
}

// play performs the steps, and then compares the whole store with the model. It
// stops at the first difference.
func (m *model) play(steps []modelStep) error {
	defer m.close()
	for i, dialect := range []immukv.Dialect{immukv.Python, immukv.TypeScript} {
		c, err := m.connect(i, dialect)
		if err != nil {
			return err
		}
		m.clients = append(m.clients, c)
	}
	for i, s := range steps {
		if err := actions[s.action](m, s); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return m.audit()
}

// connect makes a client that checks for an orphan at every read. No client
// defers its apply: other clients could then see a write late, which a plain
// list cannot express.
func (m *model) connect(i int, dialect immukv.Dialect) (*client, error) {
	return connect(m.ctx, m.stores[i], m.prefix, eager, immukv.WithDialect(dialect))
}

func (m *model) close() {
	for _, c := range m.clients {
		_ = c.Close() // others read what it wrote
	}
}

func (m *model) value() string {
	m.values++
	return fmt.Sprintf("value %d", m.values)
}

func (m *model) set(s modelStep) error {
	key, value := s.key, m.value()
	e, err := m.clients[s.client].Set(m.ctx, key, value)
	if err != nil {
		return fmt.Errorf("set %q: %w", key, err)
	}
	if e.Sequence != int64(len(m.entries)) {
		return fmt.Errorf("set %q: it has sequence %d after %d entries", key, e.Sequence, len(m.entries))
	}
	m.entries = append(m.entries, modelEntry{key, value, e.Hash})
	return nil
}

// writes gives each key a new value.
func (m *model) writes(keys []string) []immukv.Write[string] {
	writes := make([]immukv.Write[string], len(keys))
	for i, key := range keys {
		writes[i] = immukv.Write[string]{Key: key, Value: m.value()}
	}
	return writes
}

func (m *model) batch(s modelStep) error {
	writes := m.writes(s.keys)
	entries, err := m.clients[s.client].SetAll(m.ctx, writes...)
	if err != nil {
		return fmt.Errorf("set %q: %w", s.keys, err)
	}
	return m.appended(writes, entries)
}

// appended records the entries that writes made.
func (m *model) appended(writes []immukv.Write[string], entries []entry) error {
	if len(entries) != len(writes) {
		return fmt.Errorf("a batch of %d writes is in the log with %d entries", len(writes), len(entries))
	}
	for i, e := range entries {
		if e.Sequence != int64(len(m.entries)) {
			return fmt.Errorf("set %q: it has sequence %d after %d entries", e.Key, e.Sequence, len(m.entries))
		}
		m.entries = append(m.entries, modelEntry{writes[i].Key, writes[i].Value, e.Hash})
	}
	return nil
}

// crash makes a client die at some request of a Set, or of a batch.
func (m *model) crash(s modelStep) error {
	writes := m.writes(s.keys)
	injection := &sim.Injection{Fault: s.crash, At: s.at}
	err := injection.Run(m.ctx, m.stores[0], func(ctx context.Context, store backend.VersionedStore) error {
		c, err := connect(ctx, store, m.prefix)
		if err != nil {
			return err
		}
		defer c.Close() //nolint:errcheck // it may be dead
		_, err = c.SetAll(ctx, writes...)
		return err
	})
	newest, failed := m.newest()
	if failed != nil {
		return failed
	}
	switch {
	case len(newest) > 0 && newest[len(newest)-1].Value == writes[len(writes)-1].Value:
		if err != nil && !errors.Is(err, immukv.ErrOutcomeUnknown) {
			return fmt.Errorf("a write is in the log that ended with: %w", err)
		}
		return m.appended(writes, newest)
	case err == nil:
		return errors.New("a write that succeeded is not in the log")
	}
	return nil
}

// newest returns the entries of the newest version of the log, as a read-only
// client sees it. It returns none if there is no version.
func (m *model) newest() ([]entry, error) {
	c, err := connect(m.ctx, m.stores[1], m.prefix, immukv.WithReadOnly())
	if err != nil {
		return nil, err
	}
	defer c.Close() //nolint:errcheck // it wrote nothing
	for e, err := range c.Log(m.ctx, immukv.Limit(1)) {
		if err != nil {
			return nil, err
		}
		return c.LogVersion(m.ctx, e.VersionID)
	}
	return nil, nil
}

// of returns the entries of a key, newest first.
func (m *model) of(key string) []modelEntry {
	var of []modelEntry
	for _, e := range slices.Backward(m.entries) {
		if e.key == key {
			of = append(of, e)
		}
	}
	return of
}

func (m *model) get(s modelStep) error {
	key := s.key
	got, err := m.clients[s.client].Get(m.ctx, key)
	want := m.of(key)
	switch {
	case len(want) == 0 && !errors.Is(err, immukv.ErrNotFound):
		return fmt.Errorf("get %q, which was never set: %s", key, outcome(err))
	case len(want) > 0 && err != nil:
		return fmt.Errorf("get %q: %w", key, err)
	case len(want) > 0 && (got.Value != want[0].value || got.Hash != want[0].hash):
		return fmt.Errorf("get %q: %q instead of %q", key, got.Value, want[0].value)
	}
	return nil
}

func (m *model) history(s modelStep) error {
	key, limit := s.key, s.limit
	var got []modelEntry
	for e, err := range m.clients[s.client].History(m.ctx, key, immukv.Limit(limit)) {
		if err != nil {
			return fmt.Errorf("history of %q: %w", key, err)
		}
		got = append(got, modelEntry{e.Key, e.Value, e.Hash})
	}
	want := m.of(key)
	if want = want[:min(limit, len(want))]; !slices.Equal(got, want) {
		return fmt.Errorf("history of %q: %v instead of %v", key, got, want)
	}
	return nil
}

func (m *model) log(s modelStep) error {
	limit := s.limit
	i := len(m.entries)
	for e, err := range m.clients[s.client].Log(m.ctx, immukv.Limit(limit)) {
		if err != nil {
			return fmt.Errorf("log: %w", err)
		}
		i--
		if i < 0 || m.entries[i] != (modelEntry{e.Key, e.Value, e.Hash}) {
			return fmt.Errorf("log: %q at place %d", e.Value, i)
		}
	}
	if want := max(0, len(m.entries)-limit); i != want {
		return fmt.Errorf("log: it ended at place %d instead of %d", i, want)
	}
	return nil
}

func (m *model) keys(s modelStep) error {
	prefix, after := s.prefix, s.after
	var want []string
	for _, e := range m.entries {
		if strings.HasPrefix(e.key, prefix) && e.key > after {
			want = append(want, e.key)
		}
	}
	slices.Sort(want)
	want = slices.Compact(want)
	var got []string
	for key, err := range m.clients[s.client].Keys(m.ctx, immukv.KeyPrefix(prefix), immukv.AfterKey(after)) {
		if err != nil {
			return fmt.Errorf("keys: %w", err)
		}
		got = append(got, key)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("keys with prefix %q after %q: %q instead of %q", prefix, after, got, want)
	}
	return nil
}

func (m *model) repair(s modelStep) error {
	c := m.clients[s.client]
	if _, err := c.Repair(m.ctx); err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	again, err := c.Repair(m.ctx)
	if err != nil || len(again.Orphans) > 0 || again.Empty != (len(m.entries) == 0) {
		return fmt.Errorf("repair after repair: %+v, %s", again, outcome(err))
	}
	return nil
}

// restart replaces a client by one that remembers nothing.
func (m *model) restart(s modelStep) error {
	if err := m.clients[s.client].Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	c, err := m.connect(s.client, s.dialect)
	if err != nil {
		return err
	}
	m.clients[s.client] = c
	return nil
}

// audit compares the whole store with the model.
func (m *model) audit() error {
	m.close()
	if _, err := audited(m.ctx, m.stores[1], m.prefix); err != nil {
		return err
	}
	c, err := connect(m.ctx, m.stores[1], m.prefix, immukv.WithReadOnly())
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // it wrote nothing
	log, err := readLog(m.ctx, c)
	if err != nil {
		return err
	}
	if len(log) != len(m.entries) {
		return fmt.Errorf("%d entries in the log instead of %d", len(log), len(m.entries))
	}
	for i, e := range log {
		if m.entries[i] != (modelEntry{e.Key, e.Value, e.Hash}) {
			return fmt.Errorf("entry %d is %q instead of %q", i, e.Value, m.entries[i].value)
		}
	}
	return nil
}
