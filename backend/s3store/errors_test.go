package s3store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
)

// behindProxy opens a fresh bucket of a server through a proxy.
func behindProxy(t *testing.T, sw *s3test.Software) (*s3test.Proxy, func(...func(*s3.Options)) backend.VersionedStore) {
	server := servers.Get(t, sw)
	bucket := server.NewBucket(t)
	proxy := s3test.NewProxy(t, server.Endpoint())
	return proxy, func(opts ...func(*s3.Options)) backend.VersionedStore {
		return open(t, server, bucket, append(opts, s3test.At(proxy.URL))...)
	}
}

func always(f s3test.Fault) s3test.Plan { return func(*http.Request) s3test.Fault { return f } }

// What is answered to a write, or not, decides what is reported of it; and each
// is one request on the wire.
func TestPutOutcomes(t *testing.T) {
	const html = "<html><body><h1>it was the gateway</h1></body></html>"
	absent, match := backend.IfAbsent(), backend.IfMatch(`"tag"`)
	for _, c := range []struct {
		name  string
		fault s3test.Fault
		cond  backend.Condition
		want  error
	}{
		{"412", s3test.Answer(412, "PreconditionFailed", 0), match, backend.ErrPreconditionFailed},
		{"412 of a create", s3test.Answer(412, "PreconditionFailed", 0), absent, backend.ErrPreconditionFailed},
		{"409 under concurrency", s3test.Answer(409, "ConditionalRequestConflict", 0), match, backend.ErrPreconditionFailed},
		{"404 of the key", s3test.Answer(404, "NoSuchKey", 0), match, backend.ErrPreconditionFailed},
		{"404 of the bucket", s3test.Answer(404, "NoSuchBucket", 0), match, backend.ErrAccessDenied},
		{"403", s3test.Answer(403, "AccessDenied", 0), match, backend.ErrAccessDenied},
		{"403 of a gateway", s3test.AnswerPlainly(403, "text/html", html), match, backend.ErrAccessDenied},
		{"expired token", s3test.Answer(400, "ExpiredToken", 0), match, backend.ErrAccessDenied},
		{"KMS key disabled", s3test.Answer(400, "KMS.DisabledException", 0), match, backend.ErrAccessDenied},
		{"clock skewed", s3test.Answer(403, "RequestTimeTooSkewed", 0), match, backend.ErrUnavailable},
		{"slow down", s3test.Answer(503, "SlowDown", 7), match, backend.ErrUnavailable},
		{"service unavailable", s3test.Answer(503, "ServiceUnavailable", 0), match, backend.ErrUnavailable},
		{"body came too slowly", s3test.Answer(400, "RequestTimeout", 0), match, backend.ErrUnavailable},
		{"redirect", s3test.Answer(307, "TemporaryRedirect", 0), match, backend.ErrUnavailable},
		{"conditions not implemented", s3test.Answer(501, "NotImplemented", 0), match, backend.ErrUnsupported},
		{"name", s3test.Answer(400, "KeyTooLongError", 0), match, backend.ErrInvalidName},
		{"size", s3test.Answer(400, "EntityTooLarge", 0), match, backend.ErrTooLarge},
		{"500", s3test.Answer(500, "InternalError", 0), match, backend.ErrOutcomeUnknown},
		{"500 and applied", s3test.AnswerAfterwards(500, "InternalError"), absent, backend.ErrOutcomeUnknown},
		{"503 for want of a quorum", s3test.Answer(503, "SlowDownWrite", 0), match, backend.ErrOutcomeUnknown},
		{"503 of a gateway", s3test.AnswerPlainly(503, "text/html", html), match, backend.ErrOutcomeUnknown},
		{"503 without a body", s3test.AnswerPlainly(503, "text/plain", ""), match, backend.ErrOutcomeUnknown},
		{"501 without a body", s3test.AnswerPlainly(501, "text/plain", ""), match, backend.ErrOutcomeUnknown},
		{"408 of a gateway", s3test.AnswerPlainly(408, "text/plain", ""), match, backend.ErrOutcomeUnknown},
		{"504 of a gateway", s3test.AnswerPlainly(504, "text/html", html), match, backend.ErrOutcomeUnknown},
		{"connection cut", s3test.Cut, match, backend.ErrOutcomeUnknown},
		{"answer lost", s3test.LoseAnswer, absent, backend.ErrOutcomeUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			proxy, open := behindProxy(t, s3test.MinIO)
			s := open()
			// A connection that was used before is one that net/http may repeat
			// a request for.
			if _, err := s.Head(t.Context(), "a"); !errors.Is(err, backend.ErrNotFound) {
				t.Fatal(err)
			}
			proxy.Requests()
			proxy.Follow(always(c.fault))
			_, err := s.Put(t.Context(), "a", []byte("1"), c.cond)
			if got := kinds(err); len(got) != 1 || got[0] != c.want {
				t.Errorf("%v is of the kinds %v, want %v", err, got, c.want)
			}
			if seen := proxy.Requests(); len(seen) != 1 {
				t.Errorf("%d requests, want one", len(seen))
			}
			wait := time.Duration(0)
			if c.name == "slow down" {
				wait = 7 * time.Second
			}
			if got := backend.RetryAfter(err); got != wait {
				t.Errorf("asked to wait %v, want %v", got, wait)
			}
		})
	}
}

