package immukv

import "context"

// writeLock is a mutex whose Lock takes a context. It serializes the writes of a
// client, first come, first served, so that a client never races itself.
type writeLock chan struct{}

func newWriteLock() writeLock { return make(writeLock, 1) }

// lock waits for the lock, or for the end of ctx.
func (l writeLock) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tryLock locks if the lock is free, and reports whether it did.
func (l writeLock) tryLock() bool {
	select {
	case l <- struct{}{}:
		return true
	default:
		return false
	}
}

func (l writeLock) unlock() { <-l }
