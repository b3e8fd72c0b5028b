package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// legacy is a client with the algorithm of the existing Python and TypeScript clients. A
// write makes five requests, and the second is a blind repair. There is no write_id. Its
// SDK repeats a write whose answer was lost, and returns the answer to the repeated
// write. So it may append one of its own writes twice; it must not harm the writes of
// others. It cannot parse a version of several lines: while one is the newest, it fails
// and writes nothing. An odd one writes values that package immukv rejects.
type legacy struct {
	store      backend.VersionedStore
	typescript bool
	odd        bool
	clock      func() time.Time
	random     *rand.Rand
	checked    bool // the head, before a read
}

const (
	legacyTries    = 10 // of a set that lost a race
	legacySDKTries = 3  // of a request without an answer
)

var (
	errLegacyConflict = errors.New("ten lost races")
	errLegacyJSON     = errors.New("there is text after the JSON object")
)

func (l *legacy) close() {}

func (l *legacy) call(ctx context.Context, j *job) (*result, error) {
	switch j.Verb {
	case "set":
		return &result{}, l.set(ctx, j.Key, j.id)
	case "get":
		return l.get(ctx, j.Key)
	case "log", "verify":
		return &result{}, l.readAll(ctx, logObject, readLegacy)
	case "history":
		return &result{}, l.readAll(ctx, keyObject(j.Key), readDocument)
	case "keys":
		_, err := l.store.ListNames(ctx, backend.NamesRequest{Prefix: keyDir})
		return &result{}, err
	}
	return nil, fmt.Errorf("the simulated legacy client has no %s", j.Verb)
}

func (l *legacy) set(ctx context.Context, key, by string) error {
	for range legacyTries {
		err := l.try(ctx, key, by)
		if !errors.Is(err, backend.ErrPreconditionFailed) {
			return err
		}
		if err := l.pause(ctx); err != nil {
			return err
		}
	}
	return errLegacyConflict
}

// try makes the five requests.
func (l *legacy) try(ctx context.Context, key, by string) error {
	before, head, err := l.check(ctx)
	if err != nil {
		return err
	}
	tag, err := l.store.Head(ctx, keyObject(key))
	if err != nil && !errors.Is(err, backend.ErrNotFound) {
		return err
	}
	fields := l.fields(before, head.ID, tag.ETag, key, by)
	put, err := l.put(ctx, logObject, object(fields), condition(head.ETag))
	if err != nil {
		return err
	}
	// If this fails, the entry is an orphan, but the write has succeeded.
	_, _ = l.put(ctx, keyObject(key), l.keyBody(fields, put.ID), condition(tag.ETag))
	return nil
}

// check reads the head, if there is one, and repairs it.
func (l *legacy) check(ctx context.Context) (before document, head backend.Object, err error) {
	head, err = l.store.Get(ctx, logObject)
	if errors.Is(err, backend.ErrNotFound) {
		return before, backend.Object{}, nil
	}
	if err != nil {
		return before, head, err
	}
	if before, err = readLegacy(head.Body); err != nil {
		return before, head, err
	}
	l.checked = true
	return before, head, l.repair(ctx, before, head.ID)
}

// readLegacy parses a version of the log.
func readLegacy(body []byte) (document, error) {
	if bytes.Contains(body, []byte("\n")) {
		return document{}, errLegacyJSON
	}
	return readDocument(body)
}

// readAll reads all versions of an object.
func (l *legacy) readAll(ctx context.Context, name string, read func([]byte) (document, error)) error {
	page, err := l.store.ListVersions(ctx, name, backend.VersionsRequest{})
	if err != nil {
		return err
	}
	for _, v := range page.Versions {
		o, err := l.store.GetVersion(ctx, name, v.ID)
		if err != nil {
			return err
		}
		if _, err := read(o.Body); err != nil {
			return err
		}
	}
	return nil
}

