package fleet

import (
	"errors"
	"fmt"
	"slices"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/sim"
)

// oracle observes a history. It compares every write that takes effect with the model,
// and every result of a call with the guarantees of the protocol.
//
// It judges a call by the content of the store at the call's first request and at its
// end. So its verdict does not depend on the order of requests that use no common object,
// and one of several such histories is enough. The checks imply linearizability, because
// each append comes between the two ends of its call.
type oracle struct {
	model   *model
	clients map[string]*Client
	calls   map[string]*callState // by their names
	writes  map[string]*callState // sets, by their id
	begun   int                   // number of calls so far
	last    map[order]*callState
	faults  bool // a fault has been met
	seals   bool // some client seals the log
	copiers int  // clients that copy the log

	processes map[string]*process // by client
}

// order is the state for checking the order of a client's writes of a key.
type order struct{ client, key string }

// callState is the state of a call.
type callState struct {
	*job
	begun   bool
	nth     int  // number of the call, in the order in which they began
	asked   bool // it has made a request
	floor   snapshot
	met     bool // one of its requests met a fault
	outcome outcome
}

// outcome is the answer that the client got for a write.
type outcome int

const (
	untold outcome = iota
	acknowledged
	failed // for good
)

// snapshot has the numbers of entries at one moment.
type snapshot struct {
	log     int
	entries int // of the call's key, in the log
	shown   int // of the call's key, in its key object
	keys    []string
}

func newOracle(plan Plan, programs []*process) *oracle {
	o := &oracle{
		model:   newModel(),
		clients: make(map[string]*Client),
		calls:   make(map[string]*callState),
		writes:  make(map[string]*callState),
		last:    make(map[order]*callState),

		processes: make(map[string]*process),
	}
	for i := range plan.Clients {
		o.clients[plan.Clients[i].Name] = &plan.Clients[i]
	}
	for _, p := range programs {
		o.processes[p.client.Name] = p
		if p.client.calls("copy") {
			o.copiers++
		}
		for _, group := range p.groups {
			for _, j := range group {
				state := &callState{job: j}
				o.calls[j.what()] = state
				if j.sets() {
					o.writes[j.id] = state
				}
				o.seals = o.seals || j.Verb == "seal"
			}
		}
	}
	return o
}

func (o *oracle) snapshot(j *job) snapshot {
	s := snapshot{log: len(o.model.log)}
	switch j.Verb {
	case "keys":
		for key, k := range o.model.keys {
			if len(k.versions) > 0 {
				s.keys = append(s.keys, key)
			}
		}
	case "get", "history", "set", "update":
		k := o.model.key(j.Key)
		s.entries, s.shown = len(k.entries), len(k.versions)
	}
	return s
}

// observe checks one event.
func (o *oracle) observe(e *sim.Event) error {
	call := o.calls[e.What]
	switch e.Kind {
	case sim.Began:
		o.begun++
		call.begun, call.nth, call.floor = true, o.begun, o.snapshot(call.job)
	case sim.Stepped:
		if call != nil && !call.asked {
			call.asked, call.floor = true, o.snapshot(call.job)
		}
		if fails(e.Fault) {
			o.faults = true
			if call != nil {
				call.met = true
			}
		}
		client := o.clients[e.Process]
		if client.ReadOnly && e.Request.Writes() {
			return violation("I10", "the read-only client %s sent %v", e.Process, e.Request)
		}
		return o.wrote(e, client)
	case sim.Arrived:
		return o.wrote(e, o.clients[e.Process])
	case sim.Ended:
		r, _ := e.Detail.(*result)
		return o.ended(call, r, e.Err)
	}
	return nil
}

// fails reports whether a call may fail because of a fault.
func fails(f sim.Fault) bool {
	switch f.Answer {
	case sim.Own, sim.Held, sim.Short, sim.Hollow, sim.Disordered:
		return f.Effect == sim.Again || f.Effect == sim.Copy
	default:
		return true
	}
}

// wrote checks a write that may have taken effect.
func (o *oracle) wrote(e *sim.Event, client *Client) error {
	if !e.Wrote() {
		return nil
	}
	if err := o.model.write(e.Request.Name, e.Request.Body, e.Effect.Version, client); err != nil {
		return err
	}
	if e.Request.Name != logObject {
		return nil
	}
	l := o.model.newest()
	for i, e := range l.entries {
		if slices.IndexFunc(l.entries, func(f *entry) bool { return f.by == e.by }) < i {
			continue
		}
		if err := o.appended(l, e.by); err != nil {
			return err
		}
	}
	return nil
}

