package mutants

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/immukv/immukv-go/backend"
)

// habits are the faults that a client of a remote store can have. The zero
// value has none.
type habits struct {
	retriesWrites    bool // sends a write again when it got no answer
	trustsSilence    bool // reports success of a write without an answer
	errorsAreFinal   bool // reports a 5xx as a write without effect
	brokenAreFinal   bool // reports a broken connection as a write without effect
	missingIsAbsent  bool // reports any 404 as an absent object
	faultsAreAbsence bool // reports any failure as an absent object
	forgetsWait      bool // ignores Retry-After
	busyIsUnknown    bool // treats 503 like any other 5xx
	deniedIsUnclear  bool // gives 403 no kind
	hidesContext     bool // replaces the error of a cancellation
	writesOnOpening  bool // tries at opening whether it may write
}

// client is a store over HTTP.
type client struct {
	url    string
	http   *http.Client
	habits habits
}

var _ backend.VersionedStore = (*client)(nil)

func newClient(base string, transport http.RoundTripper, h habits) *client {
	return &client{url: base, http: &http.Client{Transport: transport}, habits: h}
}

// greet is what opening does.
func (c *client) greet(ctx context.Context) error {
	if !c.habits.writesOnOpening {
		return nil
	}
	_, err := c.Put(ctx, "_opened", nil, backend.IfAbsent())
	if errors.Is(err, backend.ErrPreconditionFailed) {
		return nil
	}
	return err
}

func (c *client) Get(ctx context.Context, name string) (backend.Object, error) {
	return c.get(ctx, "get", name, url.Values{"name": {name}})
}

func (c *client) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	return c.get(ctx, "get version", name, url.Values{"name": {name}, "version": {string(id)}})
}

func (c *client) Head(ctx context.Context, name string) (backend.Version, error) {
	o, err := c.get(ctx, "head", name, url.Values{"name": {name}})
	return o.Version, err
}

func (c *client) get(ctx context.Context, op, name string, q url.Values) (backend.Object, error) {
	if err := backend.CheckName(name); err != nil {
		return backend.Object{}, &backend.Error{Op: op, Name: name, Err: err}
	}
	header, body, err := c.do(ctx, op, http.MethodGet, "/object", q, nil, nil)
	if err != nil {
		return backend.Object{}, err
	}
	return backend.Object{Version: version(header), Body: body}, nil
}

func version(header http.Header) backend.Version {
	return backend.Version{ID: backend.VersionID(header.Get(headerVersion)), ETag: backend.ETag(header.Get("ETag"))}
}

func (c *client) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	const op = "put"
	if err := backend.CheckPut(name, body, cond); err != nil {
		return backend.Version{}, &backend.Error{Op: op, Name: name, Err: err}
	}
	header := http.Header{"If-None-Match": {"*"}}
	if !cond.Absent() {
		header = http.Header{"If-Match": {string(cond.ETag())}}
	}
	q := url.Values{"name": {name}}
	answer, _, err := c.do(ctx, op, http.MethodPut, "/object", q, header, body)
	if c.habits.retriesWrites && errors.Is(err, backend.ErrOutcomeUnknown) && ctx.Err() == nil {
		answer, _, err = c.do(ctx, op, http.MethodPut, "/object", q, header, body)
	}
	if c.habits.trustsSilence && errors.Is(err, backend.ErrOutcomeUnknown) && ctx.Err() == nil {
		return backend.Version{ID: "assumed", ETag: `"assumed"`}, nil
	}
	if err != nil {
		return backend.Version{}, err
	}
	return version(answer), nil
}

func (c *client) ListVersions(ctx context.Context, name string, req backend.VersionsRequest) (page backend.VersionsPage, err error) {
	const op = "list versions"
	if err := backend.CheckName(name); err != nil {
		return page, &backend.Error{Op: op, Name: name, Err: err}
	}
	q := url.Values{"name": {name}, "after": {string(req.After)}, "token": {string(req.Token)}, "limit": {strconv.Itoa(req.Limit)}}
	_, body, err := c.do(ctx, op, http.MethodGet, "/versions", q, nil, nil)
	if err != nil {
		return page, err
	}
	return page, json.Unmarshal(body, &page)
}

func (c *client) ListNames(ctx context.Context, req backend.NamesRequest) (page backend.NamesPage, err error) {
	q := url.Values{"prefix": {req.Prefix}, "after": {req.After}, "token": {string(req.Token)}, "limit": {strconv.Itoa(req.Limit)}}
	_, body, err := c.do(ctx, "list names", http.MethodGet, "/names", q, nil, nil)
	if err != nil {
		return page, err
	}
	return page, json.Unmarshal(body, &page)
}

