package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

const entriesPerPage = 50

// logRow is an entry in the list of the log.
type logRow struct {
	keyRow
	Hash    string
	version string
}

type logBody struct {
	Rows     []logRow
	Live     bool  // the page begins with the newest entry, and is live
	Newest   int64 // the highest sequence; -1 if there is none
	Sequence string
	Date     string
	Heading  string
	Older    string // the page of older entries
	Problem  string // why the list ends here
}

// logPage answers with the log, newest first: from the newest entry on, or from a
// sequence, a date or the end of another page.
func (s *Server) logPage(r *http.Request) (*response, error) {
	q := r.URL.Query()
	body := logBody{Newest: -1, Sequence: q.Get("sequence"), Date: q.Get("date"), Heading: "Newest entries"}
	var err error
	switch {
	case q.Get("version") != "":
		var below int64
		if below, err = sequenceOf(q.Get("below")); err == nil {
			body.Heading = "Entries before sequence " + formatNumber(below)
			err = s.olderEntries(r.Context(), &body, immukv.LogVersionID(q.Get("version")), below)
		}
	case body.Sequence != "":
		err = s.entriesFrom(r.Context(), &body)
	case body.Date != "":
		err = s.entriesUntil(r.Context(), &body)
	default:
		body.Live = true
		err = s.addEntries(r.Context(), &body)
	}
	if err != nil {
		return nil, err
	}
	for _, row := range body.Rows {
		if row.Known {
			body.Newest = row.Sequence
			break
		}
	}
	p := page{Title: "Log", At: "log", Body: body}
	if body.Live {
		p.Script = "log"
	}
	return s.show(http.StatusOK, "log", p)
}

// entriesFrom begins with the entry of a sequence.
func (s *Server) entriesFrom(ctx context.Context, body *logBody) error {
	n, err := sequenceOf(body.Sequence)
	if err != nil {
		return err
	}
	body.Heading = "Entries from sequence " + formatNumber(n) + " back"
	e, err := s.db.EntryAt(ctx, n)
	if err != nil && e.VersionID == "" {
		return err
	}
	return s.olderEntries(ctx, body, e.VersionID, n+1)
}

// olderEntries begins within a log version, which may hold several entries: with its
// entries of lower sequences, and the versions before it.
func (s *Server) olderEntries(ctx context.Context, body *logBody, id immukv.LogVersionID, below int64) error {
	entries, err := s.db.LogVersion(ctx, id)
	if err != nil && len(entries) == 0 {
		return err
	}
	for _, e := range slices.Backward(entries) {
		if e.Sequence < below {
			if body.addEntry(e, s.db.Verify(e)); body.Older != "" {
				return nil
			}
		}
	}
	return s.addEntries(ctx, body, immukv.Before(id))
}

// addEntries fills a page.
func (s *Server) addEntries(ctx context.Context, body *logBody, opts ...immukv.LogOption) error {
	opts = append(opts, immukv.Limit(entriesPerPage+1-len(body.Rows)))
	for e, err := range s.db.Log(ctx, opts...) {
		if err != nil && !aboutEntry(err) {
			if len(body.Rows) == 0 {
				return err
			}
			body.Problem = err.Error()
			return nil
		}
		if body.addEntry(e, err); body.Older != "" {
			return nil
		}
	}
	return nil
}

// addEntry adds a row or, if the page is full, the link to the next page.
func (b *logBody) addEntry(e immukv.Entry[json.RawMessage], err error) {
	if len(b.Rows) == entriesPerPage {
		last := b.Rows[len(b.Rows)-1]
		b.Older = "/log?" + url.Values{"version": {last.version}, "below": {strconv.FormatInt(last.Sequence, 10)}}.Encode()
		return
	}
	b.Rows = append(b.Rows, newLogRow(e, err))
}

func newLogRow(e immukv.Entry[json.RawMessage], err error) logRow {
	return logRow{keyRow: newKeyRow(e.Key, e, err), Hash: string(e.Hash), version: string(e.VersionID)}
}

// entriesUntil begins with the newest entry whose time is not after a date.
func (s *Server) entriesUntil(ctx context.Context, body *logBody) error {
	t, err := parseMoment(body.Date)
	if err != nil {
		return err
	}
	if _, err := time.Parse(time.DateOnly, body.Date); err == nil {
		t = t.AddDate(0, 0, 1).Add(-time.Millisecond) // the whole day
	}
	body.Heading = "Entries up to " + formatTime(t) + " UTC"
	e, err := s.newestUntil(ctx, t)
	if errors.Is(err, immukv.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.olderEntries(ctx, body, e.VersionID, e.Sequence+1)
}

// newestUntil returns the newest entry whose time is not after t, if times increase in
// the log: they come from the writers' clocks. It reads the listing of the log down to
// the entry, a thousand versions in each request, and a few versions of each page.
func (s *Server) newestUntil(ctx context.Context, t time.Time) (immukv.Entry[json.RawMessage], error) {
	search := &dateSearch{db: s.db, until: t}
	var req backend.VersionsRequest
	for {
		page, err := s.store.ListVersions(ctx, s.db.Prefix()+wire.LogName, req)
		if err != nil {
			return search.found, err
		}
		found, err := search.in(ctx, slices.DeleteFunc(page.Versions, func(v backend.Version) bool { return v.DeleteMarker }))
		if err == nil && !found && page.Next == "" {
			err = fmt.Errorf("no entry is that old: %w", immukv.ErrNotFound)
		}
		if found || err != nil {
			return search.found, err
		}
		req.Token = page.Next
	}
}

// dateSearch looks for the newest entry whose time is not after a date.
type dateSearch struct {
	db    *client
	until time.Time
	found immukv.Entry[json.RawMessage] // of the last version that has such an entry
}

// in searches versions, newest first. It returns false if all are newer.
func (d *dateSearch) in(ctx context.Context, versions []backend.Version) (bool, error) {
	if len(versions) == 0 {
		return false, nil
	}
	low, high := 0, len(versions)-1
	found, err := d.reached(ctx, versions[high].ID)
	for err == nil && found && low < high { // the entry is in versions[low:high+1]
		middle := (low + high) / 2
		var reached bool
		if reached, err = d.reached(ctx, versions[middle].ID); reached {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return found, err
}

// reached reports whether a log version has an entry that is old enough, and keeps the
// newest of these.
func (d *dateSearch) reached(ctx context.Context, id backend.VersionID) (bool, error) {
	entries, err := d.db.LogVersion(ctx, immukv.LogVersionID(id))
	if err != nil && len(entries) == 0 {
		return false, fmt.Errorf("search the log by date: %w", err)
	}
	for _, e := range slices.Backward(entries) {
		if !e.Timestamp.After(d.until) {
			d.found = e
			return true, nil
		}
	}
	return false, nil
}
