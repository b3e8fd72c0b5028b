package fleet

import (
	"context"
	"fmt"
	"testing"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/sim"
)

// honest is what a plan leaves in the store.
func honest(t *testing.T, text string) *forger {
	t.Helper()
	plan, err := ParsePlan(text)
	if err != nil {
		t.Fatal(err)
	}
	o := run(t, plan, sim.Replay(plan.Schedule), func(*oracle, context.Context, *memstore.Store) error { return nil })
	if o.Err() != nil {
		t.Fatal(o.Report())
	}
	return &forger{state: o.Store.Dump()}
}

func audit(t *testing.T, f *forger, opts ...immukv.VerifyOption) *immukv.Report {
	t.Helper()
	store, err := memstore.Load(f.state)
	if err != nil {
		t.Fatal(err)
	}
	db, err := immukv.Open[string](t.Context(), store, immukv.WithReadOnly())
	if err != nil {
		t.Fatal(err)
	}
	report, err := db.Audit(t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// TestAuditSeesTampering makes every change at every place of stores that
// honest clients left. The audit must see it wherever the model does: a change
// that leaves a store as honest clients might have left it is none.
func TestAuditSeesTampering(t *testing.T) {
	t.Parallel()
	plans := map[string]string{
		"one key":     "client a: set k; set k; set k",
		"several":     "client a: set k; set j; set k; set k-1; set j | client b typescript: set k; set i",
		"with orphan": "client a: set k; set j; set k; orphan k",
		"new orphan":  "client a: set k; set k; orphan j",
		"batches":     "client a: set k; setall k j i; setall i j; set k | client b typescript: setall j k",
		"batch last":  "client a: set k; setall k j i | client b batching: set k; set k & set j & orphan i",
		"legacy":      "client a: set k; set j; orphan k | client b legacy typescript: set k; set j",
	}
	for _, tamper := range tamperings {
		t.Run(tamper.name, func(t *testing.T) {
			t.Parallel()
			seen := 0
			for name, plan := range plans {
				store := honest(t, plan)
				head := audit(t, store).Head()
				for i := 0; ; i++ {
					forged := store.copy()
					if !tamper.apply(forged, i) {
						break
					}
					if forged.changed && tampered(t, fmt.Sprintf("%s at place %d", name, i), forged, head) {
						seen++
					}
				}
			}
			if (seen == 0) != (tamper.unseen != "") {
				t.Errorf("seen %d times, though unseen for the reason %q", seen, tamper.unseen)
			}
		})
	}
}

// tampered holds an audit against the model, and reports whether it saw
// something without an earlier head.
func tampered(t *testing.T, where string, f *forger, head immukv.Checkpoint) bool {
	m, err := sound(f.state)
	extends := err == nil && head.Sequence < int64(len(m.log)) && m.log[head.Sequence].hash == string(head.Hash)
	report, from := audit(t, f), audit(t, f, immukv.TrustedHead(head))
	if report.Valid() != (err == nil) {
		t.Errorf("%s: the audit says %v and the model %v", where, report.Err(), err)
	}
	if from.Valid() != extends {
		t.Errorf("%s: the audit from an earlier head says %v and the model %v, extends=%t", where, from.Err(), err, extends)
	}
	return !report.Valid()
}

// TestUnseenTampering makes the changes that an audit does not detect, and some that it
// detects with an earlier head.
func TestUnseenTampering(t *testing.T) {
	t.Parallel()
	for _, tamper := range tamperings {
		if tamper.unseen == "" {
			continue
		}
		store := honest(t, "client a: set k; set j; set k; set j")
		head := audit(t, store).Head()
		if !tamper.apply(store, 2) || !store.changed {
			t.Fatalf("%s: there is no place for it", tamper.name)
		}
		if report := audit(t, store); !report.Valid() {
			t.Errorf("%s: the audit sees it: %v", tamper.name, report.Err())
		}
		if report := audit(t, store, immukv.TrustedHead(head)); report.Valid() == tamper.seenFrom {
			t.Errorf("%s: with an earlier head, seen should be %t: %v", tamper.name, tamper.seenFrom, report.Err())
		}
	}
}

// TestAuditSeesRandomTampering makes several changes to stores of random
// histories.
func TestAuditSeesRandomTampering(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		plan, source := Random(sim.Seeded(seed))
		for i := range plan.Clients {
			plan.Clients[i].Odd = false // whose stores have findings before anything is changed
		}
		o := Run(t, plan, source)
		if o.Err() != nil {
			t.Fatal(o.Report())
		}
		store := &forger{state: o.Store.Dump()}
		head := audit(t, store).Head()
		draw := sim.Seeded(seed)
		for range 5 {
			forged := store.copy()
			where := fmt.Sprintf("seed %d", seed)
			for range 1 + draw(2) {
				tamper := pick(draw, tamperings)
				i := draw(8)
				if forged.object(logObject) != nil && tamper.apply(forged, i) && forged.changed {
					where += fmt.Sprintf(", %s at %d", tamper.name, i)
				}
			}
			tampered(t, where, forged, head)
		}
	}
}
