package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/cli/internal/invisible"
)

// timeLayout formats a timestamp with milliseconds, the precision of entries.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// entryJSON is an entry as --json prints it. Fields that an entry does not have are null.
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

// orNull returns nil, which is null in JSON, for the zero value.
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

// printLine prints an entry on a line, as history and log do.
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

// shown returns a key as it is printed for people: itself, or in quotes with escapes if
// it is empty, begins with a quote, or has invisible characters.
func shown(key string) string {
	if key == "" || strings.HasPrefix(key, `"`) || strings.ContainsFunc(key, invisible.Is) {
		return visible(strconv.Quote(key))
	}
	return key
}

// shownValue returns a value as it is printed for people: on one line, in canonical form.
// A stored value that is not in canonical form may have line breaks, or characters that
// control a terminal.
func shownValue(e immukv.Entry[value]) string {
	text, err := e.Dialect.Canonical(e.JSON)
	if err != nil { // such as lone surrogates, which other clients write
		text = e.JSON
	}
	return visible(string(text))
}

// visible escapes invisible characters, and with them those that would break a line or
// control a terminal. No hash covers some stored fields, such as the version that a key's
// object names, so anybody may have written them.
func visible(text string) string {
	if !strings.ContainsFunc(text, invisible.Is) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if invisible.Is(r) {
			b.WriteString(invisible.Escape(r))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// count returns a number with its noun.
func count[N int | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
