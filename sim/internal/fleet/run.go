package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/sim"
)

// Outcome is a history, with the plan to make it again.
type Outcome struct {
	Plan    Plan
	History *sim.History
	Store   *memstore.Store

	jobs []*job // as they were made
}

// Err returns the violation that was found, or nil.
func (o *Outcome) Err() error { return o.History.Err }

// Run makes the history of a plan, with the choices of the source in place of its
// schedule. It compares it with the protocol after every step, and when all clients have
// ended. Then faults stop, and the next write must succeed and leave no orphan.
func Run(t *testing.T, plan Plan, source sim.Source) *Outcome {
	return run(t, plan, source, (*oracle).finally)
}

func run(t *testing.T, plan Plan, source sim.Source, finally func(*oracle, context.Context, *memstore.Store) error) *Outcome {
	store := memstore.New()
	var programs []sim.Program
	var processes []*process
	for i := range plan.Clients {
		p := newProcess(&plan.Clients[i])
		processes = append(processes, p)
		programs = append(programs, sim.Program{Name: p.client.Name, Run: p.run})
	}
	oracle := newOracle(plan, processes)
	history := sim.Run(t, sim.Config{
		Store:    store,
		Programs: programs,
		Source:   source,
		Observe:  oracle.observe,
		Finally:  func(ctx context.Context) error { return finally(oracle, ctx, store) },
	})
	o := &Outcome{Plan: Plan{Clients: plan.Clients, Schedule: history.Schedule}, History: history, Store: store}
	for _, p := range processes {
		for _, group := range p.groups {
			o.jobs = append(o.jobs, group...)
		}
	}
	return o
}

// Replay makes the history of a plan.
func Replay(t *testing.T, plan Plan) *Outcome {
	return Run(t, plan, sim.Replay(plan.Schedule))
}

// final is the client that runs when all others have ended.
var final = Client{Name: "final"}

// finally checks the final state (I1, I6, I12), and that the next write succeeds (I13).
func (o *oracle) finally(ctx context.Context, store *memstore.Store) error {
	if err := o.model.compare(store.Dump()); err != nil {
		return err
	}
	for _, w := range o.writes {
		if w.outcome == acknowledged && o.model.times[w.id] != 1 || w.outcome == failed && o.model.times[w.id] != 0 {
			return violation("I1", "%s is in the log %d times at the end", w.id, o.model.times[w.id])
		}
	}
	db, err := immukv.Open[string](ctx, watched{store, o.model, new(sync.Mutex)}, immukv.WithValueCodec[string](codec{final.Name}))
	if err != nil {
		return err
	}
	if err := o.audit(ctx, db); err != nil {
		return err
	}
	if err := o.finalOthers(ctx, db); err != nil {
		return err
	}
	before := len(o.model.log)
	if _, err := db.Set(ctx, "k", final.Name); err != nil {
		return violation("I13", "after the last fault, a write failed: %v", err)
	}
	if len(o.model.log) != before+1 || len(o.model.newest().orphans()) > 0 {
		return violation("I13", "after the last fault, a write left %v", o.model)
	}
	return o.finalOthers(ctx, db)
}

// finalOthers checks the transparency log, the watches and the copies.
func (o *oracle) finalOthers(ctx context.Context, db *immukv.Client[string]) error {
	if err := o.finalSeal(ctx, db); err != nil {
		return err
	}
	if err := o.finalWatches(ctx, db); err != nil {
		return err
	}
	return o.finalCopy(ctx, db)
}

// audit compares the audit of package immukv with the model: it must have no findings,
// and must report the orphans.
func (o *oracle) audit(ctx context.Context, db *immukv.Client[string]) error {
	report, err := db.Audit(ctx)
	if err != nil {
		return violation("I12", "the audit failed: %v", err)
	}
	head := o.model.head()
	switch {
	case !o.honest(report):
		return violation("I12", "the audit has findings about an honest store: %v", report.Err())
	case int(report.Entries) != len(o.model.log) || !report.Complete:
		return violation("I12", "the audit read %d of %d entries", report.Entries, len(o.model.log))
	case head != nil && string(report.HeadHash) != head.hash:
		return violation("I12", "the audit has another head")
	case !slices.EqualFunc(report.Orphans, o.model.newest().orphans(), isOrphan):
		return violation("I12", "the audit has the orphans %v, but the model has %v", report.Orphans, o.model)
	}
	return nil
}

func isOrphan(o immukv.Orphan, e *entry) bool {
	return o.Key == e.key && o.Sequence == e.sequence && string(o.VersionID) == string(e.id)
}

// Report describes the history for a person, with the log after each write, and how to
// make it again.
func (o *Outcome) Report() string {
	verdict := "The history keeps the protocol."
	if o.Err() != nil {
		verdict = o.Err().Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nThe plan:\n\n%v\nWhat happened:\n\n", verdict, o.Plan)
	m := newModel()
	o.History.Tell(&b, func(e *sim.Event) string {
		if !e.Wrote() {
			return ""
		}
		// Its problems were reported when it happened.
		_ = m.write(e.Request.Name, e.Request.Body, e.Effect.Version, anyone)
		return "log: " + m.String()
	})
	fmt.Fprintf(&b, "\n%s\n\nTo make it again:\n\n\tIMMUKV_PLAN='%s' go test ./sim -run '^TestReplay$' -count=1 -v\n", verdict, o.Plan.Line())
	return b.String()
}

// Results describes the result of every call, and the log, without anything that depends
// on a clock.
func (o *Outcome) Results() []string {
	var results []string
	m := newModel()
	for _, e := range o.History.Events {
		switch {
		case e.Wrote():
			_ = m.write(e.Request.Name, e.Request.Body, e.Effect.Version, anyone)
		case e.Kind == sim.Ended:
			results = append(results, fmt.Sprintf("%s = %v, failed=%t", e.What, e.Detail, e.Err != nil))
		}
	}
	return append(results, m.String())
}

// Ends counts how calls ended: "set: well", "conditional set: condition failed", "settle:
// conflict".
func (o *Outcome) Ends() map[string]int {
	ends := make(map[string]int)
	for _, e := range o.History.Events {
		if e.Kind != sim.Ended {
			continue
		}
		_, call, _ := strings.Cut(e.What, " ")
		verb, _, _ := strings.Cut(call, " ")
		r, ok := e.Detail.(*result)
		switch {
		case ok && verb == "settle" && r.of == "":
			verb = "settle of nothing"
		case strings.Contains(call, " if "):
			verb = "conditional set"
		case strings.HasSuffix(call, " consistent"):
			verb = "consistent get"
		}
		ends[verb+": "+endWord(e.Err)]++
	}
	return ends
}

func endWord(err error) string {
	switch {
	case err == nil:
		return "well"
	case errors.Is(err, immukv.ErrOutcomeUnknown):
		return "outcome unknown"
	case errors.Is(err, immukv.ErrConflict):
		return "conflict"
	case errors.Is(err, immukv.ErrConditionFailed):
		return "condition failed"
	default:
		return "failed"
	}
}
