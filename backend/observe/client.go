package observe

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/immukv/immukv-go/immukv"
)

// Client returns an option of [immukv.Open] that observes the calls of the client. It
// is an [immukv.WithObserver], and a client has one observer.
func Client(opts ...Option) immukv.Option {
	c := newCalls(newConfig(opts))
	return immukv.WithObserver(immukv.Observer{Call: c.begin, Append: c.appended, Watched: c.watched, Conflict: c.conflict, Repair: c.repair, Settled: c.settled})
}

// system is the name of the database system in OpenTelemetry's conventions.
const system = "immukv"

// calls makes spans and metrics of the calls of clients.
type calls struct {
	tracer trace.Tracer
	keys   bool
	attrs  []attribute.KeyValue

	duration  metric.Float64Histogram
	batches   metric.Int64Histogram
	lag       metric.Float64Histogram
	conflicts metric.Int64Counter
	repairs   metric.Int64Counter
	answers   metric.Int64Counter
	head      metric.Int64Gauge

	durations sets[callSet]
	counts    sets[countSet]
}

// callSet identifies one set of attributes of calls.
type callSet struct {
	method, prefix string
	outcome        outcome
}

// countSet identifies one set of attributes of any other metric.
type countSet struct {
	prefix  string
	outcome outcome // empty if the metric has none
	failed  bool
}

func newCalls(c config) *calls {
	m := c.meter()
	return &calls{
		tracer: c.tracer(), keys: c.keys, attrs: c.attrs,
		duration: made(m.Float64Histogram("db.client.operation.duration",
			metric.WithUnit("s"), metric.WithDescription("Duration of database client operations."), durationBuckets)),
		batches: made(m.Int64Histogram("immukv.append.entries",
			metric.WithUnit("{entry}"), metric.WithDescription("Entries in one log version."),
			metric.WithExplicitBucketBoundaries(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000))),
		lag: made(m.Float64Histogram("immukv.watch.lag",
			metric.WithUnit("s"), metric.WithDescription("Age of entries when a watch yields them."),
			metric.WithExplicitBucketBoundaries(0.01, 0.1, 0.5, 1, 2, 5, 10, 60, 600, 3600, 86400))),
		conflicts: made(m.Int64Counter("immukv.conflicts",
			metric.WithUnit("{conflict}"), metric.WithDescription("Writes that lost the race for a place in the log."))),
		repairs: made(m.Int64Counter("immukv.repairs",
			metric.WithUnit("{repair}"), metric.WithDescription("Orphans found, repaired or not."))),
		answers: made(m.Int64Counter("immukv.answers.settled",
			metric.WithUnit("{answer}"), metric.WithDescription("Lost answers of appends, settled by reading the log."))),
		head: made(m.Int64Gauge("immukv.log.head.sequence",
			metric.WithUnit("{entry}"), metric.WithDescription("Sequence of the newest entry that the client knows."))),
	}
}

// callSpan are the options with which the span of a call starts.
var callSpan = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}

type prefixKey struct{}

// prefixOf returns the prefix of the client whose call has the context ctx.
func prefixOf(ctx context.Context) string {
	prefix, _ := ctx.Value(prefixKey{}).(string)
	return prefix
}

func (c *calls) begin(ctx context.Context, call immukv.Call) (context.Context, func(immukv.CallResult)) {
	start := time.Now()
	if call.Prefix != prefixOf(ctx) {
		ctx = context.WithValue(ctx, prefixKey{}, call.Prefix)
	}
	ctx, span := c.tracer.Start(ctx, "immukv."+call.Method, callSpan...)
	if span.IsRecording() {
		span.SetAttributes(c.callAttributes(call.Method, call.Prefix)...)
		span.SetAttributes(c.keyAttribute(call.Key)...)
	}
	return ctx, func(result immukv.CallResult) {
		if result.Head >= 0 && c.head.Enabled(ctx) {
			c.head.Record(ctx, result.Head, c.countOptions(ctx, "", false).record...)
		}
		measured := c.duration.Enabled(ctx)
		if !measured && !span.IsRecording() {
			span.End()
			return
		}
		word, failed := outcomeOf(result.Err)
		endSpan(span, word, failed)
		if measured {
			c.duration.Record(ctx, time.Since(start).Seconds(), c.durations.of(callSet{call.Method, call.Prefix, word}, func() []attribute.KeyValue {
				return append(c.callAttributes(call.Method, call.Prefix), word.attributes(failed)...)
			}).record...)
		}
	}
}

// callAttributes returns the attributes of every call of a method.
func (c *calls) callAttributes(method, prefix string) []attribute.KeyValue {
	attrs := []attribute.KeyValue{semconv.DBSystemNameKey.String(system), semconv.DBOperationName(method)}
	return append(attrs, c.namespace(prefix)...)
}

// namespace returns the attributes that distinguish logs.
func (c *calls) namespace(prefix string) []attribute.KeyValue {
	if prefix == "" {
		return c.attrs[:len(c.attrs):len(c.attrs)]
	}
	return append(c.attrs[:len(c.attrs):len(c.attrs)], semconv.DBNamespace(prefix))
}

func (c *calls) keyAttribute(key string) []attribute.KeyValue {
	if !c.keys || key == "" {
		return nil
	}
	return []attribute.KeyValue{attribute.String("immukv.key", key)}
}

func (c *calls) appended(ctx context.Context, entries int) {
	if c.batches.Enabled(ctx) {
		c.batches.Record(ctx, int64(entries), c.countOptions(ctx, "", false).record...)
	}
}

func (c *calls) watched(ctx context.Context, _ immukv.Observed, lag time.Duration) {
	if c.lag.Enabled(ctx) {
		c.lag.Record(ctx, lag.Seconds(), c.countOptions(ctx, "", false).record...)
	}
}

func (c *calls) conflict(ctx context.Context, e immukv.Observed) {
	c.event(ctx, "immukv.conflict", e)
	c.count(ctx, c.conflicts, "", false)
}

func (c *calls) repair(ctx context.Context, e immukv.Observed, err error) {
	word, failed := outcomeOf(err)
	c.event(ctx, "immukv.repair", e, word.attributes(failed)...)
	c.count(ctx, c.repairs, word, failed)
}

func (c *calls) settled(ctx context.Context, e immukv.Observed, err error) {
	word, failed := outcome("not_in_log"), false
	switch {
	case err == nil:
		word = "in_log"
	case errors.Is(err, immukv.ErrOutcomeUnknown):
		word, failed = outcomeOf(err)
	}
	c.event(ctx, "immukv.answer.settled", e, word.attributes(failed)...)
	c.count(ctx, c.answers, word, failed)
}

// event adds an event to the span of the call.
func (c *calls) event(ctx context.Context, name string, e immukv.Observed, attrs ...attribute.KeyValue) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	attrs = append(attrs, attribute.Int64("immukv.sequence", e.Sequence))
	span.AddEvent(name, trace.WithAttributes(append(attrs, c.keyAttribute(e.Key)...)...))
}

func (c *calls) count(ctx context.Context, counter metric.Int64Counter, word outcome, failed bool) {
	if counter.Enabled(ctx) {
		counter.Add(ctx, 1, c.countOptions(ctx, word, failed).add...)
	}
}

// countOptions returns the attributes of a metric that has at most an outcome.
func (c *calls) countOptions(ctx context.Context, word outcome, failed bool) options {
	return c.counts.of(countSet{prefixOf(ctx), word, failed}, func() []attribute.KeyValue {
		attrs := c.namespace(prefixOf(ctx))
		if word != "" {
			attrs = append(attrs, word.attributes(failed)...)
		}
		return attrs
	})
}
