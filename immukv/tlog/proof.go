package tlog

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// ProveKey returns a proof that the newest entry of a key is in the log, as
// [Prove] does for a sequence.
func ProveKey[V any](ctx context.Context, c *immukv.Client[V], key string) ([]byte, error) {
	db := raw(c)
	e, err := db.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("prove: %w", err)
	}
	return ProveEntry(ctx, db, e)
}

// ProveEntry returns a proof that an entry is in the log, as [Prove] does for a
// sequence. It ignores the Value of e.
func ProveEntry[V any](ctx context.Context, c *immukv.Client[V], e immukv.Entry[V]) ([]byte, error) {
	l, checkpoint, err := unverified(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("prove %q, sequence %d: %w", e.Key, e.Sequence, err)
	}
	return l.prove(ctx, Entry{
		Key: e.Key, Sequence: e.Sequence, Timestamp: e.Timestamp, Hash: e.Hash, PreviousHash: e.PreviousHash, Dialect: e.Dialect, JSON: e.JSON,
	}, checkpoint)
}

// Prove returns a proof that the entry of a sequence is in the log. The proof is a text
// that holds the entry, its inclusion proof and the signed checkpoint. Its format is
// C2SP tlog-proof, with the entry as the extra data. [CheckProof] checks it without the
// store. If the entry is newer than the last checkpoint, the error is [ErrNotSealed].
// If its value is not JSON, which the Python client can write, the error is
// immukv.ErrInvalidValue.
//
// Prove does not check the log's signature, as it does not have the key. CheckProof
// does.
//
// In a log of a million entries, Prove takes eight requests, however old the entry is.
// An entry of the newest bundle, while that is not full, is looked up as
// immukv.Client.EntryAt does.
func Prove[V any](ctx context.Context, c *immukv.Client[V], sequence int64) ([]byte, error) {
	proof, _, err := proveSequence(ctx, raw(c), sequence)
	return proof, err
}

// ProveKeyAt is [Prove] for an entry of a given key. If the entry of that sequence has
// another key, the error is immukv.ErrNotFound.
func ProveKeyAt[V any](ctx context.Context, c *immukv.Client[V], key string, sequence int64) ([]byte, error) {
	proof, e, err := proveSequence(ctx, raw(c), sequence)
	if err == nil && e.Key != key {
		return nil, fmt.Errorf("prove %q: the key has no entry of sequence %d: %w", key, sequence, immukv.ErrNotFound)
	}
	return proof, err
}

func proveSequence(ctx context.Context, db *client, sequence int64) ([]byte, Entry, error) {
	l, checkpoint, err := unverified(ctx, db)
	if err == nil && (sequence < 0 || sequence >= checkpoint.Size) {
		err = fmt.Errorf("%w: the %v does not cover the entry", ErrNotSealed, checkpoint)
	}
	if err != nil {
		return nil, Entry{}, fmt.Errorf("prove sequence %d: %w", sequence, err)
	}
	// In a full bundle, the entry is found by its hint, or else by its key.
	find := l.inKey
	if bundle := bundleOf(sequence, checkpoint.Size); bundle.W == torchwood.TileWidth {
		e, err := l.hinted(ctx, db, sequence)
		if err != nil {
			return nil, Entry{}, fmt.Errorf("prove sequence %d: %w", sequence, err)
		}
		if e != nil {
			if proof, err := l.prove(ctx, *e, checkpoint); !errors.Is(err, ErrNotIncluded) {
				return proof, *e, err
			}
		}
	} else {
		find = func(ctx context.Context, db *client, sequence int64, _ Checkpoint) (Entry, error) {
			return db.EntryAt(ctx, sequence)
		}
	}
	e, err := find(ctx, db, sequence, checkpoint)
	if err != nil {
		return nil, Entry{}, fmt.Errorf("prove sequence %d: %w", sequence, err)
	}
	proof, err := l.prove(ctx, e, checkpoint)
	return proof, e, err
}

