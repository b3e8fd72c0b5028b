package fleet

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
	"github.com/immukv/immukv-go/sim"
)

// job is one call of a plan.
type job struct {
	Call
	id     string // "a.0": the client, and the number of the call
	group  int    // its place among the groups of the client
	alone  bool   // no other call is made at the same time
	client *Client
	saw    int64 // of update: the last sequence that its function was called with, or noEntry
}

// what returns the call as histories print it.
func (j *job) what() string { return j.id + " " + j.Call.String() }

// condition returns the sequence that the key's newest entry must have had when the job's
// entry was appended, if the job was conditional.
func (j *job) condition() (sequence int64, conditional bool) {
	if j.Verb == "update" {
		return j.saw, true
	}
	return j.wants()
}

// process is the program of one client. Its state outlives crashes; its clients of
// package immukv do not.
type process struct {
	client *Client
	groups [][]*job
	next   int // of groups
	// followed is what its watches have yielded: it keeps each entry at once, so that
	// the next watch continues after it.
	followed []immukv.Entry[string]
}

func newProcess(c *Client) *process {
	p := &process{client: c}
	n := 0
	for place, group := range c.Script {
		var jobs []*job
		for _, call := range group {
			jobs = append(jobs, &job{Call: call, id: fmt.Sprintf("%s.%d", c.Name, n), group: place, alone: len(group) == 1, client: c})
			n++
		}
		p.groups = append(p.groups, jobs)
	}
	return p
}

// run is the program: it makes the remaining calls.
func (p *process) run(sp *sim.Process) {
	caller := p.open(sp)
	defer caller.close()
	for p.next < len(p.groups) && sp.Context().Err() == nil {
		group := p.groups[p.next]
		p.next++
		if len(group) == 1 {
			p.do(sp, caller, group[0])
			continue
		}
		var calls sync.WaitGroup
		for _, j := range group {
			calls.Go(func() { p.do(sp, caller, j) })
		}
		calls.Wait()
	}
}

func (p *process) do(sp *sim.Process, caller caller, j *job) {
	// The error is in the history, and the oracle judges it.
	_, _ = sp.Do(j.what(), func(ctx context.Context) (any, error) {
		return caller.call(ctx, j)
	})
}

// caller makes the calls of one life of a client.
type caller interface {
	call(context.Context, *job) (*result, error)
	close()
}

func (p *process) open(sp *sim.Process) caller {
	clock := func() time.Time { return sp.Now().Add(p.client.Clock) }
	seed := [32]byte{31: byte(sp.Life())}
	copy(seed[:30], p.client.Name)
	random := rand.NewChaCha8(seed)
	if p.client.Legacy {
		return &legacy{store: sp.Store(), typescript: p.client.TypeScript, odd: p.client.Odd, clock: clock, random: rand.New(random)}
	}
	options := []immukv.Option{
		immukv.WithClock(clock),
		immukv.WithRandom(random),
		immukv.WithConcurrency(4),
		immukv.WithValueCodec[string](codec{p.client.Name}),
	}
	if p.client.TypeScript {
		options = append(options, immukv.WithDialect(immukv.TypeScript))
	}
	if p.client.ReadOnly {
		options = append(options, immukv.WithReadOnly())
	}
	if p.client.Deferred {
		options = append(options, immukv.WithDeferredApply())
	}
	if p.client.Batching {
		options = append(options, immukv.WithBatching(immukv.Batching{}))
	}
	if p.client.Impatient {
		options = append(options, immukv.WithMaxAttempts(1))
	}
	if p.client.Always {
		options = append(options, immukv.WithRepairCheckInterval(0))
	}
	db, err := immukv.Open[string](sp.Context(), sp.Store(), options...)
	if err != nil {
		panic(fmt.Sprintf("open a client of the simulation: %v", err))
	}
	half, err := immukv.Open[string](sp.Context(), logOnly{sp.Store()}, options...)
	if err != nil {
		panic(fmt.Sprintf("open a client of the simulation: %v", err))
	}
	m := &modern{process: p, db: db, half: half, unknown: make(map[string]*immukv.OutcomeUnknownError)}
	if p.client.calls("copy") {
		m.copies, err = immukv.Open[string](sp.Context(), sp.Store(), append(options, immukv.WithPrefix(copyDir))...)
		if err != nil {
			panic(fmt.Sprintf("open a client of the simulation: %v", err))
		}
	}
	return m
}

