package serve

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

const (
	ringEntries = entriesPerPage   // kept for pages that are behind, and sent to one at a time
	linger      = 10 * time.Second // how long the log is followed without an open page
	retryAfter  = 5 * time.Second  // after this time, an ended follower is replaced
)

// hub follows the log once for all live pages: the store has one reader for any number of
// pages.
type hub struct {
	s *Server

	mu      sync.Mutex
	streams int
	current *follower   // nil: the log is not followed
	idle    *time.Timer // ends a follower without pages
	closed  bool        // no follower begins any more
	running sync.WaitGroup
}

// follower follows the log. It keeps the newest entries in a ring, from which each page
// gets the entries that it does not have. A page that is too slow gets the number of
// missed entries, and delays no other page.
type follower struct {
	s      *Server
	cancel context.CancelFunc

	mu      sync.Mutex
	ring    []liveEntry   // oldest first, without gaps
	err     error         // why the following ended
	ended   time.Time     // since when
	changed chan struct{} // closed at every change
}

// liveEntry is an entry as all pages get it: it is encoded once.
type liveEntry struct {
	sequence int64
	event    json.RawMessage
}

func newLiveEntry(row logRow) liveEntry {
	text, err := json.Marshal(newEvent(row))
	if err != nil {
		panic(err) // an event has only texts and numbers
	}
	return liveEntry{row.Sequence, text}
}

var errClosed = errors.New("the server is closed")

func newHub(s *Server) *hub { return &hub{s: s} }

// join counts a stream and returns the follower for it: a new one if there is none, or if
// the last one ended some time ago.
func (h *hub) join() *follower {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streams++
	if h.idle != nil {
		h.idle.Stop()
		h.idle = nil
	}
	if !h.closed && (h.current == nil || h.current.endedFor(retryAfter)) {
		ctx, cancel := context.WithCancel(h.s.ctx)
		f := &follower{s: h.s, cancel: cancel, changed: make(chan struct{})}
		h.current = f
		h.running.Go(func() {
			defer cancel()
			f.end(f.follow(ctx))
		})
	}
	return h.current
}

func (h *hub) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams--; h.streams > 0 || h.closed {
		return
	}
	h.idle = time.AfterFunc(linger, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.streams == 0 && h.current != nil && !h.closed {
			h.current.cancel()
			h.current = nil
		}
	})
}

// close waits for the followers, whose contexts have ended.
func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	if h.current == nil {
		h.current = &follower{err: errClosed, changed: make(chan struct{})}
	}
	if h.idle != nil {
		h.idle.Stop()
	}
	h.mu.Unlock()
	h.running.Wait()
}

// notify wakes all streams. The caller holds the lock.
func (f *follower) notify() {
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *follower) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.ended = err, time.Now()
	f.notify()
}

func (f *follower) endedFor(d time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err != nil && time.Since(f.ended) >= d
}

// follow follows the log until the context ends, or the log was changed.
func (f *follower) follow(ctx context.Context) error {
	newest, err := f.fill(ctx)
	for transient(err) && wait(ctx, f.s.PollInterval) {
		newest, err = f.fill(ctx)
	}
	if err != nil {
		return err
	}
	opts := []immukv.WatchOption{immukv.WithPollInterval(f.s.PollInterval)}
	if newest != nil {
		opts = append(opts, immukv.After(*newest))
	}
	for e, err := range f.s.db.Watch(ctx, opts...) {
		if err != nil && (e.Hash == "" || !aboutEntry(err)) {
			return err
		}
		f.publish(newLiveEntry(newLogRow(e, err)))
	}
	return errors.New("following the log ended")
}

// transient reports whether reading the log may succeed in a moment.
func transient(err error) bool {
	return errors.Is(err, backend.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}

// fill fills the ring with the newest entries: a page may have been made a moment ago.
func (f *follower) fill(ctx context.Context) (*immukv.Checkpoint, error) {
	var entries []liveEntry
	var newest *immukv.Checkpoint
	for e, err := range f.s.db.Log(ctx, immukv.Limit(ringEntries)) {
		if err != nil && (newest == nil || transient(err)) {
			return nil, err
		}
		if err != nil {
			break // of an older entry, which the pages have already
		}
		if newest == nil {
			newest = new(e.Checkpoint())
		}
		entries = append(entries, newLiveEntry(newLogRow(e, nil)))
	}
	slices.Reverse(entries)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ring = entries
	f.notify()
	return newest, nil
}

func (f *follower) publish(entry liveEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.ring) == ringEntries {
		f.ring = slices.Delete(f.ring, 0, 1)
	}
	f.ring = append(f.ring, entry)
	f.notify()
}

// since returns the entries from a sequence on that the ring has, and the number of missed
// ones before them. The channel is closed when there may be more.
func (f *follower) since(next int64) (entries []liveEntry, missed int64, changed <-chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, _ := slices.BinarySearchFunc(f.ring, next, func(e liveEntry, n int64) int { return cmp.Compare(e.sequence, n) })
	entries = slices.Clone(f.ring[i:])
	if len(entries) > 0 {
		missed = entries[0].sequence - next
	}
	return entries, missed, f.changed, f.err
}

// logEvents streams new entries as server-sent events.
func (s *Server) logEvents(w http.ResponseWriter, r *http.Request) {
	after := r.URL.Query().Get("after")
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		after = last // the browser was disconnected, and connects again
	}
	n, err := strconv.ParseInt(after, 10, 64)
	if err != nil || n < -1 {
		s.showError(w, r, &problem{http.StatusBadRequest, "That is no sequence", fmt.Sprintf("%q is not a whole number, -1 or more.", after)})
		return
	}
	stream := s.openStream(w, r)
	if stream == nil {
		return
	}
	defer stream.close()
	follower := s.live.join()
	defer s.live.leave()
	s.streamLog(stream, follower, n+1)
}

// streamLog sends entries from a sequence on until the stream, the server or the follower
// ends.
func (s *Server) streamLog(stream *stream, f *follower, next int64) {
	ctx := stream.ctx
	second := time.NewTicker(time.Second)
	defer second.Stop()
	said := ""
	for {
		entries, missed, changed, err := f.since(next)
		if missed > 0 {
			stream.send("missed", "", missed)
		}
		for _, e := range entries {
			stream.send("entry", strconv.FormatInt(e.sequence, 10), e.event)
			next = e.sequence + 1
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
			// Entries in quick succession are sent together.
			if !wait(ctx, streamEvery) {
				return
			}
		case <-second.C:
		case <-ctx.Done():
			return
		}
	}
}

// liveState returns the state of the follower, which ended with err, if it did.
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

// status is the state of the stream on the page.
type status struct {
	State string `json:"state"` // "live", "trouble" or "ended"
	Text  string `json:"text"`
}

// event is an entry as the script gets it. Texts are in pieces, from which it makes text.
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
