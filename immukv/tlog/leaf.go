package tlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/immukv/immukv-go/immukv"
)

// appendLeaf appends the leaf of an entry: the canonical JSON object
//
//	{"hash":"sha256:…","key":"…","sequence":0,"timestamp_ms":1}
//
// It holds no version ID, so that copies of a log have the same tree, and nothing
// but what a log version and a key object both hold. The hash commits to the value.
func appendLeaf(dst []byte, key string, hash immukv.Hash, sequence, timestampMS int64) ([]byte, error) {
	var err error
	dst = append(dst, `{"hash":`...)
	if dst, err = appendString(dst, string(hash)); err != nil {
		return nil, fmt.Errorf("hash of sequence %d: %w", sequence, err)
	}
	dst = append(dst, `,"key":`...)
	if dst, err = appendString(dst, key); err != nil {
		return nil, fmt.Errorf("key of sequence %d: %w", sequence, err)
	}
	dst = append(dst, `,"sequence":`...)
	dst = strconv.AppendInt(dst, sequence, 10)
	dst = append(dst, `,"timestamp_ms":`...)
	dst = strconv.AppendInt(dst, timestampMS, 10)
	return append(dst, '}'), nil
}

func leafOf[V any](e immukv.Entry[V]) ([]byte, error) {
	return appendLeaf(nil, e.Key, e.Hash, e.Sequence, e.Timestamp.UnixMilli())
}

// appendString appends s as a canonical JSON string in ASCII.
func appendString(dst []byte, s string) ([]byte, error) {
	plain := true
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			plain = false
			break
		}
	}
	if plain {
		return append(append(append(dst, '"'), s...), '"'), nil
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	canonical, err := immukv.Python.Canonical(text)
	return append(dst, canonical...), err
}

// leaf is a parsed leaf.
type leaf struct {
	Hash        immukv.Hash `json:"hash"`
	Key         string      `json:"key"`
	Sequence    int64       `json:"sequence"`
	TimestampMS int64       `json:"timestamp_ms"`
}

// parseLeaf reads a leaf, which must be exactly as appendLeaf writes it.
func parseLeaf(data []byte) (leaf, error) {
	var l leaf
	if err := json.Unmarshal(data, &l); err != nil {
		return leaf{}, fmt.Errorf("%w: leaf: %w", ErrBadTile, err)
	}
	if again, err := appendLeaf(nil, l.Key, l.Hash, l.Sequence, l.TimestampMS); err != nil || !bytes.Equal(again, data) {
		return leaf{}, fmt.Errorf("%w: a leaf is not in canonical form", ErrBadTile)
	}
	return l, nil
}
