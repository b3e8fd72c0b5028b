package observe_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/backend/observe"
	"github.com/immukv/immukv-go/immukv"
)

// BenchmarkOverhead compares clients of stores in memory, observed and not,
// alternately, and reports by how much the medians exceed that of the client that is not, in
// nanoseconds a call. In memory a Set makes two requests, a Get one.
func BenchmarkOverhead(b *testing.B) {
	unsampled := observe.WithTracerProvider(trace.NewTracerProvider(trace.WithSampler(trace.NeverSample())))
	measured := observe.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(metric.NewManualReader())))
	variants := []struct {
		name string
		opts []observe.Option
	}{
		{"bare", nil}, // not observed
		{"nothing-attached", []observe.Option{}},
		{"sampling-off", []observe.Option{unsampled, observe.WithMeterProvider(noop.NewMeterProvider())}},
		{"sampling-off-metrics-on", []observe.Option{unsampled, measured}},
		{"all-on", []observe.Option{observe.WithTracerProvider(trace.NewTracerProvider()), measured}},
	}
	clients := make([]*immukv.Client[string], len(variants))
	for i, v := range variants {
		mem := memstore.New()
		if v.opts == nil {
			clients[i] = open(b, mem, immukv.WithRepairCheckInterval(-1))
		} else {
			clients[i] = open(b, observe.Wrap(mem, v.opts...), immukv.WithRepairCheckInterval(-1), observe.Client(v.opts...))
		}
		set(b, clients[i], "key", "value")
	}
	value := strings.Repeat("x", 98)
	for _, op := range []struct {
		name string
		do   func(*immukv.Client[string]) error
	}{
		{"Set", func(db *immukv.Client[string]) error { _, err := db.Set(b.Context(), "key", value); return err }},
		{"Get", func(db *immukv.Client[string]) error { _, err := db.Get(b.Context(), "key"); return err }},
	} {
		b.Run(op.name, func(b *testing.B) {
			took := make([][]time.Duration, len(clients))
			for b.Loop() {
				for i, db := range clients {
					start := time.Now()
					if err := op.do(db); err != nil {
						b.Fatal(err)
					}
					took[i] = append(took[i], time.Since(start))
				}
			}
			median := func(i int) float64 { slices.Sort(took[i]); return float64(took[i][len(took[i])/2]) }
			bare := median(0)
			b.ReportMetric(0, "ns/op") // of all of them
			b.ReportMetric(bare, "ns-bare")
			for i, v := range variants[1:] {
				b.ReportMetric(median(i+1)-bare, "more-"+v.name)
			}
		})
		b.Run(op.name+"Allocs", func(b *testing.B) {
			allocs := func(i int) float64 {
				return testing.AllocsPerRun(1000, func() {
					if err := op.do(clients[i]); err != nil {
						b.Fatal(err)
					}
				})
			}
			bare := allocs(0)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(bare, "allocs-bare")
			for i, v := range variants[1:] {
				b.ReportMetric(allocs(i+1)-bare, "more-"+v.name)
			}
		})
	}
}
