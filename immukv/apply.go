package immukv

import (
	"context"
	"errors"
	"fmt"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// apply writes the newest entry to its key object. It is the second step of a write,
// and every repair. It is idempotent, and writes the bytes that the entry's writer
// would have written: the stored tokens, never a value that went through a codec.
// It returns the head with its new state.
func (c *core) apply(ctx context.Context, h *head) (*head, error) {
	object := wire.KeyObject(c.prefix, h.Key)
	body := h.KeyBody(h.log)
	cond := h.expectedTag().condition()
	wait := c.newBackoff()
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return h, err
		}
		put, err := c.store.Put(ctx, object, body, cond)
		switch {
		case err == nil:
			return c.markApplied(h, put.ETag), nil
		case errors.Is(err, backend.ErrPreconditionFailed):
			// Somebody else applied the entry, or an earlier copy of this
			// request did; or the object diverges from the log.
			etag, ok, lookErr := c.reflects(ctx, h)
			if lookErr != nil {
				return h, lookErr
			}
			if ok {
				return c.markApplied(h, etag), nil
			}
		case errors.Is(err, backend.ErrInvalidName):
			return c.refusedName(ctx, h, err)
		case permanent(err):
			return h, err
		}
		if try >= maxUnanswered {
			return h, err
		}
		if waitErr := wait.wait(ctx, err); waitErr != nil {
			return h, fmt.Errorf("%w, after: %w", waitErr, err)
		}
	}
}

// markApplied records that the key object reflects the head's entry.
func (c *core) markApplied(h *head, etag backend.ETag) *head {
	done := *h
	done.state = applied
	c.rememberKey(h.Key, keyState{keyTag: keyTag{etag: etag, exists: true}, sequence: h.Sequence})
	c.setHead(&done)
	return &done
}

// reflects reports whether the key object holds the head's entry or a later one of
// the same key, and its tag if it does. An object that is still as it was before
// the entry does not; one that holds anything else has diverged.
func (c *core) reflects(ctx context.Context, h *head) (backend.ETag, bool, error) {
	object := wire.KeyObject(c.prefix, h.Key)
	diverged := func(problem string) (backend.ETag, bool, error) {
		return "", false, c.diverged(h, problem)
	}
	obj, err := c.store.Get(ctx, object)
	if errors.Is(err, backend.ErrNotFound) {
		if h.HasPreviousKeyETag {
			return diverged(vanished)
		}
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("check whether the key object reflects sequence %d: %w", h.Sequence, err)
	}
	if (keyTag{etag: obj.ETag, exists: true}) == h.expectedTag() {
		return "", false, nil
	}
	v, err := c.readKeyVersion(ctx, object, obj.ID, obj.Body)
	switch {
	case err != nil && !isEntryError(err):
		return "", false, err
	case err != nil:
		return diverged(err.Error())
	case v.Key != h.Key:
		return diverged(fmt.Sprintf("it holds an entry of key %q", v.Key))
	case v.Sequence > h.Sequence:
		return obj.ETag, true, nil
	case v.Sequence == h.Sequence && v.Hash == h.Hash && v.log == h.log:
		return obj.ETag, true, nil
	}
	return diverged(fmt.Sprintf("it holds sequence %d of log version %q", v.Sequence, v.log))
}

// Problems of key objects that cannot even be read.
const (
	vanished       = "it does not exist, though it did before that entry"
	refusedProblem = "this store cannot hold an object of that name"
)

// refusedName decides what becomes of a head whose key object the store refuses for its
// name. If the store makes no objects of that name, another client appended the entry
// and could not apply it either, and nobody ever will: the log goes on, and the entry
// stands in the log alone. Any other name was good when the entry was appended; that
// it is refused now is not understood, and nothing may be appended.
func (c *core) refusedName(ctx context.Context, h *head, reason error) (*head, error) {
	if !c.namesUnlisted(wire.KeyObject(c.prefix, h.Key)) {
		return h, c.diverged(h, refusedProblem)
	}
	c.logger.WarnContext(ctx, "the store cannot hold the key object of the newest entry, which stands in the log alone",
		"key", h.Key, "sequence", h.Sequence, "error", reason)
	done := *h
	done.state = unholdable
	c.setHead(&done)
	return &done, nil
}

// diverged is the error for a head that cannot be applied to its key object.
func (c *core) diverged(h *head, problem string) error {
	return &DivergedError{Object: wire.KeyObject(c.prefix, h.Key), Sequence: h.Sequence, Problem: problem}
}
