package observe_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/backend/observe"
	"github.com/immukv/immukv-go/immukv"
)

// recorder keeps in memory what is exported.
type recorder struct {
	spans  *tracetest.InMemoryExporter
	reader *metric.ManualReader
	opts   []observe.Option
}

func newRecorder(opts ...observe.Option) *recorder {
	r := &recorder{tracetest.NewInMemoryExporter(), metric.NewManualReader(), opts}
	r.opts = append(r.opts,
		observe.WithTracerProvider(trace.NewTracerProvider(trace.WithSyncer(r.spans))),
		observe.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(r.reader))))
	return r
}

// open makes a client of which everything is recorded.
func (r *recorder) open(t testing.TB, store backend.VersionedStore, opts ...immukv.Option) *immukv.Client[string] {
	t.Helper()
	return open(t, observe.Wrap(store, r.opts...), append(opts, observe.Client(r.opts...))...)
}

func open(t testing.TB, store backend.VersionedStore, opts ...immukv.Option) *immukv.Client[string] {
	t.Helper()
	db, err := immukv.Open[string](t.Context(), store, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func set(t testing.TB, db *immukv.Client[string], key, value string) immukv.Entry[string] {
	t.Helper()
	e, err := db.Set(t.Context(), key, value)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// tree is the spans recorded since it was called last: each on a line, with its
// attributes, its events below it, and then its children in the order in which they
// began.
func (r *recorder) tree() string {
	stubs := r.spans.GetSpans()
	r.spans.Reset()
	children := make(map[oteltrace.SpanID][]tracetest.SpanStub)
	known := make(map[oteltrace.SpanID]bool)
	for _, s := range stubs {
		known[s.SpanContext.SpanID()] = true
	}
	for _, s := range stubs {
		parent := s.Parent.SpanID()
		if !known[parent] {
			parent = oteltrace.SpanID{}
		}
		children[parent] = append(children[parent], s)
	}
	var b strings.Builder
	var show func(id oteltrace.SpanID, indent string)
	show = func(id oteltrace.SpanID, indent string) {
		below := children[id]
		slices.SortStableFunc(below, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
		for _, s := range below {
			status := ""
			if s.Status.Code != codes.Unset {
				status = fmt.Sprintf(" %v %q", s.Status.Code, s.Status.Description)
			}
			fmt.Fprintf(&b, "%s%s%s%s\n", indent, s.Name, attributes(s.Attributes), status)
			for _, e := range s.Events {
				fmt.Fprintf(&b, "%s* %s%s\n", indent+"  ", e.Name, attributes(e.Attributes))
			}
			show(s.SpanContext.SpanID(), indent+"  ")
		}
	}
	show(oteltrace.SpanID{}, "")
	return b.String()
}

// attributes prints attributes, sorted, without those that the span's name has too.
func attributes(attrs []attribute.KeyValue) string {
	var shown []string
	for _, a := range attrs {
		switch a.Key {
		case "db.system.name", "db.operation.name", "immukv.store.method":
			continue
		}
		shown = append(shown, fmt.Sprintf(" %s=%s", strings.TrimPrefix(string(a.Key), "immukv."), a.Value.String()))
	}
	slices.Sort(shown)
	return strings.Join(shown, "")
}

// wantTree compares the spans recorded with those wanted, without the indentation that
// the test's source gives them.
func (r *recorder) wantTree(t *testing.T, what, want string) {
	t.Helper()
	want = strings.TrimPrefix(strings.ReplaceAll(want, "\n\t\t\t", "\n"), "\n")
	if got := r.tree(); got != strings.TrimRight(want, "\t") {
		t.Errorf("%s: the spans are\n%s\nwant\n%s", what, got, want)
	}
}

// faulty is a store whose writes are sent by send.
type faulty struct {
	backend.VersionedStore
	send func(name string, put func() (backend.Version, error)) (backend.Version, error)
}

func (s *faulty) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	return s.send(name, func() (backend.Version, error) { return s.VersionedStore.Put(ctx, name, body, cond) })
}

// once has the first write of an object meet a fault.
func once(store backend.VersionedStore, object string, fault func(put func() (backend.Version, error)) (backend.Version, error)) *faulty {
	met := false
	return &faulty{store, func(name string, put func() (backend.Version, error)) (backend.Version, error) {
		if name != object || met {
			return put()
		}
		met = true
		return fault(put)
	}}
}

// A set that meets another writer's entry, an orphan, and loses an answer.
func TestSpans(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		r := newRecorder()
		db := r.open(t, mem)
		set(t, db, "a", "1")
		r.spans.Reset() // some of its requests are sent at the same time

		set(t, open(t, mem), "a", "2")
		set(t, db, "a", "3")
		r.wantTree(t, "lost race", `
			immukv.set outcome=ok
			  * immukv.conflict sequence=1
			  immukv.store.put object=log outcome=precondition_failed
			  immukv.store.get object=log outcome=ok
			  immukv.store.head object=key outcome=ok
			  immukv.store.put object=log outcome=ok
			  immukv.store.put object=key outcome=ok
		`)

		denied := &backend.Error{Op: "put", Kind: backend.ErrAccessDenied}
		crashing := once(mem, "keys/b.json", func(func() (backend.Version, error)) (backend.Version, error) { return backend.Version{}, denied })
		set(t, open(t, crashing), "b", "orphan")
		set(t, db, "a", "4")
		r.wantTree(t, "lost race, and a repair", `
			immukv.set outcome=ok
			  * immukv.conflict sequence=3
			  * immukv.repair outcome=ok sequence=3
			  immukv.store.put object=log outcome=precondition_failed
			  immukv.store.get object=log outcome=ok
			  immukv.store.head object=key outcome=not_found
			  immukv.store.head object=key outcome=not_found
			  immukv.store.put object=key outcome=ok
			  immukv.store.put object=log outcome=ok
			  immukv.store.put object=key outcome=ok
		`)

		lost := &backend.Error{Op: "put", Kind: backend.ErrOutcomeUnknown}
		losing := once(mem, "_log.json", func(put func() (backend.Version, error)) (backend.Version, error) {
			_, _ = put()
			return backend.Version{}, lost
		})
		db = r.open(t, losing)
		set(t, db, "a", "5")
		r.wantTree(t, "lost answer", `
			immukv.set outcome=ok
			  * immukv.answer.settled outcome=in_log sequence=5
			  immukv.store.get object=log outcome=ok
			  immukv.store.head object=key outcome=ok
			  immukv.store.put error.type=outcome_unknown object=log outcome=outcome_unknown Error "outcome_unknown"
			  immukv.store.get object=log outcome=ok
			  immukv.store.put object=key outcome=ok
		`)

		_, _ = db.Get(t.Context(), "none")
		_, _ = db.Set(t.Context(), "/../", "")
		r.wantTree(t, "errors", `
			immukv.get outcome=not_found
			  immukv.store.get object=key outcome=not_found
			immukv.set error.type=invalid_key outcome=invalid_key Error "invalid_key"
		`)
	})
}

// Sequences, verifications and what the other packages ask of the store.
func TestSpansOfSequences(t *testing.T) {
	t.Parallel()
	mem := memstore.New()
	r := newRecorder(observe.WithAttributes(attribute.String("plant", "7")))
	set(t, open(t, mem, immukv.WithPrefix("p/")), "a", "1")
	db := r.open(t, mem, immukv.WithPrefix("p/"))
	for _, err := range db.History(t.Context(), "a") {
		if err != nil {
			t.Error(err)
		}
	}
	r.wantTree(t, "history", `
			immukv.history db.namespace=p/ outcome=ok plant=7
			  immukv.store.get object=log outcome=ok plant=7
			  immukv.store.head object=key outcome=ok plant=7
			  immukv.store.list_versions object=key outcome=ok plant=7
			  immukv.store.get_version object=key outcome=ok plant=7
		`)
	for _, err := range db.Keys(t.Context()) {
		if err != nil {
			t.Error(err)
		}
	}
	r.wantTree(t, "keys", `
			immukv.keys db.namespace=p/ outcome=ok plant=7
			  immukv.store.list_names object=key outcome=ok plant=7
		`)
	_, _ = db.Store().Get(t.Context(), "elsewhere")
	_, _ = observe.Wrap(mem, r.opts...).Head(t.Context(), "tlog/checkpoint")
	r.wantTree(t, "requests of no call", `
			immukv.store.get object=other outcome=not_found plant=7
			immukv.store.head object=tlog outcome=not_found plant=7
		`)
}

// metrics is what was measured so far: each metric on a line, with its unit, and below
// it a line for each of its sets of attributes.
func (r *recorder) metrics(t *testing.T) string {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			var lines []string
			add := func(set attribute.Set, format string, args ...any) {
				lines = append(lines, fmt.Sprintf("\n %s: %s", set.Encoded(attribute.DefaultEncoder()), fmt.Sprintf(format, args...)))
			}
			switch data := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					if m.Name == "immukv.watch.lag" {
						add(p.Attributes, "%d times, %vs in all", p.Count, p.Sum)
						continue
					}
					add(p.Attributes, "%d times, up to %vs", p.Count, p.Bounds[len(p.Bounds)-1])
				}
			case metricdata.Histogram[int64]:
				for _, p := range data.DataPoints {
					add(p.Attributes, "%d times, %d in all", p.Count, p.Sum)
				}
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					add(p.Attributes, "%d", p.Value)
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					add(p.Attributes, "at %d", p.Value)
				}
			}
			slices.Sort(lines)
			blocks = append(blocks, m.Name+" "+m.Unit+strings.Join(lines, ""))
		}
	}
	slices.Sort(blocks)
	return strings.Join(blocks, "\n")
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		r := newRecorder()
		lost := &backend.Error{Op: "put", Kind: backend.ErrOutcomeUnknown}
		denied := &backend.Error{Op: "put", Kind: backend.ErrAccessDenied}
		db := r.open(t, once(mem, "_log.json", func(func() (backend.Version, error)) (backend.Version, error) { return backend.Version{}, lost }))
		set(t, db, "a", "1") // the answer is lost, and the entry not in the log
		crashing := once(mem, "keys/b.json", func(func() (backend.Version, error)) (backend.Version, error) { return backend.Version{}, denied })
		set(t, open(t, crashing), "b", "orphan")
		set(t, db, "a", "2") // loses a race, and repairs
		if _, err := db.SetAll(t.Context(), immukv.Write[string]{Key: "a", Value: "3"}, immukv.Write[string]{Key: "b", Value: "3"}); err != nil {
			t.Error(err)
		}
		_, _ = db.Get(t.Context(), "none")
		_, _ = db.Get(t.Context(), "none")
		never := &faulty{mem, func(string, func() (backend.Version, error)) (backend.Version, error) { return backend.Version{}, lost }}
		if _, err := r.open(t, never, immukv.WithPrefix("p/")).Set(t.Context(), "a", "1"); err == nil {
			t.Error("a write that is never answered has no error")
		}
		want := `db.client.operation.duration s
 db.namespace=p/,db.operation.name=set,db.system.name=immukv,error.type=outcome_unknown,immukv.outcome=outcome_unknown: 1 times, up to 10s
 db.operation.name=get,db.system.name=immukv,immukv.outcome=not_found: 2 times, up to 10s
 db.operation.name=set,db.system.name=immukv,immukv.outcome=ok: 2 times, up to 10s
 db.operation.name=set_all,db.system.name=immukv,immukv.outcome=ok: 1 times, up to 10s
immukv.answers.settled {answer}
 db.namespace=p/,error.type=outcome_unknown,immukv.outcome=outcome_unknown: 1
 immukv.outcome=in_log: 1
immukv.append.entries {entry}
 : 3 times, 4 in all
immukv.conflicts {conflict}
 : 1
immukv.log.head.sequence {entry}
 : at 4
immukv.repairs {repair}
 immukv.outcome=ok: 1
immukv.store.request.duration s
 error.type=outcome_unknown,immukv.object=log,immukv.outcome=outcome_unknown,immukv.store.method=put: 9 times, up to 10s
 immukv.object=key,immukv.outcome=not_found,immukv.store.method=get: 2 times, up to 10s
 immukv.object=key,immukv.outcome=not_found,immukv.store.method=head: 4 times, up to 10s
 immukv.object=key,immukv.outcome=ok,immukv.store.method=put: 5 times, up to 10s
 immukv.object=log,immukv.outcome=not_found,immukv.store.method=get: 11 times, up to 10s
 immukv.object=log,immukv.outcome=ok,immukv.store.method=get: 1 times, up to 10s
 immukv.object=log,immukv.outcome=ok,immukv.store.method=list_versions: 11 times, up to 10s
 immukv.object=log,immukv.outcome=ok,immukv.store.method=put: 3 times, up to 10s
 immukv.object=log,immukv.outcome=precondition_failed,immukv.store.method=put: 1 times, up to 10s`
		if got := r.metrics(t); got != want {
			t.Errorf("the metrics are\n%s\nwant\n%s", got, want)
		}
	})
}

// A watch says how far it is behind, and does not fail when it is canceled.
func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		r := newRecorder()
		set(t, open(t, mem), "a", "1")
		time.Sleep(3 * time.Second)
		set(t, open(t, mem), "a", "2")
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var yielded int
		for _, err := range r.open(t, mem).Watch(ctx) {
			if err != nil {
				break
			}
			if yielded++; yielded == 2 {
				cancel()
			}
		}
		if got, want := r.metrics(t), "\nimmukv.watch.lag s\n : 2 times, 7s in all"; !strings.Contains(got, want) {
			t.Errorf("the metrics are\n%s\nwithout%s", got, want)
		}
		if tree, want := r.tree(), "immukv.watch outcome=canceled\n"; !strings.HasPrefix(tree, want) {
			t.Errorf("the spans are\n%s\nand do not begin with %s", tree, want)
		}
	})
}