// appended checks the entries of a call in a new version of the log.
func (o *oracle) appended(l *logVersion, by string) error {
	w := o.writes[by]
	switch {
	case w == nil || !w.begun:
		return violation("I8", "the log has %s, which was not set", by)
	case w.client.Legacy:
		return nil // a legacy client may duplicate its own writes
	case o.model.times[by] > 1:
		return violation("I1", "%s is in the log twice", by)
	case w.outcome == failed:
		return violation("I2", "%s was reported as failed, but is in the log now", by)
	case !slices.Equal(l.keysOf(by), w.keys()):
		return violation("I15", "a log version has the entries of %s for keys %v instead of %v", by, l.keysOf(by), w.keys())
	}
	for _, key := range w.keys() {
		at := order{w.client.Name, key}
		if before := o.last[at]; before != nil && w.before(before) {
			return violation("I16", "%s is in the log after %s, which was made later", w.what(), before.what())
		}
		o.last[at] = w
	}
	return o.conditionHeld(w)
}

// before reports whether a write must precede another of the same client and key: it
// ended before the other began, or both were made at the same time and it came first. An
// orphan's writer counts as another client, and an update begins with a read.
func (c *callState) before(d *callState) bool {
	plain := func(c *callState) bool { return c.Verb == "set" || c.Verb == "setall" }
	return c.group < d.group || c.group == d.group && plain(c) && plain(d) && c.nth < d.nth
}

// conditionHeld checks that the condition of a write just appended holds in the log
// before it (I17).
func (o *oracle) conditionHeld(w *callState) error {
	want, conditional := w.condition()
	if !conditional {
		return nil
	}
	entries, below := o.model.key(w.Key).entries, int64(noEntry)
	if len(entries) > 1 {
		below = entries[len(entries)-2].sequence
	}
	if below != want {
		return violation("I17", "%s was appended when the newest entry of its key had sequence %d, but its condition was %d", w.what(), below, want)
	}
	return nil
}

// endedCondition checks the result of a write whose condition failed: the entry that it
// found was the key's newest at some time during the call, and the condition does not
// hold for it (I17).
func (o *oracle) endedCondition(c *callState, err error) error {
	failed, ok := errors.AsType[*immukv.ConditionError](err)
	if !ok {
		return nil
	}
	want, conditional := c.wants()
	if !conditional {
		return violation("I17", "%s failed because of a condition, but has none: %v", c.what(), err)
	}
	if failed.Found == nil {
		if want == noEntry || c.floor.entries > 0 {
			return violation("I17", "%s failed because the key has no entry, but it had %d when the call began", c.what(), c.floor.entries)
		}
		return nil
	}
	found := o.model.entry(failed.Found.VersionID, c.Key)
	if found == nil || found.sequence != failed.Found.Sequence || string(failed.Found.Hash) != found.hash {
		return violation("I17", "%s found an entry that is not in the log: %v", c.what(), err)
	}
	if found.sequence == want || slices.Index(o.model.key(c.Key).entries, found) < c.floor.entries-1 {
		return violation("I17", "%s found sequence %d, but the log had %d entries of the key when the call began", c.what(), found.sequence, c.floor.entries)
	}
	return nil
}

// ended checks the result of a call.
func (o *oracle) ended(c *callState, r *result, err error) error {
	if err != nil && !o.faults && !o.mayFail(c, err) {
		return violation("I13", "no fault was met, but %s failed: %v", c.what(), err)
	}
	if r == nil {
		r = &result{}
	}
	for _, e := range slices.Concat(r.entries, r.read) {
		if err := o.isInLog(e); err != nil {
			return fmt.Errorf("%s: %w", c.what(), err)
		}
	}
	switch c.Verb {
	case "set", "setall", "orphan", "orphanall", "update":
		if err := o.endedCondition(c, err); err != nil {
			return err
		}
		return o.endedWrite(c, r, err)
	case "settle":
		if w := o.writes[r.of]; w != nil {
			return o.endedWrite(w, r, err)
		}
		return nil
	case "get":
		return o.endedGet(c, r, err)
	case "seal":
		return o.endedSeal(c, r, err)
	case "watch":
		return o.endedWatch(c, err)
	case "copy":
		return o.endedCopy(c, r, err)
	}
	if err != nil || c.client.Legacy { // without a result
		return nil
	}
	return o.endedReading(c, r)
}

