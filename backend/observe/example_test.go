package observe_test

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

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