// codec stores the name of a call, and a member that only its own writer knows. Decoding
// omits that member, as different versions of a program do with each other's values. So a
// value that is decoded and encoded again has changed. The numbers are such that the two
// dialects write them differently.
type codec struct{ writer string }

// The same numbers in the two dialects.
const (
	pythonNumbers     = "[1.0,1e-07]"
	typescriptNumbers = "[1,1e-7]"
)

// The numbers of odd clients: some that JSON does not have, and the rest of numbers that
// a double cannot represent.
const (
	notFinite   = "[NaN,-Infinity]"
	lostNumbers = "[null,1e-7]"
)

func (c codec) Encode(by string) ([]byte, error) {
	return fmt.Appendf(nil, `{"by":%q,%q:%s}`, by, "of_"+c.writer, pythonNumbers), nil
}

func (c codec) Decode(text []byte) (string, error) {
	tokens, err := members(text) // also accepts NaN
	return unquote(tokens["by"]), err
}

// modern is a client of package immukv.
type modern struct {
	process *process
	db      *immukv.Client[string]
	half    *immukv.Client[string] // may not write key objects
	copies  *immukv.Client[string] // on the destination of copies

	mu      sync.Mutex
	unknown map[string]*immukv.OutcomeUnknownError // by the call
	last    string                                 // the latest of them
}

// close waits for the running apply.
func (m *modern) close() { _ = m.db.Close() }

func (c Call) setOptions() []immukv.SetOption {
	switch n, conditional := c.wants(); {
	case !conditional:
		return nil
	case n == noEntry:
		return []immukv.SetOption{immukv.IfAbsent()}
	default:
		return []immukv.SetOption{immukv.IfSequence(n)}
	}
}

func (c Call) getOptions() []immukv.GetOption {
	if c.Consistent {
		return []immukv.GetOption{immukv.Consistent()}
	}
	return nil
}

// result is the result of a call, besides its error.
type result struct {
	of      string                 // of settle: the call that was settled
	read    []immukv.Entry[string] // of update: the arguments of its function
	entries []immukv.Entry[string]
	keys    []string
	report  *immukv.Report
	repair  *immukv.RepairResult
	sealed  *int64 // how many entries
	copied  *immukv.CopyReport
	as      *int64 // of getall: the sequence of the snapshot
}

