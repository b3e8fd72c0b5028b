package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/immukv/immukv-go/immukv"
)

// maxLineBytes is the longest line that is read: room for the longest text of a
// value, and for a key with all its characters escaped.
const maxLineBytes = maxValueText + 64<<10

// line is one line of input to load.
type line struct {
	number int64 // from 1
	end    int64 // offset behind it
	key    string
	value  value
}

// lineError says which line of the input was not set, and why.
type lineError struct {
	number int64
	err    error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.number, e.err) }
func (e *lineError) Unwrap() error { return e.err }

// lineReader reads lines, one at a time and none longer than maxLineBytes.
type lineReader struct {
	in     *bufio.Reader
	number int64
	offset int64
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(r, 64<<10)}
}

// next is the next line that is not blank, or io.EOF, or what is wrong with the
// line that r.number then is.
func (r *lineReader) next() (line, error) {
	for {
		text, err := r.text()
		if err != nil {
			return line{}, err
		}
		if text = bytes.Trim(text, " \t\r\n"); len(text) == 0 {
			continue
		}
		key, value, err := parseLine(text)
		if err != nil {
			return line{}, &inputError{err}
		}
		return line{number: r.number, end: r.offset, key: key, value: value}, nil
	}
}

// text is the text of the next line.
func (r *lineReader) text() ([]byte, error) {
	r.number++
	var text []byte
	for {
		part, err := r.in.ReadSlice('\n')
		r.offset += int64(len(part))
		if len(text)+len(part) > maxLineBytes {
			return nil, &inputError{fmt.Errorf("it is longer than %d bytes: %w", maxLineBytes, immukv.ErrValueTooLarge)}
		}
		text = append(text, part...)
		switch {
		case err == nil, err == io.EOF && len(text) > 0:
			return text, nil
		case err == io.EOF:
			return nil, io.EOF
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// parseLine reads {"key":…,"value":…}, and nothing else: each field once, no
// other. The value is kept as it stands, and checked when it is set.
func parseLine(text []byte) (key string, value value, err error) {
	if !utf8.Valid(text) {
		return "", nil, errors.New("it is not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if token, err := dec.Token(); err != nil {
		return "", nil, badJSON(dec, err)
	} else if token != json.Delim('{') {
		return "", nil, errors.New("it is not a JSON object")
	}
	fields := make(map[string]json.RawMessage, 2)
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return "", nil, badJSON(dec, err)
		}
		name, _ := token.(string) // in an object, what is no name is an error
		if name != "key" && name != "value" {
			return "", nil, fmt.Errorf("it has the unknown field %q: there are key and value", name)
		}
		if fields[name] != nil {
			return "", nil, fmt.Errorf("it has the field %s twice", name)
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return "", nil, badJSON(dec, err)
		}
		fields[name] = raw
	}
	if _, err := dec.Token(); err != nil {
		return "", nil, badJSON(dec, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return "", nil, errors.New("something follows the JSON object")
	}
	for _, name := range []string{"key", "value"} {
		if fields[name] == nil {
			return "", nil, fmt.Errorf("it lacks the field %s", name)
		}
	}
	key, err = parseKey(fields["key"])
	return key, fields["value"], err
}

// parseKey reads a JSON string. Package json would read a lone surrogate, which
// is no character, as another one; that is, as another key.
func parseKey(raw json.RawMessage) (key string, err error) {
	if raw[0] != '"' {
		return "", errors.New("its field key is not a string")
	}
	if _, err := immukv.Python.Canonical(raw); err != nil {
		return "", fmt.Errorf("its field key: %w", err)
	}
	if err := json.Unmarshal(raw, &key); err != nil {
		return "", fmt.Errorf("its field key: %w", err)
	}
	return key, nil
}

func badJSON(dec *json.Decoder, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("its JSON ends early")
	}
	return fmt.Errorf("its JSON is wrong after byte %d: %w", dec.InputOffset(), err)
}
