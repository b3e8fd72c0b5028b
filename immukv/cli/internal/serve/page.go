package serve

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
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

// page is what every page has.
type page struct {
	Title  string
	At     string // the entry of the navigation: "keys", "log", "trust" or none
	Store  string
	Prefix string
	// Refresh is after how many seconds a browser without script asks again; 0 is never.
	Refresh int
	Script  string // the name of the page's script, or empty
	// Stranger: another site may read the page, which therefore says nothing of the store.
	Stranger bool
	Body     any
}

// show writes a page. A page that cannot be made is an error as a whole: nothing of it
// has been written.
func (s *Server) show(w http.ResponseWriter, status int, name string, p page) error {
	if !p.Stranger {
		p.Store, p.Prefix = s.Name, s.db.Prefix()
	}
	var b bytes.Buffer
	if err := templates[name].Execute(&b, p); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, err := w.Write(b.Bytes())
	if err != nil {
		s.Logger.Debug("a page was not delivered", "error", err)
	}
	return nil
}

// problem is why there is no page, in words for people.
type problem struct {
	status int
	title  string
	detail string
}

func (p *problem) Error() string { return p.title }

// problemOf says of an error what it means to whoever asked for a page.
func (s *Server) problemOf(err error) *problem {
	var known *problem
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, tlog.ErrNoCheckpoint):
		return &problem{http.StatusNotFound, "The log is not sealed", "Nothing is proved until it is: see immukv tlog seal. " + err.Error()}
	case errors.Is(err, tlog.ErrNotSealed):
		return &problem{http.StatusNotFound, "The entry is not sealed yet", "The newest checkpoint is older than the entry. The next seal covers it. " + err.Error()}
	case errors.Is(err, immukv.ErrVerificationFailed), errors.Is(err, immukv.ErrMalformedEntry), errors.Is(err, immukv.ErrDiverged),
		errors.Is(err, immukv.ErrLogDeleted), errors.Is(err, backend.ErrDamaged):
		return &problem{http.StatusBadGateway, "What was read cannot be trusted", err.Error() + ". An audit, on the page Trust, reports everything that is wrong."}
	case errors.Is(err, immukv.ErrInvalidKey), errors.Is(err, immukv.ErrInvalidOption), errors.Is(err, backend.ErrInvalidName):
		return &problem{http.StatusBadRequest, "There can be no such key", err.Error()}
	case errors.Is(err, backend.ErrNotFound):
		return &problem{http.StatusNotFound, "Not found", err.Error()}
	case errors.Is(err, backend.ErrAccessDenied):
		return &problem{http.StatusBadGateway, "The store denies access", err.Error()}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &problem{http.StatusGatewayTimeout, "The store does not answer", "It did not within " + s.ReadTimeout.String() + ". " + err.Error()}
	case errors.Is(err, backend.ErrUnavailable):
		return &problem{http.StatusServiceUnavailable, "The store is not available", err.Error()}
	}
	return &problem{http.StatusBadGateway, "The store failed", err.Error()}
}

// showError shows what went wrong as a page of its own.
func (s *Server) showError(w http.ResponseWriter, r *http.Request, err error) {
	p := s.problemOf(err)
	if error(p) != err && p.status >= http.StatusInternalServerError {
		s.Logger.WarnContext(r.Context(), "a page could not be shown", "path", r.URL.Path, "error", err)
	}
	stranger := p.status == http.StatusMisdirectedRequest || p.status == http.StatusForbidden
	body := struct {
		Heading, Detail string
		Retry           string
	}{p.title, p.detail, ""}
	if r.Method == http.MethodGet && !stranger {
		body.Retry = r.URL.RequestURI()
	}
	w.Header().Del("Content-Disposition")
	if err := s.show(w, p.status, "error", page{Title: p.title, Stranger: stranger, Body: body}); err != nil {
		s.Logger.Error("the error page could not be made", "error", err)
		http.Error(w, p.title, p.status)
	}
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	s.showError(w, r, &problem{http.StatusNotFound, "There is no such page", "The pages are keys, log and trust."})
}

// formatTime is a time for people, to the millisecond, which is all that a timestamp has.
func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }

// machineTime is the same for a program, in the attribute datetime.
func machineTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// formatNumber sets its digits in groups of three.
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

// formatBytes is a number of bytes with its unit.
func formatBytes(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return formatNumber(int64(n)) + " bytes"
}
