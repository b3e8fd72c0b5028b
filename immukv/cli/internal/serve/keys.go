package serve

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/immukv/immukv-go/immukv"
)

const (
	keysPerPage  = 50
	previewBytes = 240 // of a value in a list
)

// keyRow is a key with its newest entry.
type keyRow struct {
	Key      string
	URL      string
	Sequence int64
	Time     time.Time
	Preview  string
	Cut      int // number of omitted bytes of the value
	Problem  string
	Known    bool // the entry could be read
	Orphan   bool
}

type keysBody struct {
	Search string
	After  string
	Rows   []keyRow
	First  string // the first page, unless this is it
	Next   string // the next page, if there is one
}

// keysPage lists the keys that begin with a prefix, each with its newest entry.
func (s *Server) keysPage(r *http.Request) (*response, error) {
	q := r.URL.Query()
	body := keysBody{Search: q.Get("prefix"), After: q.Get("after")}
	opts := []immukv.KeysOption{immukv.KeyPrefix(body.Search), immukv.Limit(keysPerPage + 1)}
	if q.Has("after") {
		opts = append(opts, immukv.AfterKey(body.After))
		body.First = "/keys?" + url.Values{"prefix": {body.Search}}.Encode()
	}
	var keys []string
	for key, err := range s.lists.Keys(r.Context(), opts...) {
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) > keysPerPage {
		keys = keys[:keysPerPage]
		body.Next = "/keys?" + url.Values{"prefix": {body.Search}, "after": {keys[len(keys)-1]}}.Encode()
	}
	var err error
	if body.Rows, err = s.keyRows(r.Context(), keys); err != nil {
		return nil, err
	}
	return s.show(http.StatusOK, "keys", page{Title: "Keys", At: "keys", Body: body})
}

// keyRows reads the newest entries of keys, a few at a time, and keeps only the beginning
// of each.
func (s *Server) keyRows(ctx context.Context, keys []string) ([]keyRow, error) {
	rows := make([]keyRow, len(keys))
	reads, ctx := errgroup.WithContext(ctx)
	reads.SetLimit(concurrency)
	for i, key := range keys {
		reads.Go(func() error {
			e, err := s.lists.Get(ctx, key)
			if err != nil && !aboutEntry(err) && !errors.Is(err, immukv.ErrNotFound) {
				return err
			}
			rows[i] = newKeyRow(key, e, err)
			rows[i].Orphan = rows[i].Known && e.KeyVersionID == "" // it is only in the log
			return nil
		})
	}
	return rows, reads.Wait()
}

// aboutEntry reports whether an error is about one entry, and not about the store.
func aboutEntry(err error) bool {
	var entry *immukv.EntryError
	return errors.As(err, &entry)
}

func newKeyRow(key string, e immukv.Entry[json.RawMessage], err error) keyRow {
	key, _ = cut(key, 2*maxTextBytes) // a live page keeps the row
	row := keyRow{Key: key, URL: keyURL(key), Sequence: e.Sequence, Time: e.Timestamp, Known: e.Hash != ""}
	row.Preview, row.Cut = preview(e.JSON)
	if err != nil {
		row.Problem = problemText(err)
	}
	return row
}

// problemText returns what is wrong with an entry, which the text may quote at any length.
func problemText(err error) string {
	text, _ := cut(err.Error(), 2*maxTextBytes)
	return text
}

// preview returns the beginning of a value on one line, and the number of omitted bytes.
func preview(value []byte) (string, int) {
	text := readable(string(value[:min(len(value), 6*previewBytes)])) // an escape takes six bytes
	text, _ = cut(text, previewBytes)
	if len(value) <= previewBytes || len(text) < previewBytes && len(value) <= 6*previewBytes {
		return text, 0
	}
	return text, len(value) - previewBytes
}

// keyURL returns the URL of a key's page. A key may be any text, so it is not a path. The
// URL of a key that is too long for any store leads to no key.
func keyURL(key string) string {
	key, _ = cut(key, maxTextBytes)
	return "/key?" + url.Values{"key": {key}}.Encode()
}