// fields returns the fields of a new log version.
func (l *legacy) fields(before document, follows backend.VersionID, tag backend.ETag, key, by string) map[string]json.RawMessage {
	numbers := pythonNumbers
	switch {
	case l.typescript:
		numbers = typescriptNumbers
	case l.odd:
		numbers = notFinite
	}
	sequence, previous := int64(0), "sha256:genesis"
	if follows != "" {
		sequence, previous = before.sequence+1, before.hash
	}
	d := document{tokens: map[string]json.RawMessage{
		"key":           quote(key),
		"previous_hash": quote(previous),
		"sequence":      strconv.AppendInt(nil, sequence, 10),
		"timestamp_ms":  strconv.AppendInt(nil, l.clock().UnixMilli(), 10),
		"value":         fmt.Appendf(nil, `{"by":%q,"weight":%s}`, by, numbers),
	}}
	d.tokens["hash"] = quote(hashOf(d.hashInput(l.typescript)))
	if follows != "" {
		d.tokens["previous_version_id"] = quote(string(follows))
	}
	if tag != "" {
		d.tokens["previous_key_object_etag"] = quote(string(tag))
	}
	return d.tokens
}

// repair writes the key object of the newest entry without checking whether it is an
// orphan. A failed precondition counts as proof that it is not.
func (l *legacy) repair(ctx context.Context, head document, id backend.VersionID) error {
	cond := condition(backend.ETag(head.text("previous_key_object_etag")))
	_, err := l.put(ctx, keyObject(head.key), l.keyBody(head.tokens, id), cond)
	if errors.Is(err, backend.ErrPreconditionFailed) {
		return nil
	}
	return err
}

// keyBody decodes and encodes with the client's own JSON, which writes numbers in its own
// form and omits the write_id.
func (l *legacy) keyBody(fields map[string]json.RawMessage, id backend.VersionID) []byte {
	body := map[string]json.RawMessage{"log_version_id": quote(string(id))}
	for _, name := range []string{"hash", "key", "previous_hash", "sequence", "timestamp_ms", "value"} {
		body[name] = fields[name]
	}
	foreign, own := typescriptNumbers, pythonNumbers
	if l.typescript {
		foreign, own = own, foreign
		if l.odd {
			own = lostNumbers
		}
	}
	body["value"] = json.RawMessage(strings.Replace(string(fields["value"]), foreign, own, 1))
	return object(body)
}

// put is a write as the SDK makes it.
func (l *legacy) put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	for try := 1; ; try++ {
		v, err := l.store.Put(ctx, name, body, cond)
		again := errors.Is(err, backend.ErrOutcomeUnknown) || errors.Is(err, backend.ErrUnavailable)
		if !again || try == legacySDKTries || ctx.Err() != nil {
			return v, err
		}
		if err := l.pause(ctx); err != nil {
			return v, err
		}
	}
}

func (l *legacy) pause(ctx context.Context) error {
	timer := time.NewTimer(time.Duration(1+l.random.IntN(100)) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// get reads the key object. The first get checks the head before.
func (l *legacy) get(ctx context.Context, key string) (*result, error) {
	if !l.checked {
		if _, _, err := l.check(ctx); err != nil {
			return nil, err
		}
	}
	o, err := l.store.Get(ctx, keyObject(key))
	if errors.Is(err, backend.ErrNotFound) {
		return nil, immukv.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	d, err := readDocument(o.Body)
	if err != nil {
		return nil, err
	}
	return &result{entries: []immukv.Entry[string]{{
		Key: d.key, Value: d.by, Sequence: d.sequence, Timestamp: time.UnixMilli(d.timestamp),
		VersionID: immukv.LogVersionID(d.text("log_version_id")), KeyVersionID: immukv.KeyVersionID(o.ID),
		Hash: immukv.Hash(d.hash), PreviousHash: immukv.Hash(d.text("previous_hash")), WriteID: d.writeID,
	}}}, nil
}

// condition returns the condition that an object still has the tag, or does not exist if
// there is none.
func condition(tag backend.ETag) backend.Condition {
	if tag == "" {
		return backend.IfAbsent()
	}
	return backend.IfMatch(tag)
}

func quote(s string) json.RawMessage { return strconv.AppendQuote(nil, s) }

// object returns a JSON object with its members sorted.
func object(fields map[string]json.RawMessage) []byte {
	body := []byte("{")
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if len(body) > 1 {
			body = append(body, ',')
		}
		body = append(append(strconv.AppendQuote(body, name), ':'), fields[name]...)
	}
	return append(body, '}')
}
