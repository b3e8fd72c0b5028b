package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// oldClient writes as the Python client 0.1.30 does: five requests, of which
// the second is a blind repair, no write_id, and different fields in the key
// object. Old and new clients share logs in practice.
type oldClient struct {
	store  backend.VersionedStore
	ledger *ledger
}

// document is a stored document, with the tokens of its fields.
type document map[string]json.RawMessage

func (d document) text(field string) string {
	var s string
	_ = json.Unmarshal(d[field], &s) // a field that is not there is empty
	return s
}

func quoted(s string) json.RawMessage {
	text, _ := json.Marshal(s) // of valid UTF-8 it does not fail
	return text
}

// set retries until it wins. The original gives up after ten attempts, but this
// test is about what the client writes.
func (o *oldClient) set(ctx context.Context, key, value string) error {
	for range 400 {
		e, err := o.try(ctx, key, value)
		if errors.Is(err, backend.ErrPreconditionFailed) {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Millisecond):
			}
			continue
		}
		if err == nil {
			o.ledger.mu.Lock()
			defer o.ledger.mu.Unlock()
			o.ledger.attempts = append(o.ledger.attempts, &attempt{key: key, value: value, entry: e})
		}
		return err
	}
	return errors.New("an old client lost four hundred races")
}

// try makes the five requests.
func (o *oldClient) try(ctx context.Context, key, value string) (entry, error) {
	fields := document{"key": quoted(key), "value": quoted(value), "previous_hash": quoted(string(immukv.GenesisHash)), "sequence": []byte("0")}
	cond := backend.IfAbsent()
	head, err := o.store.Get(ctx, "_log.json")
	switch {
	case err == nil:
		cond = backend.IfMatch(head.ETag)
		if err := o.follow(ctx, fields, head); err != nil {
			return entry{}, err
		}
	case !errors.Is(err, backend.ErrNotFound):
		return entry{}, err
	}
	keyCond := backend.IfAbsent()
	tag, err := o.store.Head(ctx, "keys/"+key+".json")
	switch {
	case err == nil:
		keyCond = backend.IfMatch(tag.ETag)
		fields["previous_key_object_etag"] = quoted(string(tag.ETag))
	case !errors.Is(err, backend.ErrNotFound):
		return entry{}, err
	}
	e, err := o.hash(fields)
	if err != nil {
		return entry{}, err
	}
	body, err := canonical(fields)
	if err != nil {
		return entry{}, err
	}
	put, err := o.store.Put(ctx, "_log.json", body, cond)
	if err != nil {
		return entry{}, err
	}
	e.VersionID = immukv.LogVersionID(put.ID)
	// If this fails the entry is an orphan, and the write has succeeded.
	_ = o.putKey(ctx, fields, put.ID, keyCond)
	return e, nil
}

// follow fills in the fields that depend on the entry before, and applies that
// entry without reading its key object.
func (o *oldClient) follow(ctx context.Context, fields document, head backend.Object) error {
	var before document
	if err := json.Unmarshal(head.Body, &before); err != nil {
		return fmt.Errorf("an old client reads the log: %w", err)
	}
	sequence, err := strconv.ParseInt(string(before["sequence"]), 10, 64)
	if err != nil {
		return fmt.Errorf("an old client reads the log: %w", err)
	}
	fields["sequence"] = strconv.AppendInt(nil, sequence+1, 10)
	fields["previous_hash"] = before["hash"]
	fields["previous_version_id"] = quoted(string(head.ID))
	cond := backend.IfAbsent()
	if tag := before.text("previous_key_object_etag"); tag != "" {
		cond = backend.IfMatch(backend.ETag(tag))
	}
	err = o.putKey(ctx, before, head.ID, cond)
	if errors.Is(err, backend.ErrPreconditionFailed) {
		return nil // the old client concludes that there was nothing to repair
	}
	return err
}

// hash computes the entry's hash and fills it in.
func (o *oldClient) hash(fields document) (entry, error) {
	now := time.Now().UnixMilli()
	fields["timestamp_ms"] = strconv.AppendInt(nil, now, 10)
	sequence, err := strconv.ParseInt(string(fields["sequence"]), 10, 64)
	if err != nil {
		return entry{}, err
	}
	hash, err := immukv.Python.Hash(fields.text("key"), immukv.Hash(fields.text("previous_hash")), sequence, now, fields["value"])
	if err != nil {
		return entry{}, err
	}
	fields["hash"] = quoted(string(hash))
	return entry{Sequence: sequence, Hash: hash}, nil
}

// putKey writes the key object of an entry, with the fields that the old client
// knows.
func (o *oldClient) putKey(ctx context.Context, fields document, id backend.VersionID, cond backend.Condition) error {
	copied := document{"log_version_id": quoted(string(id))}
	for _, field := range []string{"hash", "key", "previous_hash", "sequence", "timestamp_ms", "value"} {
		copied[field] = fields[field]
	}
	body, err := canonical(copied)
	if err != nil {
		return err
	}
	_, err = o.store.Put(ctx, "keys/"+fields.text("key")+".json", body, cond)
	return err
}

func canonical(fields document) ([]byte, error) {
	text, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	return immukv.Python.Canonical(text)
}