// mayFail reports whether a call may fail without a fault.
func (o *oracle) mayFail(c *callState, err error) bool {
	switch {
	case errors.Is(err, immukv.ErrNotFound):
		return c.Verb == "get"
	case errors.Is(err, immukv.ErrReadOnly):
		return c.client.ReadOnly
	case errors.Is(err, immukv.ErrConflict):
		return c.client.Impatient
	case errors.Is(err, immukv.ErrConditionFailed):
		return c.If != ""
	case errors.Is(err, immukv.ErrDiverged):
		return c.Verb == "copy" && o.copiers > 1
	}
	if errors.Is(err, errLegacyJSON) {
		return c.Verb != "history" && c.Verb != "keys" && len(o.model.versions) < len(o.model.log)
	}
	return errors.Is(err, errLegacyConflict)
}

// isInLog checks that a returned entry is in the log, with all its fields.
func (o *oracle) isInLog(e immukv.Entry[string]) error {
	want := o.model.entry(e.VersionID, e.Key)
	if want == nil {
		return violation("I8", "it returned an entry of %s in log version %s, which does not exist", e.Key, e.VersionID)
	}
	if e.Value != want.by || e.Sequence != want.sequence || string(e.Hash) != want.hash ||
		e.Timestamp.UnixMilli() != want.timestamp || string(e.PreviousHash) != want.text("previous_hash") {
		return violation("I8", "it returned %s@%d of %s, but log version %s is %s@%d of %s",
			e.Value, e.Sequence, e.Key, e.VersionID, want.by, want.sequence, want.key)
	}
	if e.KeyVersionID != "" {
		k := o.model.key(e.Key)
		i := slices.Index(k.entries, want)
		if i >= len(k.versions) || string(k.versions[i].id) != string(e.KeyVersionID) {
			return violation("I8", "it returned %s with key version %s, which holds another entry", e.Value, e.KeyVersionID)
		}
	}
	return nil
}

// endedWrite checks the result of a write (I1, I2).
func (o *oracle) endedWrite(c *callState, r *result, err error) error {
	if c.client.Legacy {
		if err == nil && o.model.times[c.id] == 0 {
			return violation("I1", "%s was acknowledged, but is not in the log", c.id)
		}
		return nil
	}
	switch {
	case err == nil:
		if o.model.times[c.id] != 1 || !slices.EqualFunc(r.entries, c.keys(), func(e immukv.Entry[string], key string) bool { return e.Key == key && e.Value == c.id }) {
			return violation("I1", "%s was acknowledged with %v, but is in the log %d times", c.id, r, o.model.times[c.id])
		}
		c.outcome = acknowledged
	case errors.Is(err, immukv.ErrOutcomeUnknown):
	default:
		if o.model.times[c.id] != 0 {
			return violation("I2", "%s was reported as failed, but is in the log: %v", c.id, err)
		}
		c.outcome = failed
	}
	return nil
}

// endedGet checks that the returned entry is not older than the newest one that could be
// read when the call began (I5, I7), and that a key with entries is not reported as
// absent.
func (o *oracle) endedGet(c *callState, r *result, err error) error {
	floor := c.newest()
	if errors.Is(err, immukv.ErrNotFound) && floor > 0 {
		return violation(c.readInvariant("I8"), "%s found no entry, but the key had %d when the call began", c.what(), floor)
	}
	if err != nil {
		return nil
	}
	got := slices.Index(o.model.key(c.Key).entries, o.model.entry(r.entries[0].VersionID, c.Key))
	if got < floor-1 {
		return violation(c.readInvariant("I7"), "%s returned %v, which was not the newest when the call began", c.what(), r)
	}
	return nil
}

// readInvariant returns the invariant for a get: a consistent one has its own.
func (c *callState) readInvariant(otherwise string) string {
	if c.Consistent {
		return "I18"
	}
	return otherwise
}

// newest returns how many entries of its key a read must know: those that the key object
// reflected when it began. For a consistent read, and for a read that checks for an
// orphan, it is those in the log. (A read leaves that check to a running write of its own
// client.)
func (c *callState) newest() int {
	if c.Consistent || c.client.Always && c.alone && !c.client.Deferred {
		return c.floor.entries
	}
	return c.floor.shown
}

