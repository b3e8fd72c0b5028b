package immukv

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// DefaultPollInterval is the default of [WithPollInterval].
const DefaultPollInterval = time.Second

// follower reads a log as it grows. It trusts only the entry that it yielded last, or the
// checkpoint that it was given: each entry that it reads must follow that.
type follower struct {
	*core
	watchQuery
	last link
	// seen is the newest version of the log when the follower last read everything; empty
	// if the log was empty.
	seen   backend.VersionID
	looked bool // seen is set
	wait   *backoff
}

// watch is [Client.Watch].
func (c *core) watch(ctx context.Context, q watchQuery) iter.Seq2[*version, error] {
	return func(yield func(*version, error) bool) {
		f := &follower{core: c, watchQuery: q}
		err := f.begin()
		for err == nil {
			var n int
			if n, err = f.look(ctx, yield); err == nil {
				f.wait = nil
				if n == 0 && q.untilIdle {
					return
				}
				if n < backend.MaxPageSize && !q.untilIdle {
					err = f.pause(ctx)
				}
				continue
			}
			if n > 0 {
				f.wait = nil
			}
			err = f.waitOut(ctx, err)
		}
		if !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	}
}

// errStopped means that the consumer has stopped.
var errStopped = errors.New("stopped")

// begin checks the options.
func (f *follower) begin() error {
	f.last = beginning
	switch {
	case f.after != nil && f.from != nil:
		return fmt.Errorf("%w: both After and From are given", ErrInvalidOption)
	case f.interval <= 0:
		return fmt.Errorf("%w: poll interval %v is not positive", ErrInvalidOption, f.interval)
	case f.from != nil:
		f.last = linkBefore(*f.from)
	case f.after == nil || f.after.trusted() == nil:
	case f.after.Sequence < 0 || f.after.Hash == "":
		return fmt.Errorf("%w: checkpoint %d:%s is not valid", ErrInvalidOption, f.after.Sequence, f.after.Hash)
	default:
		f.last = link{sequence: f.after.Sequence, hash: f.after.Hash}
	}
	return nil
}

// look yields the entries appended since the last look, and returns their number. If
// there are none, it sends one request.
func (f *follower) look(ctx context.Context, yield func(*version, error) bool) (n int, err error) {
	if err := f.checkOpen(); err != nil {
		return 0, err
	}
	if f.looked {
		v, err := f.store.Head(ctx, f.prefix+wire.LogName)
		if err == nil && v.ID == f.seen || f.seen == "" && errors.Is(err, backend.ErrNotFound) {
			return 0, nil
		}
		if err != nil && !errors.Is(err, backend.ErrNotFound) {
			return 0, err
		}
	}
	l, err := f.newestVersion(ctx)
	if err != nil {
		return 0, err
	}
	var head *version
	if l != nil {
		head = l.newest()
	}
	if n, err = f.catchUp(ctx, head, yield); err != nil {
		return n, err
	}
	f.looked, f.seen = true, ""
	if head != nil {
		f.seen = head.id
	}
	return n, nil
}

// catchUp yields the entries up to head, which is nil if the log is empty.
func (f *follower) catchUp(ctx context.Context, head *version, yield func(*version, error) bool) (n int, err error) {
	known := f.last.hash != "" && f.last != beginning
	switch {
	case head == nil && known:
		return 0, f.notExtended("", "the log is empty: its entries were removed")
	case head == nil:
		return 0, nil
	case head.Sequence < f.last.sequence && known:
		return 0, f.notExtended(head.id, fmt.Sprintf("the log ends with sequence %d: its end was cut off", head.Sequence))
	case head.Sequence < f.last.sequence:
		return 0, nil // the log has not reached that sequence yet
	case head.Sequence == f.last.sequence && known && head.Hash != f.last.hash:
		return 0, f.notExtended(head.id, "the log was rewritten: the entry of this sequence has another hash")
	case head.Sequence == f.last.sequence:
		f.last = linkOf(head)
		return 0, nil
	}
	a, err := f.ascend(ctx, f.last, head)
	if err != nil {
		return 0, err
	}
	defer a.close()
	for {
		v, err := a.read()
		var broken Finding
		switch {
		case n == 0 && known && errors.As(err, &broken) && broken.Kind == BrokenLink:
			return n, f.notExtended(broken.VersionID, fmt.Sprintf("the log was rewritten: sequence %d does not follow the entry read before", f.last.sequence+1))
		case err != nil || v == nil:
			return n, err
		}
		n++
		if strings.HasPrefix(v.Key, f.keyPrefix) && !yield(v, nil) {
			return n, errStopped
		}
		f.last = linkOf(v)
	}
}

// notExtended is the error if the log does not have the follower's last entry.
func (f *follower) notExtended(id backend.VersionID, detail string) error {
	return Finding{Kind: NotExtended, Object: f.prefix + wire.LogName, VersionID: id, Sequence: f.last.sequence, Detail: detail}
}

// waitOut pauses after a failure of the store. It returns any other error.
func (f *follower) waitOut(ctx context.Context, err error) error {
	if errors.Is(err, ErrLogDeleted) || errors.Is(err, backend.ErrDamaged) {
		return fmt.Errorf("after sequence %d: %w", f.last.sequence, err)
	}
	if errors.Is(err, errStopped) || !retryable(err) || ctx.Err() != nil ||
		errors.Is(err, ErrVerificationFailed) || errors.Is(err, ErrClosed) || errors.Is(err, ErrInvalidOption) ||
		errors.Is(err, backend.ErrUnsupported) || errors.Is(err, backend.ErrInvalidName) {
		return err
	}
	if f.wait == nil {
		f.wait = f.newBackoff()
	}
	f.logger.WarnContext(ctx, "reading the log failed; retrying", "after", f.last.sequence, "error", err)
	if waitErr := f.wait.wait(ctx, err); waitErr != nil {
		return fmt.Errorf("%w, after: %w", waitErr, err)
	}
	return nil
}

// pause waits until the next look: between half the interval and one and a half times the
// interval, so that followers do not send their requests at the same time.
func (f *follower) pause(ctx context.Context) error {
	d, err := jitter(f.random, f.interval)
	if err != nil {
		return err
	}
	timer := time.NewTimer(f.interval/2 + d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
