package s3test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Proxy is a proxy between clients and one endpoint of a server, which treats requests as
// networks and servers may. Clients use its URL.
type Proxy struct {
	URL string

	target *url.URL
	link   http.Transport
	late   sync.WaitGroup // deliveries that no client waits for

	mu       sync.Mutex
	plan     Plan
	requests []*http.Request
}

// Plan decides what happens to a request; nil forwards it. It is called for one request
// at a time, in the order in which they arrive, and must not change the body.
type Plan func(*http.Request) Fault

// Fault is what happens to a request instead of being forwarded.
type Fault func(p *Proxy, w http.ResponseWriter, r *http.Request)

// NewProxy starts a proxy that forwards everything. It ends with the test, after its last
// deliveries.
func NewProxy(tb testing.TB, endpoint string) *Proxy {
	target, err := url.Parse(endpoint)
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{target: target}
	p.link.DisableCompression = true // answers are not decompressed
	p.link.MaxIdleConnsPerHost = 128
	server := httptest.NewServer(p)
	p.URL = server.URL
	tb.Cleanup(func() {
		server.CloseClientConnections() // those that stall
		server.Close()
		p.late.Wait()
		p.link.CloseIdleConnections()
	})
	return p
}

// Follow sets the plan for the requests from now on; nil forwards all.
func (p *Proxy) Follow(plan Plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan = plan
}

// Requests returns the requests, without bodies, that have arrived since the last call of
// Requests.
func (p *Proxy) Requests() []*http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.requests
	p.requests = nil
	return seen
}

// ServeHTTP handles a client's request.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := p.arrived(r)
	if fault == nil {
		fault = pass
	}
	fault(p, w, r)
}

func (p *Proxy) arrived(r *http.Request) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := r.Clone(r.Context())
	seen.Body = nil
	p.requests = append(p.requests, seen)
	if p.plan == nil {
		return nil
	}
	return p.plan(r)
}

// IsWrite reports whether a request writes an object.
func IsWrite(r *http.Request) bool { return r.Method == http.MethodPut }

// forward sends the request to the server and returns its whole answer.
func (p *Proxy) forward(r *http.Request, body []byte) (*http.Response, []byte, error) {
	out := r.Clone(context.WithoutCancel(r.Context())) // the request arrives even if the client is gone
	out.URL.Scheme, out.URL.Host = p.target.Scheme, p.target.Host
	out.RequestURI = ""
	out.Body = io.NopCloser(bytes.NewReader(body))
	out.ContentLength = int64(len(body))
	resp, err := p.link.RoundTrip(out) // with the Host that the client signed
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp, answer, err
}

// cutConnection breaks the client's connection without an answer.
func cutConnection() { panic(http.ErrAbortHandler) }

func mustRead(r *http.Request) []byte {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		cutConnection() // the client has gone
	}
	return body
}

func pass(p *Proxy, w http.ResponseWriter, r *http.Request) {
	resp, answer, err := p.forward(r, mustRead(r))
	if err != nil {
		cutConnection()
	}
	reply(w, resp, answer)
}

func reply(w http.ResponseWriter, resp *http.Response, answer []byte) {
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	w.WriteHeader(resp.StatusCode)
	w.Write(answer) // the client may be gone
}

// Delay forwards a request after some time, as if the server were far away.
func Delay(away time.Duration) Fault {
	return func(p *Proxy, w http.ResponseWriter, r *http.Request) {
		time.Sleep(away)
		pass(p, w, r)
	}
}

// Cut closes the connection before the server gets the request.
func Cut(*Proxy, http.ResponseWriter, *http.Request) { cutConnection() }

// LoseAnswer has the server execute the request, and closes the connection instead of
// answering.
func LoseAnswer(p *Proxy, _ http.ResponseWriter, r *http.Request) {
	p.forward(r, mustRead(r)) // the answer is lost, whatever it is
	cutConnection()
}

// Stall does nothing until the client gives up.
func Stall(_ *Proxy, _ http.ResponseWriter, r *http.Request) {
	mustRead(r) // otherwise the server would not notice that the client is gone
	<-r.Context().Done()
	cutConnection()
}

// Late closes the connection, and delivers the request to the server when release is
// closed, which must be before the test ends.
func Late(release <-chan struct{}) Fault {
	return func(p *Proxy, _ http.ResponseWriter, r *http.Request) {
		body := mustRead(r)
		p.late.Go(func() {
			<-release
			p.forward(r, body) // nobody waits for the answer
		})
		cutConnection()
	}
}

// Twice delivers the request to the server twice in succession, and forwards the second
// answer.
func Twice(p *Proxy, w http.ResponseWriter, r *http.Request) {
	body := mustRead(r)
	if _, _, err := p.forward(r, body); err != nil {
		cutConnection()
	}
	resp, answer, err := p.forward(r, body)
	if err != nil {
		cutConnection()
	}
	reply(w, resp, answer)
}

// Answer answers with an error of S3 in place of the server. retryAfter is the requested
// wait in seconds; zero requests none.
func Answer(status int, code string, retryAfter int) Fault {
	return func(_ *Proxy, w http.ResponseWriter, r *http.Request) {
		mustRead(r)
		refuse(w, status, code, retryAfter)
	}
}

// AnswerAfterwards has the server execute the request, and answers with an error
// nevertheless.
func AnswerAfterwards(status int, code string) Fault {
	return func(p *Proxy, w http.ResponseWriter, r *http.Request) {
		p.forward(r, mustRead(r))
		refuse(w, status, code, 0)
	}
}

// AnswerPlainly answers like a gateway that is not an S3 server: with only that status
// and body.
func AnswerPlainly(status int, contentType, body string) Fault {
	return func(_ *Proxy, w http.ResponseWriter, r *http.Request) {
		mustRead(r)
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// Edit forwards the request, and the answer as changed by edit.
func Edit(edit func(header http.Header, body []byte) []byte) Fault {
	return func(p *Proxy, w http.ResponseWriter, r *http.Request) {
		resp, answer, err := p.forward(r, mustRead(r))
		if err != nil {
			cutConnection()
		}
		reply(w, resp, edit(resp.Header, answer))
	}
}

func refuse(w http.ResponseWriter, status int, code string, retryAfter int) {
	if retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>made up by a test</Message></Error>", code)
}
