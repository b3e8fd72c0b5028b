package serve

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// Config configures a server. Its zero value is valid.
type Config struct {
	// Name is the name of the store on the pages. It must not contain credentials.
	Name string
	// Addr is the address to listen on as the user gave it. It decides which Host headers
	// are accepted; see [Server.Serve]. Empty means only loopback.
	Addr string
	// Hosts are further names under which browsers reach the server, such as the name of
	// a proxy in front of it.
	Hosts []string
	// Verifier checks the checkpoints of the log. Without it, the page says that nobody
	// checked the checkpoint's signature.
	Verifier *tlog.Verifier
	// Witnesses are the witnesses whose cosignatures are listed.
	Witnesses *tlog.WitnessPolicy
	// ReadTimeout bounds the time until a page is there or says why not: half of it at most
	// is for the wait until the server has time for the page, the rest for its reads. Zero
	// means [DefaultReadTimeout].
	ReadTimeout time.Duration
	// PollInterval is the interval between two requests for new entries while a live page
	// is open. Zero means immukv.DefaultPollInterval.
	PollInterval time.Duration
	// Logger gets the failures of the server, never values. Nil means none.
	Logger *slog.Logger
	// Client has further options of the client, such as its prefix.
	Client []immukv.Option
}

// DefaultReadTimeout is the default of Config.ReadTimeout.
const DefaultReadTimeout = 15 * time.Second

// Limits for the whole server, for any number of open pages.
const (
	maxPages   = 16       // pages that read the store; others wait for at most half the read timeout
	maxSending = 64 << 20 // bytes of answers being sent; more keep their places among the pages
	maxStreams = 4096     // live pages; more are answered with 503
)

// concurrency is the number of bodies read ahead for a page. Values may be large.
const concurrency = 8

// headInterval is how old the check of the newest entry may be for a list of keys.
const headInterval = 2 * time.Second

type client = immukv.Client[json.RawMessage]

// Server serves the pages of one store.
type Server struct {
	Config
	store  *boundedStore
	db     *client // for pages: each read of a key checks the newest entry
	lists  *client // for lists of keys, which share a check
	whole  *client // for verifications, which read everything, with more at once
	mux    *http.ServeMux
	guard  *guard
	pages  chan struct{} // a slot for each page that reads
	live   *hub
	jobs   *jobs
	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	streams atomic.Int64 // that are open
	sending atomic.Int64 // bytes of answers that clients have not read yet

	acceptedMu sync.Mutex
	accepted   tlog.Checkpoint // the newest accepted one
	since      time.Time       // when it was accepted
}

