package serve

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

const (
	streamEvery  = 250 * time.Millisecond // minimum interval between two messages to a page
	heartbeat    = 15 * time.Second       // interval of the check whether the page is gone
	writeTimeout = 10 * time.Second       // time limit for a write to a stream
)

// stream is an answer with server-sent events.
type stream struct {
	ctx  context.Context // ends with the request, and with the server
	end  func()
	w    http.ResponseWriter
	rc   *http.ResponseController
	sent time.Time
	any  bool // something was written and not flushed
	err  error
}

// openStream begins a stream. If too many are open, or the request is HEAD, it answers
// accordingly and returns nil.
func (s *Server) openStream(w http.ResponseWriter, r *http.Request) *stream {
	if s.streams.Add(1) > maxStreams {
		s.streams.Add(-1)
		w.Header().Set("Retry-After", "60")
		s.showError(w, r, &problem{http.StatusServiceUnavailable, "Too many pages are open", "This page is not live. Reload it to see new entries."})
		return nil
	}
	if r.Method == http.MethodHead {
		s.streams.Add(-1)
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		return nil
	}
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(s.ctx, cancel)
	stream := newStream(w)
	stream.ctx = ctx
	stream.end = func() {
		stop()
		cancel()
		s.streams.Add(-1)
	}
	return stream
}

func (s *stream) close() { s.end() }

func newStream(w http.ResponseWriter) *stream {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	s := &stream{w: w, rc: http.NewResponseController(w)}
	s.write("retry: 3000\n\n")
	s.flush()
	return s
}

func (s *stream) write(text string) {
	if s.err != nil {
		return
	}
	// A server without deadlines, as in tests, is allowed.
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, s.err = s.w.Write([]byte(text))
	s.any = true
}

func (s *stream) send(name, id string, data any) {
	text, err := json.Marshal(data) // JSON has no line breaks
	if err != nil {
		s.err = err
		return
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	s.write("event: " + name + "\n" + id + "data: " + string(text) + "\n\n")
}

func (s *stream) flush() {
	if s.any && s.err == nil {
		s.err = s.rc.Flush()
		s.any, s.sent = false, time.Now()
	}
}

// beat sends a comment if nothing was sent for a while. It fails if the client is gone.
func (s *stream) beat() error {
	if time.Since(s.sent) >= heartbeat {
		s.write(": \n\n")
		s.flush()
	}
	return s.err
}
