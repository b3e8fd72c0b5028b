package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/immukv/immukv-go/backend/observe"
)

// telemetry exports traces and metrics by OTLP, as OpenTelemetry's environment
// variables say. The exporters and the SDK read most of these themselves.
type telemetry struct {
	opts     []observe.Option // nil if nothing is exported
	shutdown []func(context.Context) error
}

// exportTimeout is how long the end of a command may wait for the last export. The
// exporters' own limit, OTEL_EXPORTER_OTLP_TIMEOUT, is 10 seconds by default.
const exportTimeout = 15 * time.Second

// newTelemetry starts the exports that the environment asks for, if any. A failed export
// is logged and has no other effect.
func newTelemetry(ctx context.Context, logger *slog.Logger) (*telemetry, error) {
	t := &telemetry{}
	traces, err := exportOf("TRACES")
	if err != nil {
		return nil, err
	}
	metrics, err := exportOf("METRICS")
	if err != nil {
		return nil, err
	}
	if traces == "" && metrics == "" {
		return t, nil
	}
	res, err := newResource(ctx)
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	var tracers trace.TracerProvider = tracenoop.NewTracerProvider()
	if traces != "" {
		exporter, err := newSpanExporter(ctx, traces)
		if err != nil {
			return nil, fmt.Errorf("export traces by OTLP: %w", err)
		}
		provider := sdktrace.NewTracerProvider(sdktrace.WithResource(res), sdktrace.WithBatcher(loggedSpans{exporter, logger}))
		t.shutdown = append(t.shutdown, provider.Shutdown)
		tracers = provider
	}
	var meters metric.MeterProvider = metricnoop.NewMeterProvider()
	if metrics != "" {
		exporter, err := newMetricExporter(ctx, metrics)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("export metrics by OTLP: %w", err), t.close(ctx))
		}
		reader := sdkmetric.NewPeriodicReader(loggedMetrics{exporter, logger})
		provider := sdkmetric.NewMeterProvider(sdkmetric.WithResource(res), sdkmetric.WithReader(reader))
		t.shutdown = append(t.shutdown, provider.Shutdown)
		meters = provider
	}
	t.opts = []observe.Option{observe.WithTracerProvider(tracers), observe.WithMeterProvider(meters)}
	return t, nil
}

// close exports the remaining data. For an interrupted command, it waits only a moment.
func (t *telemetry) close(ctx context.Context) error {
	limit := exportTimeout
	if ctx.Err() != nil {
		limit = writeGrace
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	errs := make([]error, len(t.shutdown))
	var running sync.WaitGroup
	for i, shutdown := range t.shutdown {
		running.Go(func() { errs[i] = shutdown(ctx) })
	}
	running.Wait()
	return errors.Join(errs...)
}

// The protocols of OTLP that the command speaks.
const (
	overHTTP = "http/protobuf"
	overGRPC = "grpc"
)

// exportOf returns the protocol for a signal, TRACES or METRICS, or an empty string if it
// is not exported.
func exportOf(signal string) (protocol string, err error) {
	setting := func(name string) (string, string) {
		for _, variable := range []string{"OTEL_EXPORTER_OTLP_" + signal + "_" + name, "OTEL_EXPORTER_OTLP_" + name} {
			if v := os.Getenv(variable); v != "" {
				return variable, v
			}
		}
		return "", ""
	}
	variable, endpoint := setting("ENDPOINT")
	if endpoint == "" || strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return "", nil
	}
	switch exporter := os.Getenv("OTEL_" + signal + "_EXPORTER"); exporter {
	case "none":
		return "", nil
	case "", "otlp":
	default:
		return "", usagef("OTEL_%s_EXPORTER is %q: it must be otlp or none", signal, exporter)
	}
	// The text of the error is not repeated: it may contain credentials.
	if u, err := url.Parse(endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", usagef("%s must be a URL such as http://localhost:4318", variable)
	}
	variable, protocol = setting("PROTOCOL")
	switch protocol {
	case "":
		return overHTTP, nil
	case overHTTP, overGRPC:
		return protocol, nil
	}
	return "", usagef("%s is %q: it must be %s or %s", variable, protocol, overHTTP, overGRPC)
}

// newResource describes the command, without its arguments, which contain keys and
// values.
func newResource(ctx context.Context) (*resource.Resource, error) {
	info, _ := debug.ReadBuildInfo()
	return resource.New(ctx,
		resource.WithSchemaURL(semconv.SchemaURL),
		resource.WithAttributes(semconv.ServiceName("immukv"), semconv.ServiceVersion(versionOf(info).Version)),
		resource.WithFromEnv(),
	)
}

// Exports are not retried: at its end, a command should not wait for telemetry, and each
// later export of a long command contains the same metrics.

func newSpanExporter(ctx context.Context, protocol string) (sdktrace.SpanExporter, error) {
	if protocol == overGRPC {
		return otlptracegrpc.New(ctx, otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{}))
	}
	return otlptracehttp.New(ctx, otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}))
}

func newMetricExporter(ctx context.Context, protocol string) (sdkmetric.Exporter, error) {
	if protocol == overGRPC {
		return otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig{}))
	}
	return otlpmetrichttp.New(ctx, otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{}))
}

// loggedSpans logs failed exports, which the SDK reports only to a global handler.
type loggedSpans struct {
	sdktrace.SpanExporter
	logger *slog.Logger
}

func (e loggedSpans) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.logger.WarnContext(ctx, "traces were not exported", "error", err)
	}
	return nil
}

// loggedMetrics does the same for metrics.
type loggedMetrics struct {
	sdkmetric.Exporter
	logger *slog.Logger
}

func (e loggedMetrics) Export(ctx context.Context, metrics *metricdata.ResourceMetrics) error {
	if len(metrics.ScopeMetrics) == 0 {
		return nil // there are no metrics
	}
	if err := e.Exporter.Export(ctx, metrics); err != nil {
		e.logger.WarnContext(ctx, "metrics were not exported", "error", err)
	}
	return nil
}
