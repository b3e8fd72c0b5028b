package fleet

import (
	"errors"
	"math"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/sim"
)

// checkTimeout bounds the checker. A history that exceeds it fails.
const checkTimeout = 30 * time.Second

// linearInput is a call for the checker. Its output is the sequence of the entry appended
// or found, or noEntry.
type linearInput struct {
	kind        linearKind
	key         string
	conditional bool
	want        int64 // of a conditional append, and of a failed one
	entries     int64 // of an append
}

type linearKind int

const (
	linearAppend linearKind = iota
	linearGet
	linearGetAll
	linearFailed // an append whose condition did not hold
)

// CheckLinearizable compares the appends and gets of a history with a store that makes
// one call after another. There, an append of a call's entries gets the next sequence
// numbers if its condition holds at that moment, as with a compare-and-swap register. An
// append whose condition failed, and a get, find the newest entry of their key. An append
// without an answer may take place at any time after it began.
//
// It checks the consistent gets, and the gets of clients that check for an orphan at
// every read. Other gets may miss one entry whose apply failed, until the client's next
// check.
func (o *Outcome) CheckLinearizable() error {
	l := linearizer{
		model: newModel(), calls: make(map[string]*job), writes: make(map[string]*job),
		began: make(map[string]int64), ended: make(map[string]int64),
	}
	for _, j := range o.jobs {
		l.calls[j.what()] = j
		if j.sets() {
			l.writes[j.id] = j
		}
	}
	for i, e := range o.History.Events {
		l.event(int64(i), e)
	}
	l.appends()
	model := porcupine.Model{
		Init: func() any { return int64(0) },
		Step: func(state, input, output any) (bool, any) {
			return l.step(state.(int64), input.(linearInput), output.(int64))
		},
	}
	switch porcupine.CheckOperationsTimeout(model, l.operations, checkTimeout) {
	case porcupine.Ok:
		return nil
	case porcupine.Illegal:
		return violation("I7", "the history is not linearizable")
	default:
		return errors.New("the linearizability check exceeded its time limit")
	}
}

// linearizer makes operations for the checker from a history.
type linearizer struct {
	model      *model           // of the log at the end
	calls      map[string]*job  // by their names in histories
	writes     map[string]*job  // by the ID of the call
	began      map[string]int64 // by the ID of the call
	ended      map[string]int64 // of appends that were acknowledged
	operations []porcupine.Operation
}

func (l *linearizer) event(now int64, e *sim.Event) {
	if e.Wrote() {
		// Its problems were reported when it happened.
		_ = l.model.write(e.Request.Name, e.Request.Body, e.Effect.Version, anyone)
	}
	j := l.calls[e.What]
	switch {
	case e.Kind == sim.Began:
		l.began[j.id] = now
	case e.Kind != sim.Ended:
	case j.Verb == "get":
		l.get(now, j, e)
	case j.Verb == "getall" && e.Err == nil:
		l.add(linearInput{kind: linearGetAll}, *e.Detail.(*result).as, l.began[j.id], now)
	case errors.Is(e.Err, immukv.ErrConditionFailed):
		l.failed(now, j, e.Err)
	case e.Err == nil && j.sets():
		l.ended[j.id] = now
	case e.Err == nil && j.Verb == "settle":
		l.ended[e.Detail.(*result).of] = now
	}
}

func (l *linearizer) get(now int64, j *job, e *sim.Event) {
	out := int64(noEntry)
	switch {
	case !j.Consistent && (!j.client.Always || j.client.Deferred || !j.alone):
		return
	case e.Err == nil:
		out = e.Detail.(*result).entries[0].Sequence
	case !errors.Is(e.Err, immukv.ErrNotFound):
		return
	}
	l.add(linearInput{kind: linearGet, key: j.Key}, out, l.began[j.id], now)
}

func (l *linearizer) failed(now int64, j *job, err error) {
	out := int64(noEntry)
	if failed, _ := errors.AsType[*immukv.ConditionError](err); failed.Found != nil {
		out = failed.Found.Sequence
	}
	want, _ := j.wants()
	l.add(linearInput{kind: linearFailed, key: j.Key, want: want}, out, l.began[j.id], now)
}

func (l *linearizer) add(in linearInput, out, began, ended int64) {
	l.operations = append(l.operations, porcupine.Operation{Input: in, Output: out, Call: began, Return: ended})
}

// appends makes an operation of each call's entries in the log. If a legacy client's
// entry is there twice, the second is an operation without a caller.
func (l *linearizer) appends() {
	for i, e := range l.model.log {
		if i > 0 && l.model.log[i-1].id == e.id && l.model.log[i-1].by == e.by {
			continue
		}
		end, told := l.ended[e.by]
		if !told {
			end = math.MaxInt64
		}
		delete(l.ended, e.by)
		in := linearInput{kind: linearAppend, key: e.key, entries: int64(len(l.model.byID[e.id].keysOf(e.by)))}
		if j := l.writes[e.by]; j != nil {
			in.want, in.conditional = j.condition()
		}
		l.add(in, e.sequence, l.began[e.by], end)
	}
}

// step is the store that makes one call after another. Its state is the number of its
// entries.
func (l *linearizer) step(entries int64, in linearInput, out int64) (bool, any) {
	newest := int64(noEntry)
	if e := newestOf(l.model.log[:entries], in.key); e != nil {
		newest = e.sequence
	}
	switch in.kind {
	case linearAppend:
		return out == entries && (!in.conditional || newest == in.want), entries + in.entries
	case linearGetAll:
		return out == entries-1, entries // its result was checked when it ended
	case linearFailed:
		return out == newest && newest != in.want, entries
	default:
		return out == newest, entries
	}
}
