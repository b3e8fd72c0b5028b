package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

const (
	versionsPerPage = 20
	maxShownBytes   = 16 << 10  // of a value on a page
	maxPrettyBytes  = 512 << 10 // of a value that is indented
)

// versionRow is an entry of a key, and how it differs from the one before.
type versionRow struct {
	entryView
	First      bool // the key's first entry
	Doubtful   bool // this entry, or the one before, cannot be trusted
	Same       bool // the value is the same as before
	Changes    []change
	More       int    // number of omitted changes
	Uncompared string // why there are no changes
}

// entryView is an entry in full.
type entryView struct {
	Key      string
	KeyURL   string
	Sequence int64
	Time     time.Time
	Hash     string
	Version  string
	Dialect  string
	Value    string
	Bytes    int
	Cut      bool   // the end of Value was omitted
	WholeURL string // the value as plain text; empty if the entry cannot be trusted
	ProofURL string // empty unless a checkpoint covers the entry, and it can be trusted
	LogURL   string
	Orphan   bool
	Problem  string // why the entry cannot be trusted, or empty
	Readable bool   // the entry could be read at all
}

type keyBody struct {
	Key     string
	Rows    []versionRow
	sealed  int64  // how many entries of the log have proofs
	Latest  string // the page of the newest versions, unless this is it
	Older   string
	Problem string // why the history ends here
	Moment  string // as the user wrote it
	At      *entryView
	AtNone  string // why there is no entry at that moment
}

// keyPage answers with the history of a key, newest first.
func (s *Server) keyPage(r *http.Request) (*response, error) {
	q := r.URL.Query()
	key := q.Get("key")
	body := keyBody{Key: key, sealed: s.sealedSize(r.Context()), Moment: q.Get("at")}
	opts := []immukv.HistoryOption{immukv.Limit(versionsPerPage + 1)}
	if before := q.Get("before"); before != "" {
		opts = append(opts, immukv.BeforeKeyVersion(immukv.KeyVersionID(before)))
		body.Latest = keyURL(key)
	}
	if body.Moment != "" {
		if err := s.asOf(r.Context(), &body); err != nil {
			return nil, err
		}
	}
	if err := s.history(r.Context(), &body, opts); err != nil {
		return nil, err
	}
	if len(body.Rows) == 0 && body.Latest == "" {
		return nil, &problem{http.StatusNotFound, "There is no such key", fmt.Sprintf("The key %q was never set.", key)}
	}
	return s.show(http.StatusOK, "key", page{Title: "Key " + key, At: "keys", Body: body})
}

// history adds the versions of a page. It reads one more, for the comparison of the last.
func (s *Server) history(ctx context.Context, body *keyBody, opts []immukv.HistoryOption) error {
	var last immukv.Entry[json.RawMessage] // the one added last
	var lastVersion immukv.KeyVersionID
	comparable := false
	for e, err := range s.db.History(ctx, body.Key, opts...) {
		if err != nil && !aboutEntry(err) {
			if len(body.Rows) == 0 {
				return err
			}
			body.Problem = err.Error()
			return nil
		}
		if n := len(body.Rows); n > 0 {
			body.Rows[n-1].compare(ctx, e, last, err == nil && comparable)
			if n == versionsPerPage {
				body.Older = keyURL(body.Key) + "&" + url.Values{"before": {string(lastVersion)}}.Encode()
				return nil
			}
		}
		row := versionRow{entryView: newEntryView(e, err, body.sealed)}
		row.Orphan = row.Readable && e.KeyVersionID == "" // it is only in the log
		body.Rows = append(body.Rows, row)
		last, comparable = e, err == nil
		if e.KeyVersionID != "" {
			lastVersion = e.KeyVersionID
		}
	}
	if n := len(body.Rows); n > 0 {
		body.Rows[n-1].First = body.Rows[n-1].Readable
	}
	return nil
}

// compare adds the differences between the row's entry and the one before it.
func (v *versionRow) compare(ctx context.Context, before, entry immukv.Entry[json.RawMessage], trusted bool) {
	v.Doubtful = !trusted
	if before.Hash == "" || entry.Hash == "" {
		v.Uncompared = "one of the two cannot be read"
		return
	}
	if string(before.JSON) == string(entry.JSON) {
		v.Same = true
		return
	}
	var err error
	v.Changes, v.More, err = diff(ctx, before.JSON, entry.JSON)
	switch {
	case err != nil:
		v.Uncompared = err.Error()
	case len(v.Changes) == 0:
		v.Uncompared = "the value is the same, written in other characters"
	}
}

