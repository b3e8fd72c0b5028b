package observe

import (
	"context"
	"io"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/immukv/immukv-go/backend"
)

// Wrap returns a store that observes the requests to s. It is a [backend.StrictStore]
// if s is one. It is an [io.Closer] if s is one, and then Close closes s.
func Wrap(s backend.VersionedStore, opts ...Option) backend.VersionedStore {
	return newRequests(newConfig(opts)).wrap(s)
}

// wrap returns a store with the same optional methods as the observed one.
func (r *requests) wrap(s backend.VersionedStore) backend.VersionedStore {
	w := &store{s, r}
	strict, isStrict := s.(backend.StrictStore)
	closer, isCloser := s.(io.Closer)
	switch {
	case isStrict && isCloser:
		return &struct {
			strictStore
			io.Closer
		}{strictStore{w, strict}, closer}
	case isStrict:
		return &strictStore{w, strict}
	case isCloser:
		return &struct {
			*store
			io.Closer
		}{w, closer}
	}
	return w
}

// store observes the requests to another store.
type store struct {
	backend  backend.VersionedStore
	requests *requests
}

// strictStore is a store that observes a strict one.
type strictStore struct {
	*store
	strict backend.StrictStore
}

var _ backend.StrictStore = (*strictStore)(nil)

// CheckNewName implements [backend.StrictStore].
func (s *strictStore) CheckNewName(name string) error { return s.strict.CheckNewName(name) }

// AnyName implements [backend.StrictStore]. The store that it returns is observed too.
func (s *strictStore) AnyName() backend.VersionedStore { return s.requests.wrap(s.strict.AnyName()) }

// Get implements [backend.VersionedStore].
func (s *store) Get(ctx context.Context, name string) (backend.Object, error) {
	ctx, r := s.requests.begin(ctx, get, name)
	obj, err := s.backend.Get(ctx, name)
	r.end(err)
	return obj, err
}

// GetVersion implements [backend.VersionedStore].
func (s *store) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	ctx, r := s.requests.begin(ctx, getVersion, name)
	obj, err := s.backend.GetVersion(ctx, name, id)
	r.end(err)
	return obj, err
}

// Head implements [backend.VersionedStore].
func (s *store) Head(ctx context.Context, name string) (backend.Version, error) {
	ctx, r := s.requests.begin(ctx, head, name)
	v, err := s.backend.Head(ctx, name)
	r.end(err)
	return v, err
}

// Put implements [backend.VersionedStore].
func (s *store) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	ctx, r := s.requests.begin(ctx, put, name)
	v, err := s.backend.Put(ctx, name, body, cond)
	r.end(err)
	return v, err
}

// ListVersions implements [backend.VersionedStore].
func (s *store) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (backend.VersionsPage, error) {
	ctx, r := s.requests.begin(ctx, listVersions, name)
	page, err := s.backend.ListVersions(ctx, name, req)
	r.end(err)
	return page, err
}

// ListNames implements [backend.VersionedStore].
func (s *store) ListNames(ctx context.Context, req backend.NamesRequest) (backend.NamesPage, error) {
	ctx, r := s.requests.begin(ctx, listNames, req.Prefix)
	page, err := s.backend.ListNames(ctx, req)
	r.end(err)
	return page, err
}

// method is a method of a store.
type method int

const (
	get method = iota
	getVersion
	head
	put
	listVersions
	listNames
)

var methodNames = [...]string{"get", "get_version", "head", "put", "list_versions", "list_names"}

// object is what a request is about.
type object string

const (
	logObject   object = "log"
	keyObject   object = "key"
	tlogObject  object = "tlog"
	otherObject object = "other"
)

// objectOf returns the kind of the object with that name, or of the names with that
// prefix, for the client whose call it is.
func objectOf(ctx context.Context, name string) object {
	name, ok := strings.CutPrefix(name, prefixOf(ctx))
	switch {
	case !ok:
		return otherObject
	case name == "_log.json":
		return logObject
	case strings.HasPrefix(name, "keys/"):
		return keyObject
	case strings.HasPrefix(name, "tlog/"):
		return tlogObject
	}
	return otherObject
}

// requests makes spans and metrics of requests.
type requests struct {
	tracer   trace.Tracer
	keys     bool
	attrs    []attribute.KeyValue
	spans    [len(methodNames)]spanKind
	duration metric.Float64Histogram
	sets     sets[requestSet]
}

// requestSet identifies one set of attributes of requests.
type requestSet struct {
	method  method
	object  object
	outcome outcome
}

// spanKind is the name of spans, and the options with which they start.
type spanKind struct {
	name string
	opts []trace.SpanStartOption
}

func newRequests(c config) *requests {
	r := &requests{tracer: c.tracer(), keys: c.keys, attrs: c.attrs}
	for m, name := range methodNames {
		r.spans[m] = spanKind{"immukv.store." + name, []trace.SpanStartOption{
			trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(append(c.attrs[:len(c.attrs):len(c.attrs)], attribute.String("immukv.store.method", name))...),
		}}
	}
	r.duration = made(c.meter().Float64Histogram("immukv.store.request.duration",
		metric.WithUnit("s"), metric.WithDescription("Duration of requests to the store."), durationBuckets))
	return r
}

// request is a running request.
type request struct {
	*requests
	ctx    context.Context
	span   trace.Span
	method method
	name   string
	start  time.Time // zero if there is no meter
}

func (r *requests) begin(ctx context.Context, m method, name string) (context.Context, request) {
	var start time.Time
	if r.duration.Enabled(ctx) {
		start = time.Now()
	}
	ctx, span := r.tracer.Start(ctx, r.spans[m].name, r.spans[m].opts...)
	if span.IsRecording() {
		span.SetAttributes(attribute.String("immukv.object", string(objectOf(ctx, name))))
		if r.keys {
			span.SetAttributes(attribute.String("immukv.object.name", name))
		}
	}
	return ctx, request{r, ctx, span, m, name, start}
}

func (r *request) end(err error) {
	if r.start.IsZero() && !r.span.IsRecording() {
		r.span.End()
		return
	}
	word, failed := outcomeOf(err)
	endSpan(r.span, word, failed)
	if r.start.IsZero() {
		return
	}
	set := requestSet{r.method, objectOf(r.ctx, r.name), word}
	r.duration.Record(r.ctx, time.Since(r.start).Seconds(), r.sets.of(set, func() []attribute.KeyValue {
		attrs := append(word.attributes(failed),
			attribute.String("immukv.store.method", methodNames[r.method]), attribute.String("immukv.object", string(set.object)))
		return append(attrs, r.attrs...)
	}).record...)
}
