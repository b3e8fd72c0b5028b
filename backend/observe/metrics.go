package observe

import (
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// scope is the name of this package's instrumentation scope.
const scope = "github.com/immukv/immukv-go/backend/observe"

func (c config) tracer() trace.Tracer {
	return c.tracers.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL))
}

func (c config) meter() metric.Meter {
	return c.meters.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))
}

// durationBuckets are those that the conventions for database clients name.
var durationBuckets = metric.WithExplicitBucketBoundaries(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)

// made returns an instrument. If an SDK's configuration does not allow it as requested,
// the instrument still works, and the SDK's error handler gets the error.
func made[T any](instrument T, err error) T {
	if err != nil {
		otel.Handle(err)
	}
	return instrument
}

// sets caches the attributes of metrics, so that a measurement does not allocate them.
type sets[K comparable] struct {
	mu   sync.RWMutex
	made map[K]options
}

// options are the same attributes for histograms and gauges, and for counters.
type options struct {
	record []metric.RecordOption
	add    []metric.AddOption
}

// of returns the attributes of a metric. It calls attrs the first time.
func (s *sets[K]) of(key K, attrs func() []attribute.KeyValue) options {
	s.mu.RLock()
	o, found := s.made[key]
	s.mu.RUnlock()
	if found {
		return o
	}
	set := metric.WithAttributeSet(attribute.NewSet(attrs()...))
	o = options{[]metric.RecordOption{set}, []metric.AddOption{set}}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made == nil {
		s.made = make(map[K]options)
	}
	s.made[key] = o
	return o
}