func newEntryView(e immukv.Entry[json.RawMessage], err error, sealed int64) entryView {
	v := entryView{
		Key: e.Key, KeyURL: keyURL(e.Key), Sequence: e.Sequence, Time: e.Timestamp, Hash: string(e.Hash), Version: string(e.VersionID),
		Dialect: e.Dialect.String(), Bytes: len(e.JSON), Readable: e.Hash != "",
	}
	if err != nil {
		v.Problem = problemText(err)
	}
	if !v.Readable {
		return v
	}
	v.LogURL = "/log?sequence=" + strconv.FormatInt(e.Sequence, 10)
	shown := ""
	if len(e.JSON) <= maxPrettyBytes {
		shown = pretty(e.JSON, maxShownBytes)
	} else {
		shown = string(e.JSON[:2*maxShownBytes]) // of which the first half is shown
	}
	v.Value, v.Cut = beginning(shown, maxShownBytes)
	if err != nil {
		return v
	}
	at := strings.TrimPrefix(v.KeyURL, "/key") + "&" + url.Values{"sequence": {strconv.FormatInt(e.Sequence, 10)}}.Encode()
	v.WholeURL = "/key/value" + at
	if e.Sequence < sealed {
		v.ProofURL = "/key/proof" + at
	}
	return v
}

// moments are the forms in which a user may write a time. A time without a zone is UTC.
var moments = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999", "2006-01-02T15:04", "2006-01-02 15:04:05.999", "2006-01-02 15:04", time.DateOnly}

func parseMoment(text string) (time.Time, error) {
	text = strings.TrimSuffix(strings.TrimSpace(text), " UTC")
	for _, layout := range moments {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, &problem{http.StatusBadRequest, "That is no time", fmt.Sprintf("%q is not a time such as 2026-11-24 09:00:00, in UTC.", text)}
}

// asOf adds the entry that the key had at a moment.
func (s *Server) asOf(ctx context.Context, body *keyBody) error {
	t, err := parseMoment(body.Moment)
	if err != nil {
		return err
	}
	e, err := s.db.Get(ctx, body.Key, immukv.AsOf(t))
	switch {
	case errors.Is(err, immukv.ErrNotFound):
		body.AtNone = "The key had no value yet."
	case err != nil && !aboutEntry(err):
		return err
	default:
		view := newEntryView(e, err, body.sealed)
		body.At = &view
	}
	return nil
}

func sequenceOf(text string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 0 {
		return 0, &problem{http.StatusBadRequest, "That is no sequence", fmt.Sprintf("%q is not a whole number, zero or more.", text)}
	}
	return n, nil
}

// wholeValue serves a value as plain text, byte for byte as it is stored.
func (s *Server) wholeValue(r *http.Request) (*response, error) {
	key, sequence, err := entryOf(r)
	if err != nil {
		return nil, err
	}
	e, err := s.db.Get(r.Context(), key, immukv.AtSequence(sequence))
	if err != nil {
		return nil, err
	}
	if e.Sequence != sequence {
		return nil, &problem{http.StatusNotFound, "Not found", fmt.Sprintf("Sequence %d is not an entry of key %q.", sequence, key)}
	}
	return &response{status: http.StatusOK, kind: plainText, body: e.JSON}, nil
}

func entryOf(r *http.Request) (key string, sequence int64, err error) {
	sequence, err = sequenceOf(r.URL.Query().Get("sequence"))
	return r.URL.Query().Get("key"), sequence, err
}

// proof serves the proof that immukv tlog prove prints.
func (s *Server) proof(r *http.Request) (*response, error) {
	key, sequence, err := entryOf(r)
	if err != nil {
		return nil, err
	}
	proof, err := tlog.ProveKeyAt(r.Context(), s.db, key, sequence)
	if err != nil {
		return nil, err
	}
	disposition := mime.FormatMediaType("attachment", map[string]string{"filename": proofName(key, sequence)})
	return &response{status: http.StatusOK, header: http.Header{"Content-Disposition": {disposition}}, kind: plainText, body: proof}, nil
}

// proofName returns a file name that is valid on every system.
func proofName(key string, sequence int64) string {
	name := strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z') {
			return r
		}
		return '_'
	}, key)
	name, _ = cut(name, 80)
	return name + "-" + strconv.FormatInt(sequence, 10) + ".tlog-proof"
}
