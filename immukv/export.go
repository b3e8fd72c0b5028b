package immukv

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// ExportReport is what [Client.Export] wrote.
type ExportReport struct {
	// Entries is how many entries were written.
	Entries int64
	// Head is the newest exported entry. If no entry was exported, it is the checkpoint
	// after which the export begins.
	Head Checkpoint
}

// ExportOption is an option of [Client.Export].
type ExportOption interface{ setExport(*exportQuery) }

type exportQuery struct{ after *Checkpoint }

// Export writes the log as JSON lines, oldest entry first. Each line is the document of
// one entry as it is stored. The export begins with the first entry, or after the
// checkpoint of [After], and ends with the entry that is the newest when the call begins.
// Each entry is verified before it is written, as [Client.Watch] does. If an entry fails
// verification, the export ends with an error, and all entries before it have been
// written.
//
// [VerifyExport] verifies an export without the store, and [Import] writes it to another
// store. Keep the Head of the report in another place than the export: without it, nobody
// can detect that the end of the export was cut off.
func (c *Client[V]) Export(ctx context.Context, w io.Writer, opts ...ExportOption) (_ ExportReport, err error) {
	ctx, end := c.core.begin(ctx, "export", "")
	defer func() { end(err) }()
	var q exportQuery
	for _, opt := range opts {
		opt.setExport(&q)
	}
	report, err := c.core.export(ctx, w, q)
	if err != nil {
		return report, fmt.Errorf("export: %w", err)
	}
	return report, nil
}

// export is [Client.Export].
func (c *core) export(ctx context.Context, w io.Writer, q exportQuery) (report ExportReport, err error) {
	f := &follower{core: c, watchQuery: watchQuery{after: q.after, interval: DefaultPollInterval}}
	report.Head = newReport().Head()
	if q.after != nil {
		report.Head = *q.after
	}
	if err := f.begin(); err != nil {
		return report, err
	}
	out := bufio.NewWriter(w)
	var writeErr error
	_, err = f.look(ctx, func(v *version, _ error) bool {
		if writeErr = exportLine(out, v); writeErr != nil {
			return false
		}
		report.Entries++
		report.Head = Checkpoint{Sequence: v.Sequence, Hash: v.Hash}
		return true
	})
	if writeErr != nil {
		err = writeErr
	}
	return report, errors.Join(err, out.Flush())
}

// exportLine writes the line of an entry. A document that is not in canonical form might
// contain line breaks.
func exportLine(out *bufio.Writer, v *version) error {
	if !v.IsCanonical() {
		return Finding{
			Kind: NotCanonical, Object: v.object, VersionID: v.id, Sequence: v.Sequence,
			Detail: "its bytes are not those that a client writes for this entry",
		}
	}
	if _, err := out.Write(v.Stored()); err != nil {
		return err
	}
	return out.WriteByte('\n')
}

// exportReader reads the lines of an export.
type exportReader struct {
	in   *bufio.Reader
	line int64        // the number of the line read last
	hint wire.Dialect // that of the entry read last
}

func newExportReader(r io.Reader) *exportReader {
	return &exportReader{in: bufio.NewReaderSize(r, 64<<10)}
}

// next reads one line, or returns io.EOF. An [EntryError] is about that line only, and
// the next line can be read. next does not check the hash of the entry.
func (r *exportReader) next() (*version, error) {
	r.line++
	object := fmt.Sprint("line ", r.line)
	text, err := r.text()
	if errors.Is(err, backend.ErrTooLarge) {
		return nil, malformed(object, "", fmt.Errorf("%w: %w", ErrMalformedEntry, err))
	}
	if err != nil {
		return nil, err
	}
	docs, err := wire.ParseLog(text)
	if err != nil {
		return nil, malformed(object, "", err)
	}
	v := &version{Document: docs[0], object: object}
	if v.matched = v.DialectHint(r.hint); v.matched != 0 {
		r.hint = v.matched
	}
	v.among = logVersion{v}
	return v, nil
}

// text returns the text of the next line.
func (r *exportReader) text() ([]byte, error) {
	var text []byte
	size := 0
	for {
		part, err := r.in.ReadSlice('\n')
		if size += len(part); size <= backend.MaxBodyBytes+1 {
			text = append(text, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && (!errors.Is(err, io.EOF) || size == 0):
			return nil, err
		case size > backend.MaxBodyBytes+1:
			return nil, fmt.Errorf("%w: %d bytes", backend.ErrTooLarge, size)
		}
		return bytes.TrimSuffix(text, []byte("\n")), nil
	}
}