// Open returns a server for a store. It sends no request to it. The caller closes the
// store, after the server.
func Open(store backend.VersionedStore, config Config) (*Server, error) {
	if config.ReadTimeout <= 0 {
		config.ReadTimeout = DefaultReadTimeout
	}
	if config.PollInterval <= 0 {
		config.PollInterval = immukv.DefaultPollInterval
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{Config: config, store: newBoundedStore(store, config.ReadTimeout), pages: make(chan struct{}, maxPages)}
	var err error
	if s.guard, err = newGuard(config.Addr, config.Hosts); err != nil {
		return nil, err
	}
	if s.db, err = s.open(immukv.WithConcurrency(concurrency), immukv.WithRepairCheckInterval(0)); err != nil {
		return nil, err
	}
	if s.lists, err = s.open(immukv.WithConcurrency(concurrency), immukv.WithRepairCheckInterval(headInterval)); err != nil {
		return nil, err
	}
	if s.whole, err = s.open(); err != nil {
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.live = newHub(s)
	s.jobs = newJobs(s)
	s.routes()
	return s, nil
}

// open opens a client, which never writes.
func (s *Server) open(opts ...immukv.Option) (*client, error) {
	opts = append(append(opts, immukv.WithLogger(s.Logger)), s.Client...)
	opts = append(opts, immukv.WithReadOnly(), immukv.WithValueCodec[json.RawMessage](anyText{}))
	return immukv.Open[json.RawMessage](context.Background(), s.store, opts...)
}

// anyText returns values as they are stored. They need not be JSON: the Python client
// writes NaN.
type anyText struct{}

func (anyText) Encode(v json.RawMessage) ([]byte, error)    { return v, nil }
func (anyText) Decode(text []byte) (json.RawMessage, error) { return text, nil }

//go:embed static
var staticFiles embed.FS

func (s *Server) routes() {
	s.mux = http.NewServeMux()
	s.mux.Handle("GET /{$}", http.RedirectHandler("/keys", http.StatusSeeOther))
	s.mux.HandleFunc("GET /keys", s.reading(s.keysPage))
	s.mux.HandleFunc("GET /key", s.reading(s.keyPage))
	s.mux.HandleFunc("GET /key/value", s.reading(s.wholeValue))
	s.mux.HandleFunc("GET /key/proof", s.reading(s.proof))
	s.mux.HandleFunc("GET /log", s.reading(s.logPage))
	s.mux.HandleFunc("GET /log/events", s.logEvents)
	s.mux.HandleFunc("GET /trust", s.reading(s.trustPage))
	s.mux.HandleFunc("GET /trust/events", s.trustEvents)
	s.mux.HandleFunc("POST /trust/verify", s.startJob(verifyJob))
	s.mux.HandleFunc("POST /trust/audit", s.startJob(auditJob))
	s.mux.HandleFunc("POST /trust/stop", s.stopJob)
	s.mux.HandleFunc("GET /static/{file}", s.staticFile)
	// Browsers request this for pages without an icon.
	s.mux.Handle("GET /favicon.ico", http.RedirectHandler("/static/icon.svg", http.StatusMovedPermanently))
	s.mux.HandleFunc("/", s.notFound)
}

// fileTypes are the types of the files that pages load, independent of this machine's
// configuration.
var fileTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// staticFile serves a file that pages load.
func (s *Server) staticFile(w http.ResponseWriter, r *http.Request) {
	body, err := staticFiles.ReadFile("static/" + r.PathValue("file"))
	if err != nil {
		s.notFound(w, r)
		return
	}
	w.Header().Set("Content-Type", fileTypes[path.Ext(r.URL.Path)])
	_, _ = w.Write(body) // the client may be gone
}

// ServeHTTP answers a request, unless the guard rejects it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if problem := s.guard.check(w, r); problem != nil {
		s.showError(w, r, problem)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// Serve answers requests until ctx ends, and closes the listener. When it returns, all
// streams and verifications have ended. A request that the store has not answered may
// still be running.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	defer s.Close()
	server := NewHTTPServer(s, s.Logger)
	server.WriteTimeout += s.ReadTimeout          // streams set their own
	return Until(ctx, listener, server, s.cancel) // a stream is never idle
}

// Close ends the streams and verifications, and waits for them.
func (s *Server) Close() {
	s.cancel()
	s.live.close()
	s.jobs.close()
	if err := errors.Join(s.db.Close(), s.lists.Close(), s.whole.Close()); err != nil {
		s.Logger.Warn("the client was not closed", "error", err)
	}
}

// reading limits a handler that reads the store: in time, and in how many run at once. A
// handler returns its answer instead of writing it: a client that reads slowly must not
// take the place of a page that reads the store.
func (s *Server) reading(h func(*http.Request) (*response, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), s.ReadTimeout)
		defer cancel()
		defer context.AfterFunc(s.ctx, cancel)()
		place, cancelPlace := context.WithTimeout(ctx, s.ReadTimeout/2) // the rest is for the reads
		defer cancelPlace()
		select {
		case s.pages <- struct{}{}:
		case <-place.Done():
			s.showError(w, r, &problem{http.StatusServiceUnavailable, "Too many pages are being read at once", fmt.Sprintf("The server reads %d pages at a time. Try again in a moment.", maxPages)})
			return
		}
		release := sync.OnceFunc(func() { <-s.pages })
		defer release()
		answer, err := h(r.WithContext(ctx))
		if err != nil {
			release()
			s.showError(w, r, err)
			return
		}
		size := int64(len(answer.body))
		if s.sending.Add(size) <= maxSending {
			release()
		}
		defer s.sending.Add(-size)
		s.send(w, answer)
	}
}
