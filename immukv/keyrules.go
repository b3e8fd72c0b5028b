package immukv

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// checkKey refuses a key that no store could hold as an object.
func checkKey(prefix, key string) error {
	room := backend.MaxNameBytes - len(wire.KeyObject(prefix, ""))
	switch {
	case key == "":
		return fmt.Errorf("%w: it is empty", ErrInvalidKey)
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

// checkNewKey refuses, beyond that, a key that some store or tool would take for
// a path and lead elsewhere. Reading such a key, which another client may have
// written where the store holds it, does no harm; spreading it would.
func checkNewKey(prefix, key string) error {
	if err := checkKey(prefix, key); err != nil {
		return err
	}
	if strings.ContainsRune(key, 0) {
		return fmt.Errorf("%w: it contains a NUL", ErrInvalidKey)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "." || segment == ".." {
			return fmt.Errorf("%w: %q has the path segment %q, which not every store can hold", ErrInvalidKey, key, segment)
		}
	}
	return nil
}