// do makes one request, and maps its outcome to the errors of the contract.
func (c *client) do(ctx context.Context, op, method, path string, q url.Values, header http.Header, body []byte) (http.Header, []byte, error) {
	failed := &backend.Error{Op: op, Name: cmp.Or(q.Get("name"), q.Get("prefix"))}
	if method == http.MethodPut {
		failed.Kind = backend.ErrOutcomeUnknown
	} else if c.habits.faultsAreAbsence {
		failed.Kind = backend.ErrNotFound
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+path+"?"+q.Encode(), bytes.NewReader(body))
	if err != nil {
		failed.Err = err
		return nil, nil, failed
	}
	if header != nil {
		req.Header = header.Clone()
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if c.habits.hidesContext {
			err = errors.New(strings.ToLower(err.Error()))
		}
		if c.habits.brokenAreFinal && method == http.MethodPut {
			failed.Kind = backend.ErrUnavailable
		}
		failed.Err = err
		return nil, nil, failed
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end, or of no use
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		failed.Err = err
		return nil, nil, failed
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Header, content, nil
	}
	failed.Err = fmt.Errorf("status %s", resp.Status)
	c.classify(failed, resp)
	return nil, nil, failed
}

// classify gives an error its kind, according to what the answer proves.
func (c *client) classify(e *backend.Error, resp *http.Response) {
	switch {
	case resp.StatusCode == http.StatusPreconditionFailed:
		e.Kind = backend.ErrPreconditionFailed
	case resp.StatusCode == http.StatusForbidden && !c.habits.deniedIsUnclear && !c.habits.faultsAreAbsence:
		e.Kind = backend.ErrAccessDenied
	case resp.StatusCode == http.StatusNotFound && (resp.Header.Get(headerNoObject) != "" || c.habits.missingIsAbsent):
		e.Kind = backend.ErrNotFound
	case resp.StatusCode == http.StatusServiceUnavailable && !c.habits.busyIsUnknown:
		e.Kind = backend.ErrUnavailable
		if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && !c.habits.forgetsWait {
			e.RetryAfter = time.Duration(seconds) * time.Second
		}
	case resp.StatusCode >= http.StatusInternalServerError && c.habits.errorsAreFinal:
		e.Kind = backend.ErrUnavailable
	}
}

var remoteMutants = []Mutant{
	{
		Name: "write-retried", Clause: "S15",
		Habit:  "retries writes whose answer was lost, as the AWS SDK does unless told not to: the first attempt makes the second fail",
		remote: &habits{retriesWrites: true},
	},
	{
		Name: "write-sent-twice", Clause: "S16",
		Habit:  "makes more than one attempt in a call, as the same SDK",
		remote: &habits{retriesWrites: true},
	},
	{
		Name: "silence-taken-for-success", Clause: "S16",
		Habit:  "reports success for a write that got no answer",
		remote: &habits{trustsSilence: true},
	},
	{
		Name: "errors-final", Clause: "S16",
		Habit:  "reports an internal error of the server as a write without effect",
		remote: &habits{errorsAreFinal: true},
	},
	{
		Name: "broken-final", Clause: "S16",
		Habit:  "reports a broken connection as a write without effect",
		remote: &habits{brokenAreFinal: true},
	},
	{
		Name: "missing-store-as-absent", Clause: "S14",
		Habit:  "reports every 404 as an absent object, even that of a missing bucket",
		remote: &habits{missingIsAbsent: true},
	},
	{
		Name: "faults-as-absence", Clause: "S14",
		Habit:  "ignores errors of reads, as the Python client does when it lists keys",
		remote: &habits{faultsAreAbsence: true},
	},
	{
		Name: "wait-forgotten", Clause: "S17",
		Habit:  "reports that the server is busy, but not the wait that it asked for",
		remote: &habits{forgetsWait: true},
	},
	{
		Name: "busy-unclear", Clause: "S17",
		Habit:  "reports a busy server as an unknown outcome",
		remote: &habits{busyIsUnknown: true},
	},
	{
		Name: "denied-by-status-unclear", Clause: "S17",
		Habit:  "reports 403 as an error of no kind",
		remote: &habits{deniedIsUnclear: true},
	},
	{
		Name: "cancellation-hidden", Clause: "S18",
		Habit:  "replaces the error of a cancellation, so that errors.Is does not find it",
		remote: &habits{hidesContext: true},
	},
	{
		Name: "writes-on-opening", Clause: "S20",
		Habit:  "writes an object at opening, to see whether it may",
		remote: &habits{writesOnOpening: true},
	},
}
