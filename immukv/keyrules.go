package immukv

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// checkKey returns an error for a key that no client can have written, because no store
// can hold its object. For any other key, a reader sends the request to the store.
func checkKey(prefix, key string) error {
	room := backend.MaxNameBytes - len(wire.KeyObject(prefix, ""))
	switch {
	case !utf8.ValidString(key):
		return fmt.Errorf("%w: the key is not valid UTF-8", ErrInvalidKey)
	case len(key) > room:
		return fmt.Errorf("%w: the key has %d bytes; with this prefix, the limit is %d", ErrInvalidKey, len(key), room)
	}
	return nil
}

// keyError turns the store's error for an invalid object name into the error for an
// invalid key.
func keyError(err error) error {
	if errors.Is(err, backend.ErrInvalidName) {
		return fmt.Errorf("%w: %w", ErrInvalidKey, err)
	}
	return err
}

// checkNewKey returns an error for a key that some stores or tools would confuse with
// another. It applies to writes only: other clients write such keys to stores that can
// hold them, and this client reads and repairs those.
func (c *core) checkNewKey(key string) error {
	if err := checkKey(c.prefix, key); err != nil {
		return err
	}
	if key == "" {
		return fmt.Errorf("%w: the key is empty", ErrInvalidKey)
	}
	if strings.ContainsRune(key, 0) {
		return fmt.Errorf("%w: the key contains a NUL byte", ErrInvalidKey)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "." || segment == ".." {
			return fmt.Errorf("%w: %q has the path segment %q, which some stores cannot hold", ErrInvalidKey, key, segment)
		}
	}
	if c.checkNewName != nil {
		return keyError(c.checkNewName(wire.KeyObject(c.prefix, key)))
	}
	return nil
}

// namesUnlisted reports whether the server may hold an object of that name without
// listing it. No new object gets such a name.
func (c *core) namesUnlisted(object string) bool {
	return c.checkNewName != nil && c.checkNewName(object) != nil
}