// inKey returns the entry of a sequence, which it searches for in the history of the key
// that its leaf names.
func (l *sealedLog) inKey(ctx context.Context, db *client, sequence int64, c Checkpoint) (Entry, error) {
	leaves, err := l.readBundle(ctx, bundleOf(sequence, c.Size), l.hashes(ctx, c.tree()))
	if err != nil {
		return Entry{}, err
	}
	found, err := parseLeaf(leaves[sequence%torchwood.TileWidth])
	if err != nil {
		return Entry{}, err
	}
	e, err := db.Get(ctx, found.Key, immukv.AtSequence(sequence))
	if errors.Is(err, immukv.ErrNotFound) || err == nil && e.Sequence != sequence {
		return Entry{}, fmt.Errorf("%w: key %q has no entry of sequence %d", ErrNotIncluded, found.Key, sequence)
	}
	return e, err
}

// unverified reads the checkpoint without checking its signatures.
func unverified[V any](ctx context.Context, c *immukv.Client[V]) (*sealedLog, Checkpoint, error) {
	l := sealedLogOf(c)
	l.cache = new(tileCache)
	signed, _, err := l.readCheckpoint(ctx)
	if err != nil {
		return nil, Checkpoint{}, err
	}
	checkpoint, err := parseCheckpoint(signed)
	return l, checkpoint, err
}

func (l *sealedLog) prove(ctx context.Context, e Entry, c Checkpoint) ([]byte, error) {
	proof, err := l.includes(ctx, e, c)
	if err != nil {
		return nil, fmt.Errorf("prove %q, sequence %d: %w", e.Key, e.Sequence, err)
	}
	document, err := entryDocument(e)
	if err != nil {
		return nil, fmt.Errorf("prove %q, sequence %d: %w", e.Key, e.Sequence, err)
	}
	return formatProof(document, e.Sequence, proof, c.Signed), nil
}

// includes checks that an entry is in the tree of a checkpoint, and returns its inclusion
// proof.
func (l *sealedLog) includes(ctx context.Context, e Entry, c Checkpoint) (tlog.RecordProof, error) {
	if e.Sequence >= c.Size {
		return nil, fmt.Errorf("%w: the %v does not cover sequence %d", ErrNotSealed, c, e.Sequence)
	}
	data, err := leafOf(e)
	if err != nil {
		return nil, err
	}
	proof, err := tlog.ProveRecord(c.Size, e.Sequence, l.hashes(ctx, c.tree()))
	if err != nil {
		return nil, err
	}
	if err := tlog.CheckRecord(proof, c.Size, c.Root, e.Sequence, tlog.RecordHash(data)); err != nil {
		return nil, fmt.Errorf("%w: the entry of key %q with sequence %d is not the one that the %v has there", ErrNotIncluded, e.Key, e.Sequence, c)
	}
	return proof, nil
}

// document is an entry as a proof contains it: the hashed fields, and the hash.
type document struct {
	Hash         immukv.Hash     `json:"hash"`
	Key          string          `json:"key"`
	PreviousHash immukv.Hash     `json:"previous_hash"`
	Sequence     int64           `json:"sequence"`
	TimestampMS  int64           `json:"timestamp_ms"`
	Value        json.RawMessage `json:"value"`
}

// entryDocument returns the entry in the form that a proof contains. A key object may
// hold the value as a client in the other language formatted it; a proof has it as it was
// hashed.
func entryDocument(e Entry) ([]byte, error) {
	value, err := e.Dialect.Canonical(e.JSON)
	if err != nil {
		return nil, err
	}
	e.JSON = value
	d, err := appendDocument(e)
	if err != nil {
		return nil, err
	}
	_, err = parseDocument(d)
	return d, err
}

func appendDocument(e Entry) ([]byte, error) {
	var err error
	d := []byte(`{"hash":`)
	if d, err = appendString(d, string(e.Hash)); err != nil {
		return nil, err
	}
	if d, err = appendString(append(d, `,"key":`...), e.Key); err != nil {
		return nil, err
	}
	if d, err = appendString(append(d, `,"previous_hash":`...), string(e.PreviousHash)); err != nil {
		return nil, err
	}
	d = strconv.AppendInt(append(d, `,"sequence":`...), e.Sequence, 10)
	d = strconv.AppendInt(append(d, `,"timestamp_ms":`...), e.Timestamp.UnixMilli(), 10)
	return append(append(append(d, `,"value":`...), e.JSON...), '}'), nil
}

