package wire

import "errors"

// The errors of this package, for errors.Is. Their texts never contain a value, which may
// be confidential.
var (
	// ErrMalformedEntry: a stored document cannot be read as an entry.
	ErrMalformedEntry = errors.New("malformed entry")
	// ErrInvalidKey: the key cannot be stored.
	ErrInvalidKey = errors.New("invalid key")
	// ErrInvalidValue: the value is not JSON, or canonical JSON cannot carry it.
	ErrInvalidValue = errors.New("invalid value")
	// ErrUnknownDialect: there is no such dialect.
	ErrUnknownDialect = errors.New("unknown dialect")
)
