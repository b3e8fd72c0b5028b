package fleet

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// document is a stored document as the reference parses it: the tokens by name. A value
// names its call, and has a member of its writer that other clients' codecs omit. It
// shares no code with package immukv, which it judges.
type document struct {
	tokens map[string]json.RawMessage

	key       string
	by        string // the call that wrote the value
	sequence  int64
	timestamp int64
	hash      string
	writeID   string
}

func readDocument(body []byte) (document, error) {
	var d document
	var err error
	if d.tokens, err = members(body); err != nil {
		return d, err
	}
	value, err := members(d.tokens["value"])
	if err != nil {
		return d, fmt.Errorf("field value: %w", err)
	}
	if d.sequence, err = strconv.ParseInt(string(d.tokens["sequence"]), 10, 64); err != nil {
		return d, err
	}
	if d.timestamp, err = strconv.ParseInt(string(d.tokens["timestamp_ms"]), 10, 64); err != nil {
		return d, err
	}
	d.key, d.hash, d.writeID, d.by = d.text("key"), d.text("hash"), d.text("write_id"), unquote(value["by"])
	return d, nil
}

// readLog parses a version of the log: its documents, one in each line.
func readLog(body []byte) ([]document, error) {
	var docs []document
	for line := range bytes.SplitSeq(body, []byte("\n")) {
		d, err := readDocument(line)
		if err != nil {
			return nil, err
		}
		docs = append(docs, d)
	}
	return docs, nil
}

// members splits a JSON object into the tokens of its members. It is for the output of
// simulated clients, which has no white space and no escapes in the names of members.
func members(object []byte) (map[string]json.RawMessage, error) {
	if bytes.IndexByte(object, '\n') >= 0 {
		return nil, fmt.Errorf("%s is not a single object", object)
	}
	tokens := make(map[string]json.RawMessage, 12)
	depth, quoted, start, name := 0, false, 0, ""
	for i := 0; i < len(object); i++ {
		switch c := object[i]; {
		case quoted:
			switch c {
			case '\\':
				i++
			case '"':
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			if depth++; depth == 1 {
				start = i + 1
			}
		case c == ':' && depth == 1:
			name, start = string(object[start+1:i-1]), i+1
		case depth == 1 && (c == ',' || c == '}'):
			if _, twice := tokens[name]; twice || name == "" {
				return nil, fmt.Errorf("member %q of %s is repeated or has no name", name, object)
			}
			tokens[name], start, name = json.RawMessage(object[start:i]), i+1, ""
			if c == '}' {
				depth--
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	if depth != 0 || quoted || len(tokens) == 0 {
		return nil, fmt.Errorf("%s is not an object", object)
	}
	return tokens, nil
}

// unquote returns the string of a token, or "" if it is not a string.
func unquote(token json.RawMessage) string {
	if token == nil {
		return ""
	}
	s, err := strconv.Unquote(string(token))
	if err != nil {
		return "?" + string(token)
	}
	return s
}

// text returns a string field, or "" if it is absent.
func (d document) text(name string) string { return unquote(d.tokens[name]) }

// hashInput returns the text that writers of a dialect hash.
func (d document) hashInput(typescript bool) string {
	previous, timestamp := "previous_hash", "timestamp_ms"
	if typescript {
		previous, timestamp = "previousHash", "timestampMs"
	}
	return fmt.Sprintf(`{"key":%s,"%s":%s,"sequence":%s,"%s":%s,"value":%s}`,
		d.tokens["key"], previous, d.tokens["previous_hash"], d.tokens["sequence"],
		timestamp, d.tokens["timestamp_ms"], d.tokens["value"])
}

// hashHolds reports whether the hash matches in one of the dialects.
func (d document) hashHolds() bool {
	return d.hash == hashOf(d.hashInput(false)) || d.hash == hashOf(d.hashInput(true))
}

func hashOf(input string) string {
	sum := sha256.Sum256([]byte(input))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// keyBody returns the body of the key object version that copies a log version.
func (d document) keyBody(logVersion string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"hash":%s,"key":%s,"log_version_id":%s,"previous_hash":%s,"sequence":%s,"timestamp_ms":%s,"value":%s`,
		d.tokens["hash"], d.tokens["key"], strconv.Quote(logVersion), d.tokens["previous_hash"],
		d.tokens["sequence"], d.tokens["timestamp_ms"], d.tokens["value"])
	if id, ok := d.tokens["write_id"]; ok {
		fmt.Fprintf(&b, `,"write_id":%s`, id)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// sameValue reports whether two JSON texts have the same meaning: the dialects write
// numbers differently.
func sameValue(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

const (
	logObject = "_log.json"
	keyDir    = "keys/"
	keySuffix = ".json"
)

func keyObject(key string) string { return keyDir + key + keySuffix }

func keyOfObject(name string) (string, bool) {
	key, ok := strings.CutPrefix(name, keyDir)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(key, keySuffix)
}