// parseDocument parses the entry of a proof and checks its hash. It accepts only one
// spelling.
func parseDocument(text []byte) (Entry, error) {
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		return Entry{}, fmt.Errorf("%w: its entry: %w", ErrBadProof, err)
	}
	e := Entry{
		Key: d.Key, Sequence: d.Sequence, Timestamp: time.UnixMilli(d.TimestampMS).UTC(),
		Hash: d.Hash, PreviousHash: d.PreviousHash, JSON: d.Value, Value: d.Value,
	}
	if again, err := appendDocument(e); err != nil || !bytes.Equal(again, text) {
		return Entry{}, fmt.Errorf("%w: its entry is not in canonical form", ErrBadProof)
	}
	for _, dialect := range []immukv.Dialect{immukv.Python, immukv.TypeScript} {
		canonical, err := dialect.Canonical(d.Value)
		if err != nil || !bytes.Equal(canonical, d.Value) {
			continue
		}
		if hash, err := dialect.Hash(d.Key, d.PreviousHash, d.Sequence, d.TimestampMS, d.Value); err == nil && hash == d.Hash {
			e.Dialect = dialect
			return e, nil
		}
	}
	return Entry{}, fmt.Errorf("%w: the hash matches its entry in neither dialect", ErrBadProof)
}

const proofHeader = "c2sp.org/tlog-proof@v1\n"

func formatProof(document []byte, index int64, proof tlog.RecordProof, signed []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%sextra %s\nindex %d\n", proofHeader, base64.StdEncoding.EncodeToString(document), index)
	for _, h := range proof {
		fmt.Fprintf(&b, "%s\n", h)
	}
	b.WriteByte('\n')
	b.Write(signed)
	return b.Bytes()
}

// MaxProofBytes is the size, in bytes, of the largest proof that [CheckProof] accepts.
// The largest entry fits.
const MaxProofBytes = backend.MaxBodyBytes*4/3 + 1<<20

// CheckProof checks a proof of [Prove] against a policy and returns the entry that it
// proves. It needs no store and no network. If the proof is wrong, the error is
// [ErrBadProof] or [ErrBadCheckpoint].
//
// The proof says that the entry is in the log. It does not say that the entry is the
// newest of its key.
func CheckProof(proof []byte, p Policy) (Entry, Checkpoint, error) {
	e, c, err := checkProof(proof, p)
	if err != nil {
		return Entry{}, Checkpoint{}, fmt.Errorf("check proof: %w", err)
	}
	return e, c, nil
}

func checkProof(text []byte, p Policy) (Entry, Checkpoint, error) {
	head, signed, ok := bytes.Cut(text, []byte("\n\n"))
	lines := strings.Split(string(head)+"\n", "\n")
	if !ok || len(text) > MaxProofBytes || len(lines) < 4 || lines[0]+"\n" != proofHeader {
		return Entry{}, Checkpoint{}, fmt.Errorf("%w: it does not begin with %s", ErrBadProof, strings.TrimSpace(proofHeader))
	}
	document, errExtra := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	index, errIndex := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if errExtra != nil || errIndex != nil {
		return Entry{}, Checkpoint{}, fmt.Errorf("%w: it has no extra data or no index", ErrBadProof)
	}
	var path tlog.RecordProof
	for _, line := range lines[3 : len(lines)-1] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return Entry{}, Checkpoint{}, fmt.Errorf("%w: its inclusion proof has a malformed hash", ErrBadProof)
		}
		path = append(path, h)
	}
	if !bytes.Equal(formatProof(document, index, path, signed), text) {
		return Entry{}, Checkpoint{}, fmt.Errorf("%w: it is not in canonical form", ErrBadProof)
	}
	c, err := p.Open(signed)
	if err != nil {
		return Entry{}, Checkpoint{}, err
	}
	e, err := parseDocument(document)
	if err != nil {
		return Entry{}, Checkpoint{}, err
	}
	data, err := leafOf(e)
	if err != nil {
		return Entry{}, Checkpoint{}, err
	}
	if index != e.Sequence || index < 0 || index >= c.Size {
		return Entry{}, Checkpoint{}, fmt.Errorf("%w: its entry has sequence %d, but its index is %d and its checkpoint covers %d entries", ErrBadProof, e.Sequence, index, c.Size)
	}
	if err := tlog.CheckRecord(path, c.Size, c.Root, index, tlog.RecordHash(data)); err != nil {
		return Entry{}, Checkpoint{}, fmt.Errorf("%w: its entry is not in the signed tree", ErrBadProof)
	}
	return e, c, nil
}