// kinds are the promises that an error makes.
func kinds(err error) []error {
	var found []error
	for _, kind := range []error{backend.ErrNotFound, backend.ErrPreconditionFailed, backend.ErrOutcomeUnknown, backend.ErrAccessDenied,
		backend.ErrUnavailable, backend.ErrInvalidName, backend.ErrTooLarge, backend.ErrUnsupported, backend.ErrNoCondition} {
		if errors.Is(err, kind) {
			found = append(found, kind)
		}
	}
	return found
}

// Nothing but the word of an S3 server that there is no such object is absence.
func TestAbsence(t *testing.T) {
	const html = "<html><body>default backend - 404</body></html>"
	for _, c := range []struct {
		name  string
		fault s3test.Fault
		want  []error
	}{
		{"no such key", s3test.Answer(404, "NoSuchKey", 0), []error{backend.ErrNotFound}},
		{"no such bucket", s3test.Answer(404, "NoSuchBucket", 0), nil},
		{"404 of a gateway", s3test.AnswerPlainly(404, "text/html", html), nil},
		{"404 without a body", s3test.AnswerPlainly(404, "text/plain", ""), nil},
		{"403", s3test.Answer(403, "AccessDenied", 0), []error{backend.ErrAccessDenied}},
		{"503", s3test.Answer(503, "SlowDown", 0), []error{backend.ErrUnavailable}},
		{"500", s3test.Answer(500, "InternalError", 0), nil},
		{"connection cut", s3test.Cut, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			proxy, open := behindProxy(t, s3test.MinIO)
			s := open()
			proxy.Follow(always(c.fault))
			for method, call := range map[string]func() error{
				"get":         func() error { _, err := s.Get(t.Context(), "a"); return err },
				"get version": func() error { _, err := s.GetVersion(t.Context(), "a", "v"); return err },
				"head":        func() error { _, err := s.Head(t.Context(), "a"); return err },
			} {
				err := call()
				if got := kinds(err); err == nil || fmt.Sprint(got) != fmt.Sprint(c.want) {
					t.Errorf("%s: %v is of the kinds %v, want %v", method, err, got, c.want)
				}
			}
		})
	}
}

// A write of which nothing can have been sent has no outcome to settle.
func TestUnsent(t *testing.T) {
	proxy, open := behindProxy(t, s3test.MinIO)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	listener.Close()
	nobody := func(o *s3.Options) { o.BaseEndpoint = aws.String("http://" + closed) }

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	noCredentials := errors.New("the vault is locked")

	for _, c := range []struct {
		name   string
		ctx    context.Context
		change func(*s3.Options) // what goes wrong after opening
		cause  error
	}{
		{"connection refused", t.Context(), nobody, nil},
		{"context had ended", ended, func(*s3.Options) {}, context.Canceled},
		{"no credentials", t.Context(), func(o *s3.Options) {
			o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, noCredentials })
		}, noCredentials},
	} {
		t.Run(c.name, func(t *testing.T) {
			broken := &switchable{}
			s := open(broken.option)
			proxy.Requests()
			broken.change = c.change
			_, err := s.Put(c.ctx, "a", []byte("1"), backend.IfAbsent())
			if got := kinds(err); len(got) != 1 || got[0] != backend.ErrUnavailable {
				t.Errorf("%v is of the kinds %v, want %v", err, got, backend.ErrUnavailable)
			}
			if c.cause != nil && !errors.Is(err, c.cause) {
				t.Errorf("%v does not keep its cause, %v", err, c.cause)
			}
			if seen := proxy.Requests(); len(seen) != 0 {
				t.Errorf("%d requests", len(seen))
			}
		})
	}
}

// A write whose context ends under way may have applied.
func TestCancelledUnderWay(t *testing.T) {
	proxy, open := behindProxy(t, s3test.MinIO)
	s := open()
	ctx, cancel := context.WithCancel(t.Context())
	proxy.Follow(func(r *http.Request) s3test.Fault {
		cancel() // the request is under way now
		return s3test.Stall
	})
	_, err := s.Put(ctx, "a", []byte("1"), backend.IfAbsent())
	if !errors.Is(err, backend.ErrOutcomeUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that the outcome is unknown, and the context's", err)
	}
}

// The SDK's own error can be had from the store's.
func TestErrorsKeepTheirCause(t *testing.T) {
	_, open := behindProxy(t, s3test.MinIO)
	_, err := open().Get(t.Context(), "never-written")
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "NoSuchKey" {
		t.Errorf("error %v", err)
	}
	var own *backend.Error
	if !errors.As(err, &own) || own.Op != "get" || own.Name != "never-written" {
		t.Errorf("error %#v", own)
	}
}
