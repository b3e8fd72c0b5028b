package fleet

import (
	"errors"
	"math"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/sim"
)

// checkTimeout bounds the checker. To run out of it is to fail.
const checkTimeout = 30 * time.Second

// linearInput is a call as the checker sees it: a get of a key, or an append.
type linearInput struct{ get string }

// CheckLinearizable holds the appends and the gets of a history against a store
// that does one thing after the other: an append gets the next sequence number,
// and a get returns the newest entry of its key. An append of which its caller
// was told nothing may have taken place at any time after it began.
//
// It looks at the gets of clients that look for an orphan at every read. Others
// may be behind by one entry whose apply failed, until they look.
func (o *Outcome) CheckLinearizable() error {
	l := linearizer{model: newModel(), jobs: make(map[string]*job), began: make(map[string]int64), ended: make(map[string]int64)}
	for i := range o.Plan.Clients {
		for _, group := range newProcess(&o.Plan.Clients[i]).groups {
			for _, j := range group {
				l.jobs[j.what()] = j
			}
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
		return errors.New("the checker of linearizability ran out of time")
	}
}

// linearizer turns a history into operations for the checker.
type linearizer struct {
	model      *model // of the log in the end
	jobs       map[string]*job
	began      map[string]int64 // by the ID of the call
	ended      map[string]int64 // of appends that were acknowledged
	operations []porcupine.Operation
}

func (l *linearizer) event(now int64, e *sim.Event) {
	if e.Wrote() {
		// What is wrong with it was found when it happened.
		_ = l.model.write(e.Request.Name, e.Request.Body, e.Effect.Version, anyone)
	}
	j := l.jobs[e.What]
	switch {
	case e.Kind == sim.Began:
		l.began[j.id] = now
	case e.Kind != sim.Ended:
	case j.Verb == "get":
		l.get(now, j, e)
	case e.Err == nil && j.sets():
		l.ended[j.id] = now
	case e.Err == nil && j.Verb == "settle":
		l.ended[e.Detail.(*result).of] = now
	}
}

func (l *linearizer) get(now int64, j *job, e *sim.Event) {
	out := int64(-1)
	switch {
	case !j.client.Always || j.client.Deferred || !j.alone:
		return
	case e.Err == nil:
		out = e.Detail.(*result).entries[0].Sequence
	case !errors.Is(e.Err, immukv.ErrNotFound):
		return
	}
	l.operations = append(l.operations, porcupine.Operation{Input: linearInput{get: j.Key}, Output: out, Call: l.began[j.id], Return: now})
}

// appends makes an operation of every entry in the log. Of one that stands there
// twice, which a legacy client may do, the second is one that nobody waits for.
func (l *linearizer) appends() {
	for _, e := range l.model.log {
		end, told := l.ended[e.by]
		if !told {
			end = math.MaxInt64
		}
		delete(l.ended, e.by)
		l.operations = append(l.operations, porcupine.Operation{Input: linearInput{}, Output: e.sequence, Call: l.began[e.by], Return: end})
	}
}

// step is the store that does one thing after the other. Its state is how many
// entries it has.
func (l *linearizer) step(entries int64, in linearInput, out int64) (bool, any) {
	if in.get == "" {
		return out == entries, entries + 1
	}
	newest := int64(-1)
	for _, e := range l.model.log[:entries] {
		if e.key == in.get {
			newest = e.sequence
		}
	}
	return out == newest, entries
}
