package serve

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/immukv/immukv-go/immukv"
)

const (
	ringEntries = 200              // that are kept for pages which are behind
	linger      = 10 * time.Second // for which the log is followed with no page open
	streamMost  = 50               // entries that one page is sent at a time
)

// hub follows the log once, for all live pages: the store has one reader, whatever the
// number of pages. It keeps the newest entries in a ring, from which each page takes what
// it has not had. A page that is too slow is told how many entries it missed, and holds
// nobody up.
type hub struct {
	s *Server

	mu      sync.Mutex
	streams int
	cancel  context.CancelFunc // nil: the log is not followed
	ended   chan struct{}      // closed when the follower has ended
	idle    *time.Timer        // ends a follower without pages
	ring    []logRow           // oldest first, without gaps
	err     error              // why the log is not followed any more
	changed chan struct{}      // closed at every change
}

func newHub(s *Server) *hub { return &hub{s: s, changed: make(chan struct{})} }

// notify wakes all streams. The caller holds the lock.
func (h *hub) notify() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// join counts a stream, and begins to follow the log if nobody did.
func (h *hub) join() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streams++
	if h.idle != nil {
		h.idle.Stop()
		h.idle = nil
	}
	if h.cancel == nil {
		var ctx context.Context
		ctx, h.cancel = context.WithCancel(h.s.ctx)
		h.ended, h.ring, h.err = make(chan struct{}), nil, nil
		go h.run(ctx, h.cancel, h.ended)
	}
}

func (h *hub) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams--; h.streams > 0 || h.cancel == nil {
		return
	}
	cancel := h.cancel
	h.idle = time.AfterFunc(linger, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.streams == 0 {
			cancel()
		}
	})
}

// close waits for the follower, whose context has ended.
func (h *hub) close() {
	h.mu.Lock()
	if h.idle != nil {
		h.idle.Stop()
	}
	ended := h.ended
	h.mu.Unlock()
	if ended != nil {
		<-ended
	}
}

// run follows the log until its context ends, or the log is not what it was.
func (h *hub) run(ctx context.Context, cancel context.CancelFunc, ended chan struct{}) {
	defer close(ended)
	defer cancel()
	err := h.follow(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cancel, h.err = nil, err
	h.notify()
}

func (h *hub) follow(ctx context.Context) error {
	opts := []immukv.WatchOption{immukv.WithPollInterval(h.s.PollInterval)}
	newest, err := h.fill(ctx)
	switch {
	case err != nil:
		return err
	case newest != nil:
		opts = append(opts, immukv.After(*newest))
	}
	for e, err := range h.s.db.Watch(ctx, opts...) {
		if err != nil && !aboutEntry(err) {
			return err
		}
		h.publish(newLogRow(e, err))
	}
	return nil
}

// fill begins the ring with the newest entries: a page may have been made a moment ago.
func (h *hub) fill(ctx context.Context) (*immukv.Checkpoint, error) {
	var rows []logRow
	var newest *immukv.Checkpoint
	for e, err := range h.s.db.Log(ctx, immukv.Limit(entriesPerPage)) {
		if err != nil && (newest == nil || ctx.Err() != nil) {
			return nil, err
		}
		if err != nil {
			break
		}
		if newest == nil {
			c := e.Checkpoint()
			newest = &c
		}
		rows = append(rows, newLogRow(e, nil))
	}
	slices.Reverse(rows)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ring = rows
	h.notify()
	return newest, nil
}

func (h *hub) publish(row logRow) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.ring) == ringEntries {
		h.ring = slices.Delete(h.ring, 0, 1)
	}
	h.ring = append(h.ring, row)
	h.notify()
}

// since returns the rows from a sequence on, as many as are sent at a time, and how many
// entries before them are missed. The channel is closed when there may be more.
func (h *hub) since(next int64) (rows []logRow, missed int64, changed <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, _ := slices.BinarySearchFunc(h.ring, next, func(r logRow, n int64) int { return int(min(max(r.Sequence-n, -1), 1)) })
	rows = h.ring[max(i, len(h.ring)-streamMost):]
	if len(rows) > 0 {
		missed = rows[0].Sequence - next
	}
	return slices.Clone(rows), missed, h.changed, h.err
}

// logEvents streams entries as they come, as server-sent events.
func (s *Server) logEvents(w http.ResponseWriter, r *http.Request) {
	after := r.URL.Query().Get("after")
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		after = last // the browser was cut off, and comes again
	}
	n, err := strconv.ParseInt(after, 10, 64)
	if err != nil || n < -1 {
		s.showError(w, r, &problem{http.StatusBadRequest, "That is no sequence", fmt.Sprintf("%q is not a number from -1 on.", after)})
		return
	}
	stream := s.openStream(w, r)
	if stream == nil {
		return
	}
	defer stream.close()
	s.live.join()
	defer s.live.leave()
	s.streamLog(stream, n+1)
}

// streamLog sends entries from a sequence on until the stream, the server or the
// following ends.
func (s *Server) streamLog(stream *stream, next int64) {
	ctx := stream.ctx
	second := time.NewTicker(time.Second)
	defer second.Stop()
	said := ""
	for {
		rows, missed, changed, err := s.live.since(next)
		if missed > 0 {
			stream.send("missed", "", missed)
		}
		for _, row := range rows {
			stream.send("entry", strconv.FormatInt(row.Sequence, 10), newEvent(row))
			next = row.Sequence + 1
		}
		state := s.liveState(err)
		if state.State+state.Text != said {
			said = state.State + state.Text
			stream.send("status", "", state)
		}
		if stream.flush(); stream.beat() != nil || state.State == "ended" {
			return
		}
		select {
		case <-changed:
			// What comes in quick succession goes out together.
			if !wait(ctx, streamEvery) {
				return
			}
		case <-second.C:
		case <-ctx.Done():
			return
		}
	}
}

// liveState is what is to be said of the following, which ended with err, if it did.
func (s *Server) liveState(err error) status {
	if err != nil {
		return status{"ended", err.Error()}
	}
	if since, trouble := s.store.trouble(); trouble != nil {
		return status{"trouble", fmt.Sprintf("The store has not answered since %s UTC: %v", since.UTC().Format(time.TimeOnly), trouble)}
	}
	return status{"live", ""}
}

// wait returns false if the context ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// status is what the page says of the stream.
type status struct {
	State string `json:"state"` // "live", "trouble" or "ended"
	Text  string `json:"text"`
}

// event is an entry as the script gets it. Texts are in pieces, of which it makes text.
type event struct {
	Sequence int64   `json:"sequence"`
	Number   string  `json:"number"`
	Time     string  `json:"time"`
	Machine  string  `json:"machine"`
	Key      []piece `json:"key"`
	URL      string  `json:"url"`
	Preview  []piece `json:"preview"`
	Cut      int     `json:"cut"`
	Problem  []piece `json:"problem"`
}

func newEvent(r logRow) event {
	return event{
		Sequence: r.Sequence, Number: formatNumber(r.Sequence), Time: formatTime(r.Time), Machine: machineTime(r.Time),
		Key: visible(r.Key), URL: r.URL, Preview: visible(r.Preview), Cut: r.Cut, Problem: visible(r.Problem),
	}
}
