package cli

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// collector receives by OTLP, over HTTP and gRPC.
type collector struct {
	http, grpc string // the URLs of its endpoints

	mu      sync.Mutex
	tokens  []string
	traces  []*coltrace.ExportTraceServiceRequest
	metrics []*colmetrics.ExportMetricsServiceRequest
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, r *http.Request) {
		var req coltrace.ExportTraceServiceRequest
		if read(t, w, r, &req) {
			_, _ = traceService{collector: c}.Export(incoming(r), &req)
		}
	})
	mux.HandleFunc("POST /v1/metrics", func(w http.ResponseWriter, r *http.Request) {
		var req colmetrics.ExportMetricsServiceRequest
		if read(t, w, r, &req) {
			_, _ = metricsService{collector: c}.Export(incoming(r), &req)
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	rpc := grpc.NewServer()
	coltrace.RegisterTraceServiceServer(rpc, traceService{collector: c})
	colmetrics.RegisterMetricsServiceServer(rpc, metricsService{collector: c})
	served := make(chan error, 1)
	go func() { served <- rpc.Serve(listener) }()
	t.Cleanup(func() { rpc.Stop(); <-served })
	c.http, c.grpc = server.URL, "http://"+listener.Addr().String()
	return c
}

func read(t *testing.T, w http.ResponseWriter, r *http.Request, m proto.Message) bool {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = proto.Unmarshal(body, m)
	}
	if err != nil {
		t.Error(err)
		w.WriteHeader(http.StatusBadRequest)
	}
	return err == nil
}

// incoming has the headers of a request where gRPC has them.
func incoming(r *http.Request) context.Context {
	return metadata.NewIncomingContext(r.Context(), metadata.Pairs("authorization", r.Header.Get("Authorization")))
}

func (c *collector) noteToken(ctx context.Context) {
	md, _ := metadata.FromIncomingContext(ctx)
	c.tokens = append(c.tokens, md.Get("authorization")...)
}

type traceService struct {
	coltrace.UnimplementedTraceServiceServer
	*collector
}

func (s traceService) Export(ctx context.Context, req *coltrace.ExportTraceServiceRequest) (*coltrace.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noteToken(ctx)
	s.traces = append(s.traces, req)
	return &coltrace.ExportTraceServiceResponse{}, nil
}

type metricsService struct {
	colmetrics.UnimplementedMetricsServiceServer
	*collector
}

func (s metricsService) Export(ctx context.Context, req *colmetrics.ExportMetricsServiceRequest) (*colmetrics.ExportMetricsServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noteToken(ctx)
	s.metrics = append(s.metrics, req)
	return &colmetrics.ExportMetricsServiceResponse{}, nil
}

// spans are the names of the spans that arrived, each behind its parent's, sorted.
func (c *collector) spans() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := make(map[string]string)
	var spans []string
	for pass := range 2 {
		for _, req := range c.traces {
			for _, resource := range req.ResourceSpans {
				for _, scope := range resource.ScopeSpans {
					for _, span := range scope.Spans {
						if pass == 0 {
							names[hex.EncodeToString(span.SpanId)] = span.Name + "/"
						} else {
							spans = append(spans, names[hex.EncodeToString(span.ParentSpanId)]+span.Name)
						}
					}
				}
			}
		}
	}
	slices.Sort(spans)
	return spans
}

// instruments are the names of the metrics that arrived, each once, sorted.
func (c *collector) instruments() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, req := range c.metrics {
		for _, resource := range req.ResourceMetrics {
			for _, scope := range resource.ScopeMetrics {
				for _, m := range scope.Metrics {
					names = append(names, m.Name)
				}
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// everything is all that arrived, as text.
func (c *collector) everything() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, req := range c.traces {
		b.WriteString(req.String())
	}
	for _, req := range c.metrics {
		b.WriteString(req.String())
	}
	return b.String()
}

// runExporting runs the command as a process, in an environment with these variables,
// and returns its exit code and what it wrote.
func runExporting(t *testing.T, dir string, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "immukv", args...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "OTEL_") }),
		"IMMUKV_STORE="+fileURL(dir), "IMMUKV_PREFIX=")
	cmd.Env = append(cmd.Env, env...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// The command exports its traces and metrics by either protocol of OTLP.
func TestTelemetry(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"", overHTTP, overGRPC} {
		t.Run("by "+protocol, func(t *testing.T) {
			t.Parallel()
			c := newCollector(t)
			endpoint := c.http
			if protocol == overGRPC {
				endpoint = c.grpc
			}
			env := []string{
				"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL=" + protocol,
				"OTEL_EXPORTER_OTLP_HEADERS=authorization=the-token", "OTEL_RESOURCE_ATTRIBUTES=plant=seven",
			}
			dir := t.TempDir()
			if code, _, stderr := runExporting(t, dir, env, "set", "the-key", `"the-value"`); code != exitDone || stderr != "" {
				t.Errorf("set: exit code %d: %s", code, stderr)
			}
			if code, _, _ := runExporting(t, dir, env, "get", "no-such-key"); code != exitNotFound {
				t.Errorf("get of a key that does not exist: exit code %d", code)
			}
			want := []string{
				"immukv.get", "immukv.get/immukv.store.get", "immukv.get/immukv.store.get", "immukv.get/immukv.store.head",
				"immukv.set", "immukv.set/immukv.store.get", "immukv.set/immukv.store.head", "immukv.set/immukv.store.list_versions",
				"immukv.set/immukv.store.put", "immukv.set/immukv.store.put",
			}
			if got := c.spans(); !slices.Equal(got, want) {
				t.Errorf("the spans are\n%q, want\n%q", got, want)
			}
			instruments := []string{"db.client.operation.duration", "immukv.append.entries", "immukv.log.head.sequence", "immukv.store.request.duration"}
			if got := c.instruments(); !slices.Equal(got, instruments) {
				t.Errorf("the metrics are\n%q, want\n%q", got, instruments)
			}
			if want := slices.Repeat([]string{"the-token"}, 4); !slices.Equal(c.tokens, want) {
				t.Errorf("the tokens are %q, want %q", c.tokens, want)
			}
			all := c.everything()
			for _, word := range []string{"service.name", "plant", "seven"} {
				if !strings.Contains(all, word) {
					t.Errorf("what was exported has no %q", word)
				}
			}
			for _, secret := range []string{"the-key", "the-value", "no-such-key", "the-token", dir} {
				if strings.Contains(all, secret) {
					t.Errorf("%q was exported", secret)
				}
			}
		})
	}
}

