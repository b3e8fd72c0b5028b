package immukv

import "context"

// queue lets one writer of a client in at a time, in the order of their coming,
// so that a client never races itself.
type queue chan struct{}

func newQueue() queue { return make(queue, 1) }

// enter waits for the writer's turn.
func (q queue) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case q <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tryEnter takes the turn if nobody has it.
func (q queue) tryEnter() bool {
	select {
	case q <- struct{}{}:
		return true
	default:
		return false
	}
}

func (q queue) leave() { <-q }
