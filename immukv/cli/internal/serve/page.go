package serve

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

//go:embed templates
var templateFiles embed.FS

var templates = parseTemplates("keys", "key", "log", "trust", "error")

func parseTemplates(names ...string) map[string]*template.Template {
	pages := make(map[string]*template.Template)
	for _, name := range names {
		pages[name] = template.Must(template.New("base.html").Funcs(template.FuncMap{
			"text": visible, "lines": visibleLines, "moment": formatTime, "machine": machineTime, "number": formatAny, "bytes": formatBytes,
		}).ParseFS(templateFiles, "templates/base.html", "templates/parts.html", "templates/"+name+".html"))
	}
	return pages
}

// page is the common part of every page.
type page struct {
	Title  string
	At     string // the entry of the navigation: "keys", "log", "trust" or none
	Store  string
	Prefix string
	// Refresh is the interval in seconds at which a browser without scripts reloads the
	// page; 0 means never.
	Refresh int
	Script  string // the name of the page's script, or empty
	// Stranger: another site may read the page, so it must not mention the store.
	Stranger bool
	Body     any
}

// response is an answer as it is sent: whole, so that none begins and then fails.
type response struct {
	status int
	header http.Header // more headers; may be nil
	kind   string      // the type of the body
	body   []byte
}

const plainText = "text/plain; charset=utf-8"

// show makes a page.
func (s *Server) show(status int, name string, p page) (*response, error) {
	if !p.Stranger {
		p.Store, p.Prefix = s.Name, s.db.Prefix()
	}
	var b bytes.Buffer
	if err := templates[name].Execute(&b, p); err != nil {
		return nil, err
	}
	return &response{status: status, kind: "text/html; charset=utf-8", body: b.Bytes()}, nil
}

// send sends a response. The client may be gone.
func (s *Server) send(w http.ResponseWriter, r *response) {
	maps.Copy(w.Header(), r.header)
	w.Header().Set("Content-Type", r.kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(r.body)))
	w.WriteHeader(r.status)
	if _, err := w.Write(r.body); err != nil {
		s.Logger.Debug("a page was not delivered", "error", err)
	}
}

// problem says for people why there is no page.
type problem struct {
	status int
	title  string
	detail string
}

func (p *problem) Error() string { return p.title }

// problemOf explains an error to the user of a page.
func (s *Server) problemOf(err error) *problem {
	var known *problem
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, tlog.ErrNoCheckpoint):
		return &problem{http.StatusNotFound, "The log is not sealed", "Proofs need a sealed log: see immukv tlog seal. " + err.Error()}
	case errors.Is(err, tlog.ErrNotSealed):
		return &problem{http.StatusNotFound, "The entry is not sealed yet", "The newest checkpoint is older than the entry. The next seal covers it. " + err.Error()}
	case errors.Is(err, immukv.ErrVerificationFailed), errors.Is(err, immukv.ErrMalformedEntry), errors.Is(err, immukv.ErrDiverged),
		errors.Is(err, immukv.ErrLogDeleted), errors.Is(err, backend.ErrDamaged):
		return &problem{http.StatusBadGateway, "What was read cannot be trusted", err.Error() + ". Run an audit on the page Trust for a full report."}
	case errors.Is(err, immukv.ErrInvalidKey), errors.Is(err, immukv.ErrInvalidOption), errors.Is(err, backend.ErrInvalidName):
		return &problem{http.StatusBadRequest, "Not a possible key", err.Error()}
	case errors.Is(err, backend.ErrNotFound):
		return &problem{http.StatusNotFound, "Not found", err.Error()}
	case errors.Is(err, backend.ErrAccessDenied):
		return &problem{http.StatusBadGateway, "The store denies access", err.Error()}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &problem{http.StatusGatewayTimeout, "The store does not answer", "The page could not be read within " + s.ReadTimeout.String() + ". " + err.Error()}
	case errors.Is(err, backend.ErrUnavailable):
		return &problem{http.StatusServiceUnavailable, "The store is not available", err.Error()}
	}
	return &problem{http.StatusBadGateway, "The store failed", err.Error()}
}

// showError answers with the page of an error.
func (s *Server) showError(w http.ResponseWriter, r *http.Request, err error) {
	p := s.problemOf(err)
	if error(p) != err && p.status >= http.StatusInternalServerError {
		s.Logger.WarnContext(r.Context(), "a page failed", "path", r.URL.Path, "error", err)
	}
	stranger := p.status == http.StatusMisdirectedRequest || p.status == http.StatusForbidden
	body := struct {
		Heading, Detail string
		Retry           string
	}{p.title, p.detail, ""}
	if r.Method == http.MethodGet && !stranger {
		body.Retry = r.URL.RequestURI()
	}
	answer, err := s.show(p.status, "error", page{Title: p.title, Stranger: stranger, Body: body})
	if err != nil {
		s.Logger.Error("the error page failed", "error", err)
		http.Error(w, p.title, p.status)
		return
	}
	s.send(w, answer)
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	s.showError(w, r, &problem{http.StatusNotFound, "There is no such page", "The pages are keys, log and trust."})
}

// formatTime formats a time for people, to the millisecond, the precision of timestamps.
func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }

// machineTime formats it for a program, in the attribute datetime.
func machineTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// formatNumber formats a number with its digits in groups of three.
func formatNumber(n int64) string {
	digits := strconv.FormatInt(n, 10)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(digits) - 3; i > first; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits
}

func formatAny(n any) string {
	switch n := n.(type) {
	case int:
		return formatNumber(int64(n))
	case int64:
		return formatNumber(n)
	}
	return fmt.Sprint(n)
}

// formatBytes formats a number of bytes with its unit.
func formatBytes(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return formatNumber(int64(n)) + " bytes"
}
