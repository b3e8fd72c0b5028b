package immukv

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// apply writes the orphans of the newest version to their key objects, many at once. It is
// the second step of a write, and the whole of a repair. It returns the head with its new
// states. Some entries may have been applied even if it returns an error.
func (c *core) apply(ctx context.Context, h *head) (*head, error) {
	if h.first(orphan) == nil {
		return h, nil
	}
	return c.applyEach(ctx, h, nil)
}

// applyEach is apply, but calls ended, if it is not nil, with the place of each entry when
// its apply has ended.
func (c *core) applyEach(ctx context.Context, h *head, ended func(place int)) (*head, error) {
	states := slices.Clone(h.states)
	etags := make([]backend.ETag, len(states))
	err := c.wide(len(states), func(i int) (err error) {
		if states[i] == orphan {
			states[i], etags[i], err = c.applyEntry(ctx, h.among[i])
		}
		if ended != nil {
			ended(i)
		}
		return err
	})
	for i, s := range states {
		if h.states[i] == orphan && s == applied {
			c.rememberKey(h.among[i].Key, keyState{keyTag: keyTag{etag: etags[i], exists: true}, sequence: h.among[i].Sequence})
		}
	}
	return c.setStates(h, states), err
}

// applyEntry writes an entry to its key object. It is idempotent, and writes the same bytes
// as the entry's writer: the stored tokens, never a value that went through a codec. It
// returns the new state of the entry, and the ETag of the key object if it is applied.
func (c *core) applyEntry(ctx context.Context, v *version) (state, backend.ETag, error) {
	object := wire.KeyObject(c.prefix, v.Key)
	body := v.KeyBody(v.log)
	cond := v.expectedTag().condition()
	wait := c.newBackoff()
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return orphan, "", err
		}
		put, err := c.store.Put(ctx, object, body, cond)
		switch {
		case err == nil:
			return applied, put.ETag, nil
		case errors.Is(err, backend.ErrPreconditionFailed):
			// Another client applied the entry, or an earlier copy of this
			// request did, or the object diverges from the log.
			etag, ok, lookErr := c.reflects(ctx, v)
			if lookErr != nil {
				return orphan, "", lookErr
			}
			if ok {
				return applied, etag, nil
			}
		case errors.Is(err, backend.ErrInvalidName):
			s, err := c.invalidName(ctx, v, err)
			return s, "", err
		case permanent(err):
			return orphan, "", err
		}
		if try >= maxUnanswered {
			return orphan, "", err
		}
		if waitErr := wait.wait(ctx, err); waitErr != nil {
			return orphan, "", fmt.Errorf("%w, after: %w", waitErr, err)
		}
	}
}

// reflects reports whether the key object holds this entry of the head or a later one of
// the same key, and returns its ETag if it does. An object that has not changed since the
// append does not hold it. An object that holds anything else has diverged.
func (c *core) reflects(ctx context.Context, entry *version) (backend.ETag, bool, error) {
	object := wire.KeyObject(c.prefix, entry.Key)
	diverged := func(problem string) (backend.ETag, bool, error) {
		return "", false, c.diverged(entry, problem)
	}
	obj, err := c.store.Get(ctx, object)
	if errors.Is(err, backend.ErrNotFound) {
		if entry.HasPreviousKeyETag {
			return diverged(vanished)
		}
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("check whether the key object reflects sequence %d: %w", entry.Sequence, err)
	}
	if (keyTag{etag: obj.ETag, exists: true}) == entry.expectedTag() {
		return "", false, nil
	}
	v, err := c.readKeyVersion(ctx, object, obj.ID, obj.Body)
	switch {
	case err != nil && !isEntryError(err):
		return "", false, err
	case err != nil:
		return diverged(err.Error())
	case v.Key != entry.Key:
		return diverged(fmt.Sprintf("it holds an entry of key %q", v.Key))
	case v.Sequence > entry.Sequence:
		return obj.ETag, true, nil
	case v.Sequence == entry.Sequence && v.Hash == entry.Hash && v.log == entry.log:
		return obj.ETag, true, nil
	}
	return diverged(fmt.Sprintf("it holds sequence %d of log version %q", v.Sequence, v.log))
}

// Problems of key objects that cannot even be read.
const (
	vanished       = "it does not exist, but it existed when the entry was appended"
	unholdableName = "this store cannot hold an object of that name"
)

// invalidName decides on an entry of the head whose key object has a name that the store
// reports as invalid. If the store cannot hold that name, another client appended the entry
// and could not apply it either. No client ever can, so the log continues after it, and the
// entry remains in the log only. Any other name was valid when the entry was appended, so
// the error has an unknown cause, and nothing may be appended.
func (c *core) invalidName(ctx context.Context, v *version, reason error) (state, error) {
	if !c.namesUnlisted(wire.KeyObject(c.prefix, v.Key)) {
		return orphan, c.diverged(v, unholdableName)
	}
	c.logger.WarnContext(ctx, "the store cannot hold the key object of the newest entry: the entry remains in the log only",
		"key", v.Key, "sequence", v.Sequence, "error", reason)
	return unholdable, nil
}

// diverged is the error for an entry that cannot be applied to its key object.
func (c *core) diverged(v *version, problem string) error {
	return &DivergedError{Object: wire.KeyObject(c.prefix, v.Key), Sequence: v.Sequence, Problem: problem}
}
