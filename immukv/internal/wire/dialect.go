package wire

import "fmt"

// Dialect is one of the two ways in which the clients of ImmuKV hash an entry. They
// differ in the names of the hashed fields, in the order of object members and in how
// numbers and U+007F are written. Clients read both. The zero Dialect is neither.
type Dialect uint8

// The dialects.
const (
	// Python is the dialect of the Python client, and the default for writing.
	// Integers keep all their digits.
	Python Dialect = iota + 1
	// TypeScript is the dialect of the TypeScript client. Every number is an
	// IEEE 754 double.
	TypeScript
)

// dialects are all dialects, the default first.
var dialects = [...]Dialect{Python, TypeScript}

// String is "python", "typescript" or, for every other value, "unknown".
func (d Dialect) String() string {
	switch d {
	case Python:
		return "python"
	case TypeScript:
		return "typescript"
	}
	return "unknown"
}

// ParseDialect returns the dialect of that name, as String returns it.
func ParseDialect(name string) (Dialect, error) {
	for _, d := range dialects {
		if d.String() == name {
			return d, nil
		}
	}
	return 0, fmt.Errorf("%w %q: the dialects are python and typescript", ErrUnknownDialect, name)
}

// check returns an error for a dialect that does not exist.
func (d Dialect) check() error {
	if d != Python && d != TypeScript {
		return fmt.Errorf("%w %d", ErrUnknownDialect, d)
	}
	return nil
}
