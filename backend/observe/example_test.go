package observe_test

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/backend/observe"
	"github.com/immukv/immukv-go/immukv"
)

// A program that has set OpenTelemetry's global providers needs no options.
func Example() {
	ctx := context.Background()
	spans := tracetest.NewInMemoryExporter()
	provider := observe.WithTracerProvider(trace.NewTracerProvider(trace.WithSyncer(spans)))

	store := observe.Wrap(memstore.New(), provider)
	db, err := immukv.Open[int](ctx, store, observe.Client(provider))
	if err != nil {
		panic(err)
	}
	if _, err := db.Set(ctx, "answer", 42); err != nil {
		panic(err)
	}
	spans.Reset()
	if _, err := db.Set(ctx, "answer", 43); err != nil {
		panic(err)
	}
	for _, span := range spans.GetSpans() {
		fmt.Println(span.Name)
	}
	// Output:
	// immukv.store.put
	// immukv.store.put
	// immukv.set
}

// A program can choose its own providers instead of the global ones.
func ExampleWithTracerProvider() {
	ctx := context.Background()
	spans := tracetest.NewInMemoryExporter() // or an OTLP exporter
	provider := trace.NewTracerProvider(trace.WithSyncer(spans))

	store := observe.Wrap(memstore.New(), observe.WithTracerProvider(provider))
	if _, err := store.Put(ctx, "greeting", []byte("hello"), backend.IfAbsent()); err != nil {
		panic(err)
	}
	for _, span := range spans.GetSpans() {
		fmt.Println(span.Name)
	}
	// Output: immukv.store.put
}

// The metrics count the requests.
func ExampleWithMeterProvider() {
	ctx := context.Background()
	reader := metric.NewManualReader() // or a periodic one, with an OTLP exporter
	provider := metric.NewMeterProvider(metric.WithReader(reader))

	store := observe.Wrap(memstore.New(), observe.WithMeterProvider(provider))
	for range 3 {
		_, _ = store.Get(ctx, "greeting")
	}
	var metrics metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &metrics); err != nil {
		panic(err)
	}
	for _, scope := range metrics.ScopeMetrics {
		for _, m := range scope.Metrics {
			if durations, ok := m.Data.(metricdata.Histogram[float64]); ok {
				fmt.Println(m.Name, durations.DataPoints[0].Count)
			}
		}
	}
	// Output: immukv.store.request.duration 3
}

// Spans have keys only with WithKeys, because keys may be confidential.
func ExampleWithKeys() {
	ctx := context.Background()
	for _, opts := range [][]observe.Option{nil, {observe.WithKeys()}} {
		spans := tracetest.NewInMemoryExporter()
		opts = append(opts, observe.WithTracerProvider(trace.NewTracerProvider(trace.WithSyncer(spans))))
		db, err := immukv.Open[int](ctx, memstore.New(), observe.Client(opts...))
		if err != nil {
			panic(err)
		}
		if _, err := db.Set(ctx, "answer", 42); err != nil {
			panic(err)
		}
		named := false
		for _, a := range spans.GetSpans()[0].Attributes {
			named = named || a.Key == "immukv.key" && a.Value.AsString() == "answer"
		}
		fmt.Println(named)
	}
	// Output:
	// false
	// true
}

// A program with several stores tells them apart by an attribute.
func ExampleWithAttributes() {
	ctx := context.Background()
	spans := tracetest.NewInMemoryExporter()
	provider := observe.WithTracerProvider(trace.NewTracerProvider(trace.WithSyncer(spans)))
	for _, plant := range []string{"plant-7", "plant-8"} {
		store := observe.Wrap(memstore.New(), provider, observe.WithAttributes(attribute.String("plant", plant)))
		_, _ = store.Head(ctx, "_log.json")
	}
	for _, span := range spans.GetSpans() {
		for _, a := range span.Attributes {
			if a.Key == "plant" {
				fmt.Println(span.Name, a.Value.AsString())
			}
		}
	}
	// Output:
	// immukv.store.head plant-7
	// immukv.store.head plant-8
}
