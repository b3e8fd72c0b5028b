package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
	"sync"
	"unicode/utf8"
)

// Hash is the hash of an entry: "sha256:" and the SHA-256, in lower-case
// hexadecimal, of the canonical JSON of its key, value, timestamp and sequence
// and of the hash of the entry before it.
type Hash string

// GenesisHash is the previous hash of the first entry.
const GenesisHash Hash = "sha256:genesis"

const hashPrefix = "sha256:"

// Hash computes the hash of an entry with these fields as a client of the
// dialect does. The value is any JSON text: it is hashed in canonical form. An
// error is [ErrInvalidKey] or [ErrInvalidValue], or [ErrUnknownDialect] if there is no
// such dialect.
func (d Dialect) Hash(key string, previous Hash, sequence, timestampMS int64, value []byte) (Hash, error) {
	if !utf8.ValidString(key) || !utf8.ValidString(string(previous)) {
		return "", fmt.Errorf("%w: the key or the previous hash is not valid UTF-8", ErrInvalidKey)
	}
	canonical, err := d.Canonical(value)
	if err != nil {
		return "", err
	}
	return hashTokens(d, d.tokens(key, previous, sequence, timestampMS, canonical)), nil
}

// hashedTokens are the five fields that are hashed, each as a JSON token.
type hashedTokens struct {
	key, previousHash, sequence, timestampMS, value []byte
}

// tokens returns the five fields in canonical form. The value must be in that form
// already.
func (d Dialect) tokens(key string, previous Hash, sequence, timestampMS int64, value []byte) hashedTokens {
	return hashedTokens{
		key:          d.appendQuoted(nil, key),
		previousHash: d.appendQuoted(nil, string(previous)),
		sequence:     strconv.AppendInt(nil, sequence, 10),
		timestampMS:  strconv.AppendInt(nil, timestampMS, 10),
		value:        value,
	}
}

// canonicalTokens returns the same five fields in canonical form. It fails if the value
// has none. The numbers are in that form, because the strict parser accepts no other.
func (d Dialect) canonicalTokens(t hashedTokens) (hashedTokens, error) {
	var err error
	for _, token := range []*[]byte{&t.key, &t.previousHash, &t.value} {
		if *token, err = d.canonicalize(*token, asStored); err != nil {
			return hashedTokens{}, err
		}
	}
	return t, nil
}

// hasher holds what is needed to hash one entry.
type hasher struct {
	sha  hash.Hash
	head []byte // the text before the value
	sum  [sha256.Size]byte
	text [len(hashPrefix) + 2*sha256.Size]byte
}

// hashers saves a reader of a long log two allocations an entry.
var hashers = sync.Pool{New: func() any { return &hasher{sha: sha256.New()} }}

// hash returns the text of the hash of the tokens as they are. It is valid until the next
// call.
func (h *hasher) hash(d Dialect, t *hashedTokens) []byte {
	previousHash, timestampMS := `,"previous_hash":`, `,"timestamp_ms":`
	if d == TypeScript {
		previousHash, timestampMS = `,"previousHash":`, `,"timestampMs":`
	}
	b := append(h.head[:0], `{"key":`...)
	b = append(append(b, t.key...), previousHash...)
	b = append(append(b, t.previousHash...), `,"sequence":`...)
	b = append(append(b, t.sequence...), timestampMS...)
	b = append(append(b, t.timestampMS...), `,"value":`...)
	h.head = b
	h.sha.Reset()
	h.sha.Write(b)
	h.sha.Write(t.value)
	h.sha.Write(closingBrace)
	h.sha.Sum(h.sum[:0])
	copy(h.text[:], hashPrefix)
	hex.Encode(h.text[len(hashPrefix):], h.sum[:])
	return h.text[:]
}

var closingBrace = []byte{'}'}

func hashTokens(d Dialect, t hashedTokens) Hash {
	h := hashers.Get().(*hasher)
	defer hashers.Put(h)
	return Hash(h.hash(d, &t))
}

// matchTokens returns the dialect in which the tokens, as they are, match the hash; 0 if
// there is none. It tries the likely one first.
func matchTokens(t *hashedTokens, want Hash, likely Dialect) Dialect {
	h := hashers.Get().(*hasher)
	defer hashers.Put(h)
	order := dialects
	if likely == TypeScript {
		order[0], order[1] = order[1], order[0]
	}
	for _, d := range order {
		if string(h.hash(d, t)) == string(want) {
			return d
		}
	}
	return 0
}

// matchCanonical returns the dialect in which the canonical forms of the tokens match the
// hash; 0 if there is none. It is for tokens that the other client re-formatted.
func matchCanonical(t *hashedTokens, want Hash) Dialect {
	for _, d := range dialects {
		canonical, err := d.canonicalTokens(*t)
		if err == nil && hashTokens(d, canonical) == want {
			return d
		}
	}
	return 0
}

// VerifyFields returns the dialect in which an entry with these fields matches the hash;
// 0 if there is none. It tries the value as it is given, and then its canonical form.
func VerifyFields(key string, previousHash Hash, sequence, timestampMS int64, value []byte, want Hash) Dialect {
	if !utf8.ValidString(key) || !utf8.ValidString(string(previousHash)) {
		return 0
	}
	for _, d := range dialects {
		t := d.tokens(key, previousHash, sequence, timestampMS, value)
		if hashTokens(d, t) == want {
			return d
		}
	}
	for _, d := range dialects {
		canonical, err := d.canonicalize(value, asStored)
		if err != nil || bytes.Equal(canonical, value) {
			continue
		}
		if hashTokens(d, d.tokens(key, previousHash, sequence, timestampMS, canonical)) == want {
			return d
		}
	}
	return 0
}