func (m *modern) call(ctx context.Context, j *job) (*result, error) {
	r := &result{}
	var err error
	switch j.Verb {
	case "set", "orphan":
		db := m.db
		if j.Verb == "orphan" {
			db = m.half
		}
		var e immukv.Entry[string]
		e, err = db.Set(ctx, j.Key, j.id, j.setOptions()...)
		m.note(j.id, err)
		r.entries = one(e, err)
	case "setall", "orphanall":
		db := m.db
		if j.Verb == "orphanall" {
			db = m.half
		}
		var writes []immukv.Write[string]
		for _, key := range j.Keys {
			writes = append(writes, immukv.Write[string]{Key: key, Value: j.id})
		}
		r.entries, err = db.SetAll(ctx, writes...)
		m.note(j.id, err)
	case "update":
		var e immukv.Entry[string]
		e, err = m.db.Update(ctx, j.Key, func(old immukv.Entry[string], exists bool) (string, error) {
			j.saw = noEntry
			if exists {
				j.saw, r.read = old.Sequence, append(r.read, old)
			}
			return j.id, nil
		})
		m.note(j.id, err)
		r.entries = one(e, err)
	case "settle":
		return m.settle(ctx)
	case "get":
		var e immukv.Entry[string]
		e, err = m.db.Get(ctx, j.Key, j.getOptions()...)
		r.entries = one(e, err)
	case "getall":
		var s immukv.Snapshot[string]
		if s, err = m.db.GetAll(ctx, j.Keys, immukv.Consistent()); err != nil {
			break
		}
		r.as = &s.Sequence
		for _, key := range j.Keys {
			if e, ok := s.Entries[key]; ok {
				r.entries = append(r.entries, e)
			}
		}
	case "history":
		r.entries, err = collect(m.db.History(ctx, j.Key))
	case "log":
		r.entries, err = collect(m.db.Log(ctx))
	case "keys":
		r.keys, err = collect(m.db.Keys(ctx))
	case "repair":
		var repair immukv.RepairResult
		repair, err = m.db.Repair(ctx)
		r.repair = &repair
	case "verify":
		r.report, err = m.db.VerifyLog(ctx)
	case "audit":
		r.report, err = m.db.Audit(ctx)
	case "seal":
		signer, _ := sealKeys()
		var c tlog.Checkpoint
		c, err = tlog.Seal(ctx, m.db, signer)
		r.sealed = &c.Size
	case "watch":
		from := len(m.process.followed)
		err = m.process.follow(ctx, m.db)
		r.entries = m.process.followed[from:]
	case "copy":
		var copied immukv.CopyReport
		copied, err = immukv.Copy(ctx, m.copies, m.db)
		r.copied = &copied
	}
	return r, err
}

// follow watches until there are no more entries. Entries that a crashed process got are
// not recorded.
func (p *process) follow(ctx context.Context, db *immukv.Client[string]) error {
	opts := []immukv.WatchOption{immukv.UntilIdle()}
	if n := len(p.followed); n > 0 {
		opts = append(opts, immukv.After(p.followed[n-1].Checkpoint()))
	}
	for e, err := range db.Watch(ctx, opts...) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		p.followed = append(p.followed, e)
	}
	return nil
}

// collect returns the items of a sequence, and its error. The items before the error are
// checked, too.
func collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for item, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, item)
	}
	return all, nil
}

func one(e immukv.Entry[string], err error) []immukv.Entry[string] {
	if err != nil {
		return nil
	}
	return []immukv.Entry[string]{e}
}

// note keeps an error of unknown outcome.
func (m *modern) note(call string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if unknown, ok := errors.AsType[*immukv.OutcomeUnknownError](err); ok {
		m.unknown[call], m.last = unknown, call
	}
}

// settle settles the latest write with an unknown outcome, if there is one.
func (m *modern) settle(ctx context.Context) (*result, error) {
	m.mu.Lock()
	unknown, of := m.unknown[m.last], m.last
	m.mu.Unlock()
	if unknown == nil {
		return &result{}, nil
	}
	entries, err := m.db.SettleAll(ctx, unknown)
	if !errors.Is(err, immukv.ErrOutcomeUnknown) {
		m.mu.Lock()
		delete(m.unknown, of)
		m.mu.Unlock()
	}
	return &result{of: of, entries: entries}, err
}

// String returns the result as histories print it.
func (r *result) String() string {
	var words []string
	for _, e := range r.entries {
		words = append(words, fmt.Sprintf("%s@%d", e.Value, e.Sequence))
	}
	words = append(words, r.keys...)
	if r.of != "" {
		words = append(words, "of", r.of)
	}
	if r.repair != nil {
		words = append(words, fmt.Sprintf("orphan=%t repaired=%t", len(r.repair.Orphans) > 0, r.repair.Repaired))
	}
	if r.as != nil {
		words = append(words, fmt.Sprintf("as of %d", *r.as))
	}
	if r.sealed != nil {
		words = append(words, fmt.Sprintf("%d entries sealed", *r.sealed))
	}
	if r.copied != nil {
		words = append(words, fmt.Sprintf("%d entries copied", r.copied.Copied))
	}
	if r.report != nil {
		words = append(words, fmt.Sprintf("%d entries, %d findings", r.report.Entries, len(r.report.Findings)))
	}
	return strings.Join(words, " ")
}
