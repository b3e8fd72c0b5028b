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

// maxLineBytes is the longest line that is read: it has room for the longest text of a
// value, and for a key with all characters escaped.
const maxLineBytes = maxValueText + 64<<10

// line is one line of input to load.
type line struct {
	number int64 // from 1
	end    int64 // offset after it
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

// next returns the next line that is not blank, or io.EOF, or an error about line
// r.number.
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

// text returns the text of the next line.
func (r *lineReader) text() ([]byte, error) {
	r.number++
	var text []byte
	for {
		part, err := r.in.ReadSlice('\n')
		r.offset += int64(len(part))
		if len(text)+len(part) > maxLineBytes {
			return nil, &inputError{fmt.Errorf("the line is longer than %d bytes: %w", maxLineBytes, immukv.ErrValueTooLarge)}
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

// parseLine parses {"key":…,"value":…}: each field once, and no other. The value keeps
// its text, and is checked when it is set.
func parseLine(text []byte) (key string, value value, err error) {
	if !utf8.Valid(text) {
		return "", nil, errors.New("the line is not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if token, err := dec.Token(); err != nil {
		return "", nil, badJSON(dec, err)
	} else if token != json.Delim('{') {
		return "", nil, errors.New("the line is not a JSON object")
	}
	fields := make(map[string]json.RawMessage, 2)
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return "", nil, badJSON(dec, err)
		}
		name, _ := token.(string) // in an object, a token that is not a name is an error
		if name != "key" && name != "value" {
			return "", nil, fmt.Errorf("unknown field %q: the fields are key and value", name)
		}
		if fields[name] != nil {
			return "", nil, fmt.Errorf("the field %s occurs twice", name)
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
		return "", nil, errors.New("there is text after the JSON object")
	}
	for _, name := range []string{"key", "value"} {
		if fields[name] == nil {
			return "", nil, fmt.Errorf("the field %s is missing", name)
		}
	}
	key, err = parseKey(fields["key"])
	return key, fields["value"], err
}

// parseKey parses a JSON string. Package json would replace a lone surrogate, which is
// not a character, and so change the key.
func parseKey(raw json.RawMessage) (key string, err error) {
	if raw[0] != '"' {
		return "", errors.New("the field key is not a string")
	}
	if _, err := immukv.Python.Canonical(raw); err != nil {
		return "", fmt.Errorf("the field key: %w", err)
	}
	if err := json.Unmarshal(raw, &key); err != nil {
		return "", fmt.Errorf("the field key: %w", err)
	}
	return key, nil
}

func badJSON(dec *json.Decoder, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("the JSON ends early")
	}
	return fmt.Errorf("invalid JSON after byte %d: %w", dec.InputOffset(), err)
}
