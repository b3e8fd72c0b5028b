package observe_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/backend/observe"
	"github.com/immukv/immukv-go/conformance"
	"github.com/immukv/immukv-go/immukv"
)

// TestConformance runs the suite, the protocol's checks included, on an observed store.
func TestConformance(t *testing.T) {
	t.Parallel()
	conformance.Run(t, conformance.Harness{
		New: func(context.Context) (conformance.Store, error) {
			r := newRecorder(observe.WithKeys())
			mem := observe.Wrap(memstore.New(), r.opts...)
			return conformance.Store{
				Open:  func(context.Context) (backend.VersionedStore, error) { return mem, nil },
				Close: func(context.Context) error { return nil },
			}, nil
		},
		Lacks: map[conformance.Facility]string{
			conformance.Restart:    "memory does not outlive the process",
			conformance.OpenDenied: "nothing is denied in memory",
			conformance.OpenAbsent: "there is always a store in memory",
			conformance.OpenHTTP:   "no HTTP is spoken",
			conformance.Worker:     "no other process reaches this memory",
		},
	})
}

// strict is a strict store, which notes what it is asked.
type strict struct {
	backend.VersionedStore
	strictness error // nil once AnyName was called
}

func (s *strict) CheckNewName(string) error       { return s.strictness }
func (s *strict) AnyName() backend.VersionedStore { return &strict{s.VersionedStore, nil} }

// closing is a store that can be closed.
type closing struct {
	backend.VersionedStore
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

// both is a strict store that can be closed.
type both struct {
	*strict
	*closing
	backend.VersionedStore
}

// A store has the optional methods that the wrapped one has, and no others.
func TestOptionalMethods(t *testing.T) {
	t.Parallel()
	mem := memstore.New()
	badName := errors.New("bad name")
	for _, c := range []struct {
		name             string
		store            backend.VersionedStore
		strict, closable bool
	}{
		{"neither", struct{ backend.VersionedStore }{mem}, false, false},
		{"strict", &strict{mem, badName}, true, false},
		{"closable", &closing{mem, false}, false, true},
		{"both", both{&strict{mem, badName}, &closing{mem, false}, mem}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRecorder()
			wrapped := observe.Wrap(c.store, r.opts...)
			s, isStrict := wrapped.(backend.StrictStore)
			closer, isCloser := wrapped.(io.Closer)
			if isStrict != c.strict || isCloser != c.closable {
				t.Fatalf("strict %v, closable %v", isStrict, isCloser)
			}
			if isStrict {
				if err := s.CheckNewName("x"); err != badName {
					t.Errorf("CheckNewName: %v", err)
				}
				anyName := s.AnyName()
				if err := anyName.(backend.StrictStore).CheckNewName("x"); err != nil {
					t.Errorf("CheckNewName of AnyName: %v", err)
				}
				_, _ = anyName.Head(t.Context(), "_log.json")
				r.wantTree(t, "AnyName", "immukv.store.head object=log outcome=not_found\n")
			}
			if isCloser {
				if err := closer.Close(); err != nil {
					t.Error(err)
				}
				switch s := c.store.(type) {
				case *closing:
					isCloser = s.closed
				case both:
					isCloser = s.closed
				}
				if !isCloser {
					t.Error("the store was not closed")
				}
			}
		})
	}
}

// quoting fails to decode, with an error that quotes the value.
type quoting struct{}

func (quoting) Encode(v string) ([]byte, error) { return []byte(`"` + v + `"`), nil }

func (quoting) Decode(text []byte) (string, error) { return "", fmt.Errorf("cannot read %s", text) }

// No value and no error's text is recorded, and keys only where they are asked for.
func TestSecrets(t *testing.T) {
	t.Parallel()
	const value, key, quoted = "the-value", "the-key", "the-text"
	for _, keys := range []bool{false, true} {
		t.Run(fmt.Sprint("keys ", keys), func(t *testing.T) {
			var opts []observe.Option
			if keys {
				opts = append(opts, observe.WithKeys())
			}
			r := newRecorder(opts...)
			mem := memstore.New()
			failing := &faulty{mem, func(_ string, put func() (backend.Version, error)) (backend.Version, error) {
				return backend.Version{}, fmt.Errorf("%w: %s", backend.ErrAccessDenied, quoted)
			}}
			set(t, open(t, mem), key+"-0", value)
			denied := r.open(t, failing, immukv.WithValueCodec[string](quoting{}))
			_, setErr := denied.Set(t.Context(), key, value)
			_, getErr := denied.Get(t.Context(), key+"-0")
			if setErr == nil || getErr == nil || !strings.Contains(getErr.Error(), value) {
				t.Errorf("errors are %v, %v", setErr, getErr)
			}
			// A lost race, and an orphan: the events.
			db := r.open(t, mem)
			set(t, db, key, value)
			set(t, open(t, once(mem, "keys/"+key+"-1.json", failing.putDenied)), key+"-1", value)
			set(t, db, key, value)

			spans := fmt.Sprintf("%+v", r.spans.GetSpans().Snapshots())
			for _, stub := range r.spans.GetSpans() {
				spans += all(stub)
			}
			if strings.Count(spans, "immukv.conflict") == 0 || strings.Count(spans, "immukv.repair") == 0 {
				t.Error("the events are not there")
			}
			metrics := r.metrics(t)
			for _, secret := range []string{value, quoted} {
				if strings.Contains(spans, secret) || strings.Contains(metrics, secret) {
					t.Errorf("%q is recorded", secret)
				}
			}
			if strings.Contains(spans, key) != keys || strings.Contains(metrics, key) {
				t.Errorf("keys are in spans: %v, in metrics: %v", strings.Contains(spans, key), strings.Contains(metrics, key))
			}
		})
	}
}

func (s *faulty) putDenied(func() (backend.Version, error)) (backend.Version, error) {
	return backend.Version{}, &backend.Error{Op: "put", Kind: backend.ErrAccessDenied}
}

// all is a span as text, with everything that was recorded of it.
func all(s tracetest.SpanStub) string {
	text := fmt.Sprint(s.Name, attributes(s.Attributes), s.Status.Description, "\n")
	for _, e := range s.Events {
		text += fmt.Sprint(e.Name, attributes(e.Attributes), "\n")
	}
	return text
}
