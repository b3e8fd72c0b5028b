package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/immukv/immukv-go/immukv"
)

// timeLayout shows a timestamp to the millisecond, which is all that it has.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// entryJSON is an entry as --json prints it. What an entry does not have is null.
type entryJSON struct {
	Key               string               `json:"key"`
	Value             json.RawMessage      `json:"value"`
	Sequence          int64                `json:"sequence"`
	TimestampMS       int64                `json:"timestamp_ms"`
	VersionID         immukv.LogVersionID  `json:"version_id"`
	PreviousVersionID *immukv.LogVersionID `json:"previous_version_id"`
	Hash              immukv.Hash          `json:"hash"`
	PreviousHash      immukv.Hash          `json:"previous_hash"`
	Dialect           string               `json:"dialect"`
}

func newEntryJSON(e immukv.Entry[value]) entryJSON {
	return entryJSON{
		Key: e.Key, Value: e.JSON, Sequence: e.Sequence, TimestampMS: e.Timestamp.UnixMilli(),
		VersionID: e.VersionID, PreviousVersionID: orNull(e.PreviousVersionID),
		Hash: e.Hash, PreviousHash: e.PreviousHash, Dialect: e.Dialect.String(),
	}
}

// orNull is nil, which JSON shows as null, for the zero value.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// printJSON prints one value on a line.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printLine prints an entry on a line, as history and log show it.
func (a *app) printLine(w io.Writer, e immukv.Entry[value]) error {
	if a.json {
		return printJSON(w, newEntryJSON(e))
	}
	_, err := fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n",
		e.Sequence, e.Timestamp.Format(timeLayout), visible(string(e.VersionID)), shown(e.Key), shownValue(e))
	return err
}

// printEntry prints an entry in full.
func (a *app) printEntry(w io.Writer, e immukv.Entry[value]) error {
	if a.json {
		return printJSON(w, newEntryJSON(e))
	}
	_, err := fmt.Fprintf(w, `key            %s
value          %s
sequence       %d
time           %s
version        %s
hash           %s
previous hash  %s
dialect        %s
`, shown(e.Key), shownValue(e), e.Sequence, e.Timestamp.Format(timeLayout),
		visible(string(e.VersionID)), e.Hash, visible(string(e.PreviousHash)), e.Dialect)
	return err
}

// shown is a key as it stands in text for people: itself, or in quotes with its
// escapes where it is empty, would break a line, steer a terminal or be taken for
// one in quotes.
func shown(key string) string {
	if key == "" || strings.HasPrefix(key, `"`) || strings.ContainsFunc(key, unfit) {
		return strconv.Quote(key)
	}
	return key
}

// shownValue is a value as it stands in text for people: on one line, in the form in
// which every client stores it. Another that somebody gave a right hash to may have
// line breaks, and characters that steer a terminal.
func shownValue(e immukv.Entry[value]) string {
	text, err := e.Dialect.Canonical(e.JSON)
	if err != nil { // lone surrogates, say, which other clients write
		text = e.JSON
	}
	return visible(string(text))
}

// visible is text with escapes for what would break a line or steer a terminal. Much
// that stands in a store is covered by no hash, such as the version that a key's
// object names, and who wrote it is not known.
func visible(text string) string {
	if !strings.ContainsFunc(text, unfit) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unfit(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// unfit tells whether a character would be seen as another, or not at all.
func unfit(r rune) bool { return !unicode.IsGraphic(r) }

// count is a number with its noun.
func count[N int | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
