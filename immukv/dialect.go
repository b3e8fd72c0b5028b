package immukv

import (
	"errors"
	"fmt"

	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// Hash is the hash of an entry: "sha256:" and the SHA-256, in lower-case
// hexadecimal, of the canonical JSON of its key, value, timestamp and sequence
// and of the hash of the entry before it.
type Hash = wire.Hash

// GenesisHash is the PreviousHash of the first entry.
const GenesisHash = wire.GenesisHash

// Dialect is one of the two ways in which the clients of ImmuKV hash an entry. They
// differ in the names of the hashed fields, in the order of object members and in how
// numbers and U+007F are written. Every client of this package reads both, and [Entry]
// has the dialect of its hash. The zero Dialect is neither.
type Dialect uint8

// The dialects.
const (
	// Python is the dialect of the Python client, and the default for writing.
	// Integers keep all their digits.
	Python = Dialect(wire.Python)
	// TypeScript is the dialect of the TypeScript client. Every number is an
	// IEEE 754 double.
	TypeScript = Dialect(wire.TypeScript)
)

// String is "python", "typescript" or, for every other value, "unknown".
func (d Dialect) String() string { return wire.Dialect(d).String() }

// ParseDialect returns the dialect with the given name, which is as String returns it.
// For any other name the error is [ErrInvalidOption].
func ParseDialect(name string) (Dialect, error) {
	d, err := wire.ParseDialect(name)
	if err != nil {
		return 0, dialectError(err)
	}
	return Dialect(d), nil
}

// Canonical returns the canonical form of a JSON text in the dialect: what a
// client of that dialect stores and hashes for the same value. It is ASCII,
// without white space, with the members of every object sorted.
//
// An error is [ErrInvalidValue]: the text is not JSON or not valid UTF-8, has
// data after its end, repeats a member name in an object at any depth, nests
// deeper than 10,000, or has a number beyond the range of a double (Python's
// integers have no range), a lone surrogate or, in the TypeScript dialect,
// a member named __proto__, which that client loses. It is [ErrInvalidOption] if
// there is no such dialect.
func (d Dialect) Canonical(text []byte) ([]byte, error) {
	canonical, err := wire.Dialect(d).Canonical(text)
	return canonical, dialectError(err)
}

// Hash computes the hash of an entry with these fields as a client of the
// dialect does. The value is any JSON text: it is hashed in canonical form. An
// error is [ErrInvalidKey] or [ErrInvalidValue], or [ErrInvalidOption] if there is no
// such dialect.
func (d Dialect) Hash(key string, previous Hash, sequence, timestampMS int64, value []byte) (Hash, error) {
	hash, err := wire.Dialect(d).Hash(key, previous, sequence, timestampMS, value)
	return hash, dialectError(err)
}

// dialectError turns the error for an unknown dialect into [ErrInvalidOption].
func dialectError(err error) error {
	if errors.Is(err, wire.ErrUnknownDialect) {
		return fmt.Errorf("%w: %w", ErrInvalidOption, err)
	}
	return err
}