// What the environment leaves out is not exported, and where exports fail, or cannot be
// made, the command says so.
func TestTelemetrySettings(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	t.Cleanup(hanging.Close)
	t.Cleanup(func() { close(hang) })
	closed := httptest.NewServer(nil)
	closed.Close()
	for _, c := range []struct {
		name            string
		env             []string // HERE is the collector
		traces, metrics bool
		code            int
		stderr          string
	}{
		{"no endpoint", nil, false, false, exitDone, ""},
		{"disabled", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=HERE", "OTEL_SDK_DISABLED=true"}, false, false, exitDone, ""},
		{"no traces", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=HERE", "OTEL_TRACES_EXPORTER=none"}, false, true, exitDone, ""},
		{"traces alone", []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=HERE/v1/traces"}, true, false, exitDone, ""},
		{"none sampled", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=HERE", "OTEL_TRACES_SAMPLER=always_off"}, false, true, exitDone, ""},
		{"no scheme", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=user:hunter2@collector:4318"}, false, false, exitUsage,
			"OTEL_EXPORTER_OTLP_ENDPOINT must be a URL such as http://localhost:4318"},
		{"unknown protocol", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=HERE", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/json"}, false, false, exitUsage,
			`OTEL_EXPORTER_OTLP_METRICS_PROTOCOL is "http/json"`},
		{"unknown exporter", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=HERE", "OTEL_METRICS_EXPORTER=prometheus"}, false, false, exitUsage,
			`OTEL_METRICS_EXPORTER is "prometheus": it must be otlp or none`},
		{"nobody there", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + closed.URL}, false, false, exitDone, "traces were not exported"},
		{"nobody there for gRPC", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + closed.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, false, false, exitDone,
			"metrics were not exported"},
		{"no answer", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + hanging.URL, "OTEL_EXPORTER_OTLP_TIMEOUT=50"}, false, false, exitDone,
			"metrics were not exported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			receiver := newCollector(t)
			env := slices.Clone(c.env)
			for i := range env {
				env[i] = strings.ReplaceAll(env[i], "HERE", receiver.http)
			}
			code, _, stderr := runExporting(t, t.TempDir(), env, "set", "a", "1")
			if code != c.code || !strings.Contains(stderr, c.stderr) || c.stderr == "" && stderr != "" || strings.Contains(stderr, "hunter2") {
				t.Errorf("exit code %d: %s", code, stderr)
			}
			if traces, metrics := len(receiver.traces) > 0, len(receiver.metrics) > 0; traces != c.traces || metrics != c.metrics {
				t.Errorf("traces %v, metrics %v arrived", traces, metrics)
			}
		})
	}
}

// Standard error can be one JSON object a line, errors included.
func TestLogFormat(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	closed := httptest.NewServer(nil)
	closed.Close()
	env := []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + closed.URL}
	code, _, stderr := runExporting(t, dir, env, "--log-format", "json", "set", "a", "not JSON")
	type line struct{ Time, Level, Msg, Error, Command, Hint string }
	var lines []line
	for text := range strings.Lines(stderr) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil || l.Time == "" {
			t.Errorf("%s: %v", text, err)
		}
		lines = append(lines, l)
	}
	if code != exitUsage || len(lines) != 3 || lines[0].Level != "WARN" || lines[0].Error == "" ||
		lines[2].Level != "ERROR" || lines[2].Command != "immukv set" || !strings.Contains(lines[2].Hint, "VALUE is JSON") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if code, _, stderr := runExporting(t, dir, env, "--log-level", "error", "set", "a", "1"); code != exitDone || stderr != "" {
		t.Errorf("with errors alone: exit code %d: %s", code, stderr)
	}
	for _, bad := range [][]string{{"--log-level", "loud", "keys"}, {"--log-format", "xml", "keys"}} {
		if code, _, stderr := runExporting(t, dir, nil, bad...); code != exitUsage || !strings.Contains(stderr, bad[0]) {
			t.Errorf("%v: exit code %d: %s", bad, code, stderr)
		}
	}
}
