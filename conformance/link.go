package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/immukv/immukv-go/backend"
)

// faultyLink is the transport between a handle and its server. It injects the
// faults of networks and servers.
type faultyLink struct {
	mu     sync.Mutex
	next   http.RoundTripper
	fault  fault
	spent  bool // the fault is for one request
	armed  bool // during a call that meets the fault
	met    bool // by a request of that call
	writes int  // requests that may write, passed on or not
	all    int
}

// fault is one thing that can happen to a request.
type fault struct {
	name string
	// meet answers a request. It may pass the request on to the server.
	meet func(link http.RoundTripper, req *http.Request) (*http.Response, error)
}

func (f fault) String() string { return f.name }

var errCut = errors.New("connection cut by the conformance suite")

var (
	// cut breaks the connection before the server has seen the request.
	cut = fault{"a connection cut before the request was sent", func(http.RoundTripper, *http.Request) (*http.Response, error) {
		return nil, errCut
	}}
	// loseAnswer breaks it after the server has answered.
	loseAnswer = fault{"a lost answer", func(link http.RoundTripper, req *http.Request) (*http.Response, error) {
		if err := passOn(link, req); err != nil {
			return nil, err
		}
		return nil, errCut
	}}
	// failAfterwards lets the server perform the request, and reports that it
	// failed.
	failAfterwards = fault{"an internal error reported of a write that applied", func(link http.RoundTripper, req *http.Request) (*http.Response, error) {
		if err := passOn(link, req); err != nil {
			return nil, err
		}
		return respond(req, http.StatusInternalServerError, "InternalError"), nil
	}}
	// stall neither sends the request nor answers.
	stall = fault{"a stalled connection", func(_ http.RoundTripper, req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}}
)

// cancelling is a stall that cancels the context of the caller when the request
// arrives.
func cancelling(cancel context.CancelFunc) fault {
	return fault{stall.name, func(link http.RoundTripper, req *http.Request) (*http.Response, error) {
		cancel()
		return stall.meet(link, req)
	}}
}

// answer answers in place of the server, with a body in the form of S3's
// errors.
func answer(status int, code string) fault {
	return fault{fmt.Sprintf("status %d, %s", status, code), func(_ http.RoundTripper, req *http.Request) (*http.Response, error) {
		return respond(req, status, code), nil
	}}
}

// retryAfter is the wait that a link asks for, in seconds.
const retryAfter = 7

func respond(req *http.Request, status int, code string) *http.Response {
	if req.Body != nil {
		io.Copy(io.Discard, req.Body) //nolint:errcheck // like a server that continues to read
		req.Body.Close()              //nolint:errcheck
	}
	body := fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>by the conformance suite</Message></Error>`, code)
	if req.Method == http.MethodHead {
		body = ""
	}
	header := http.Header{"Content-Type": {"application/xml"}}
	if status == http.StatusServiceUnavailable {
		header.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)), Request: req,
	}
}

// passOn lets the server perform the request.
func passOn(link http.RoundTripper, req *http.Request) error {
	resp, err := link.RoundTrip(req)
	if err != nil {
		return err
	}
	io.Copy(io.Discard, resp.Body) //nolint:errcheck // the answer is lost either way
	return resp.Body.Close()
}

// RoundTrip implements [http.RoundTripper].
func (l *faultyLink) RoundTrip(req *http.Request) (*http.Response, error) {
	l.mu.Lock()
	f, next := l.fault, l.next
	if l.spent {
		l.fault, l.spent = fault{}, false
	}
	l.met = l.armed
	l.all++
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		l.writes++
	}
	l.mu.Unlock()
	if f.meet == nil {
		return next.RoundTrip(req)
	}
	return f.meet(next, req)
}

// during makes a call all of whose requests meet the fault, retries included.
func (l *faultyLink) during(f fault, call func() error) error {
	l.arm(f, false)
	defer l.disarm()
	return call()
}

// once makes a call whose first request meets the fault. A retry would reach
// the server.
func (l *faultyLink) once(f fault, call func() error) error {
	l.arm(f, true)
	defer l.disarm()
	return call()
}

func (l *faultyLink) arm(f fault, once bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault, l.spent, l.armed, l.met = f, once, true, false
}

func (l *faultyLink) disarm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault, l.spent, l.armed, l.met = fault{}, false, false, false
}

// raw reports whether a request has met the fault of the current call. Before
// that, answers are the store's own.
func (l *faultyLink) raw() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.met
}

// count returns how many requests, and how many that may write, have been made
// since the last count.
func (l *faultyLink) count() (all, writes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all, writes = l.all, l.writes
	l.all, l.writes = 0, 0
	return all, writes
}

// openThrough opens a handle whose requests pass a link.
func (e *env) openThrough(ctx context.Context) (backend.VersionedStore, *faultyLink, error) {
	link := &faultyLink{}
	s, err := e.openWith(ctx, "open a handle through a link", func(ctx context.Context) (backend.VersionedStore, error) {
		link.count() // of an attempt before, for which the store was unavailable
		s, err := e.store.OpenHTTP(ctx, func(next http.RoundTripper) http.RoundTripper {
			link.next = next
			return link
		})
		if err == nil && link.next == nil {
			err = errors.New("the harness did not wrap the transport")
		}
		return s, err
	}, link.raw)
	return s, link, err
}

// linked is a store with one object, and two handles on it.
type linked struct {
	store   backend.VersionedStore // directly, to see what is there
	through backend.VersionedStore // through the link
	link    *faultyLink
	written backend.Object // the one version of the object
}

// openLinked makes an object, and opens a handle on it whose requests can meet
// faults.
func (e *env) openLinked(ctx context.Context) (*linked, error) {
	s, written, err := e.written(ctx, 1)
	if err != nil {
		return nil, err
	}
	through, link, err := e.openThrough(ctx)
	if err != nil {
		return nil, err
	}
	return &linked{store: s, through: through, link: link, written: written[0]}, nil
}