// endedReading checks calls that return several entries.
func (o *oracle) endedReading(c *callState, r *result) error {
	switch c.Verb {
	case "getall":
		return o.endedGetAll(c, r)
	case "log":
		if !o.model.whole(len(r.entries)) {
			return violation("I15", "%s returned %d entries, the last of which is not the last of its version", c.what(), len(r.entries))
		}
		return sameOrder(c, r, o.model.log, c.floor.log)
	case "history":
		return sameOrder(c, r, o.model.key(c.Key).entries, c.newest())
	case "keys":
		return o.sameKeys(c, r)
	case "repair":
		for _, e := range o.model.byID[backend.VersionID(r.repair.VersionID)].orphans() {
			return violation("I13", "%s succeeded, but %s is still an orphan of key %s", c.what(), e.by, e.key)
		}
	case "verify", "audit":
		if !o.honest(r.report) {
			return violation("I12", "%s has findings about an honest store: %v", c.what(), r.report.Err())
		}
		n := int(r.report.Entries)
		if !o.model.whole(n) {
			return violation("I15", "%s read %d entries, the last of which is not the last of its version", c.what(), n)
		}
		if n < c.floor.log || n > len(o.model.log) {
			return violation("I12", "%s read %d entries, but there were %d at its beginning and %d at its end", c.what(), n, c.floor.log, len(o.model.log))
		}
	}
	return nil
}

// endedGetAll checks that the entries of a consistent read are the newest of their keys
// at one moment of the call (I18), and that this moment is not within a version of the
// log (I15).
func (o *oracle) endedGetAll(c *callState, r *result) error {
	n := int(*r.as) + 1
	switch {
	case n < c.floor.log || n > len(o.model.log):
		return violation("I18", "%s is as of sequence %d, but there were %d entries when it began", c.what(), *r.as, c.floor.log)
	case !o.model.whole(n):
		return violation("I15", "%s is as of sequence %d, within a version of the log", c.what(), *r.as)
	}
	var want []int64
	for _, key := range c.Keys {
		if e := newestOf(o.model.log[:n], key); e != nil {
			want = append(want, e.sequence)
		}
	}
	if !slices.EqualFunc(r.entries, want, func(e immukv.Entry[string], n int64) bool { return e.Sequence == n }) {
		return violation("I15", "%s returned %v, but the newest sequences were %d", c.what(), r, want)
	}
	return nil
}

// newestOf returns the newest entry of a key, or nil.
func newestOf(log []*entry, key string) *entry {
	for _, e := range slices.Backward(log) {
		if e.key == key {
			return e
		}
	}
	return nil
}

// honest reports whether the only findings of a report are those that odd clients cause.
func (o *oracle) honest(r *immukv.Report) bool {
	damaged := 0
	for _, f := range r.Findings {
		if f.Kind != immukv.HashMismatch || f.Object == logObject {
			return false
		}
		damaged++
	}
	return damaged <= o.model.damaged
}

// sameOrder checks a sequence, newest first: its first entry must not be older than the
// newest when the call began, and it must continue to the first entry of all without a
// gap.
func sameOrder(c *callState, r *result, all []*entry, floor int) error {
	if len(r.entries) < floor || len(r.entries) > len(all) {
		return violation("I8", "%s returned %d entries, but there were %d when it began", c.what(), len(r.entries), floor)
	}
	for i, e := range r.entries {
		if want := all[len(r.entries)-1-i]; e.Sequence != want.sequence {
			return violation("I8", "%s returned sequence %d instead of %d", c.what(), e.Sequence, want.sequence)
		}
	}
	return nil
}

func (o *oracle) sameKeys(c *callState, r *result) error {
	if !slices.IsSorted(r.keys) || len(slices.Compact(slices.Clone(r.keys))) != len(r.keys) {
		return violation("I8", "%s returned keys out of order: %v", c.what(), r.keys)
	}
	for _, key := range r.keys {
		if k := o.model.keys[key]; k == nil || len(k.entries) == 0 {
			return violation("I8", "%s returned %q, which was never set", c.what(), key)
		}
	}
	for _, key := range c.floor.keys {
		if !slices.Contains(r.keys, key) {
			return violation("I8", "%s omitted %q", c.what(), key)
		}
	}
	return nil
}
