package immukv

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// checkKey refuses a key that no client can have written, because no store can hold
// its object. Of all other keys a reader asks the store.
func checkKey(prefix, key string) error {
	room := backend.MaxNameBytes - len(wire.KeyObject(prefix, ""))
	switch {
	case !utf8.ValidString(key):
		return fmt.Errorf("%w: it is not valid UTF-8", ErrInvalidKey)
	case len(key) > room:
		return fmt.Errorf("%w: %d bytes, with this prefix %d at most", ErrInvalidKey, len(key), room)
	}
	return nil
}

// keyError is the error of a request for a key object: a name that the store cannot
// hold is a key that it cannot.
func keyError(err error) error {
	if errors.Is(err, backend.ErrInvalidName) {
		return fmt.Errorf("%w: %w", ErrInvalidKey, err)
	}
	return err
}

// checkNewKey refuses a key that some store or tool would take for another. It is
// for writing alone: other clients write such keys where a store holds them, and
// those are read and repaired.
func (c *core) checkNewKey(key string) error {
	if err := checkKey(c.prefix, key); err != nil {
		return err
	}
	if key == "" {
		return fmt.Errorf("%w: it is empty", ErrInvalidKey)
	}
	if strings.ContainsRune(key, 0) {
		return fmt.Errorf("%w: it contains a NUL", ErrInvalidKey)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "." || segment == ".." {
			return fmt.Errorf("%w: %q has the path segment %q, which not every store can hold", ErrInvalidKey, key, segment)
		}
	}
	if c.checkNewName != nil {
		return keyError(c.checkNewName(wire.KeyObject(c.prefix, key)))
	}
	return nil
}

// namesUnlisted reports whether the server may hold an object of that name and not list
// it. No new object is given such a name.
func (c *core) namesUnlisted(object string) bool {
	return c.checkNewName != nil && c.checkNewName(object) != nil
}
