package wire

import (
	"bytes"
	"fmt"
)

// Limits of a log version with several entries. A single entry may be as large as the
// largest body.
const (
	MaxEntries    = 1000
	MaxBatchBytes = 8 << 20
)

// JoinLog returns the body of the log version that holds these documents, oldest first:
// one line each.
func JoinLog(docs []*Document) []byte {
	if len(docs) == 1 {
		return docs[0].LogBody()
	}
	size := len(docs) - 1
	for _, d := range docs {
		size += bodySize(&d.tokens)
	}
	body := make([]byte, 0, size)
	for i, d := range docs {
		if i > 0 {
			body = append(body, '\n')
		}
		body = appendBody(body, &d.tokens)
	}
	return body
}

// hasLines reports whether a body has several lines. A line feed alone is not enough,
// because a single document may contain white space. But within one document, no brace
// directly follows another in this way.
func hasLines(body []byte) bool {
	return bytes.IndexByte(body, '\n') >= 0 && bytes.Contains(body, []byte("}\n{"))
}

// parseLines reads the lines of a batch. A batch is written as a whole, so if one line is
// wrong, or does not follow the line before, none of them is an entry. The hashes are not
// checked here.
func parseLines(body []byte) ([]*Document, error) {
	n := bytes.Count(body, []byte("\n")) + 1
	switch {
	case n > MaxEntries:
		return nil, fmt.Errorf("%w: the version has %d lines; the limit is %d", ErrMalformedEntry, n, MaxEntries)
	case len(body) > MaxBatchBytes:
		return nil, fmt.Errorf("%w: the version has %d bytes in %d lines; the limit is %d bytes", ErrMalformedEntry, len(body), n, MaxBatchBytes)
	}
	docs := make([]*Document, 0, n)
	keys := make(map[string]bool, n)
	for line := range bytes.SplitSeq(body, []byte("\n")) {
		wrong := func(err error) error {
			return fmt.Errorf("%w: line %d of %d: %w", ErrMalformedEntry, len(docs)+1, n, err)
		}
		d, err := parse(line[:len(line):len(line)], &logDocument)
		if err != nil {
			return nil, wrong(err)
		}
		if len(docs) > 0 {
			if err := d.continues(docs[len(docs)-1]); err != nil {
				return nil, wrong(err)
			}
		}
		if keys[d.Key] {
			return nil, wrong(fmt.Errorf("field %s has the same value as in an earlier line", fieldNames[fieldKey]))
		}
		keys[d.Key] = true
		docs = append(docs, d)
	}
	return docs, nil
}

// continues returns an error unless the document may follow the line before.
func (d *Document) continues(before *Document) error {
	switch {
	case d.PreviousVersionID != "":
		return fmt.Errorf("field %s must be absent", fieldNames[fieldPreviousVersionID])
	case d.Sequence != before.Sequence+1:
		return fmt.Errorf("field %s is %d, after %d in the line before", fieldNames[fieldSequence], d.Sequence, before.Sequence)
	case d.PreviousHash != before.Hash:
		return fmt.Errorf("field %s is not the hash of the line before", fieldNames[fieldPreviousHash])
	}
	return nil
}
