package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/observe"
	"github.com/immukv/immukv-go/immukv"
)

// value is a value as the command handles it: JSON text that is never decoded, so that
// integers of any size and all other tokens stay as they are.
type value = json.RawMessage

// client is a client of such values.
type client = immukv.Client[value]

// textCodec returns JSON text unchanged.
type textCodec struct{}

func (textCodec) Encode(v value) ([]byte, error) { return v, nil }

// Decode returns an error for NaN and the infinities, which the Python client writes but
// JSON does not allow.
func (textCodec) Decode(text []byte) (value, error) {
	if !json.Valid(text) {
		return nil, errors.New("the value is not JSON")
	}
	return text, nil
}

// singleTimeout is the default time limit of commands that make a few requests. Commands
// that read a whole log have none.
const singleTimeout = time.Minute

// writeGrace is how long a write may continue after an interrupt. A request that is cut
// off earlier would often leave an unknown outcome.
const writeGrace = 2 * time.Second

// limit bounds a command by --timeout or, if that was not given, by the command's
// default; zero means no limit.
func (a *app) limit(ctx context.Context, cmd *cobra.Command, byDefault time.Duration) (context.Context, context.CancelFunc) {
	timeout := byDefault
	if cmd.Flags().Changed("timeout") {
		timeout = a.timeout
	}
	if timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, timeout)
}

// withGrace returns a context for a write. An interrupt of ctx ends it only after the
// grace period.
func withGrace(ctx context.Context) (context.Context, context.CancelFunc) {
	graced, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(writeGrace):
			cancel()
		case <-graced.Done():
		}
	})
	return graced, func() { stop(); cancel() }
}

// openStore opens the store that the command line names.
func (a *app) openStore(ctx context.Context) (backend.Store, error) {
	if a.store == "" {
		return nil, usagef("no store is given: use --store URL or set IMMUKV_STORE")
	}
	return backend.Open(ctx, a.store)
}

// withClient opens a client of the store and closes both when do returns.
func (a *app) withClient(ctx context.Context, do func(*client) error, opts ...immukv.Option) error {
	store, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	err = a.withStore(ctx, store, do, opts...)
	if closeErr := store.Close(); err == nil && closeErr != nil {
		return fmt.Errorf("close the store: %w", closeErr)
	}
	return err
}

// withStore makes a client of the store and closes it when do returns.
func (a *app) withStore(ctx context.Context, store backend.VersionedStore, do func(*client) error, opts ...immukv.Option) error {
	opts = append([]immukv.Option{immukv.WithPrefix(a.prefix), immukv.WithValueCodec[value](textCodec{}), immukv.WithLogger(a.logger())}, opts...)
	if a.telemetry.opts != nil {
		store = observe.Wrap(store, a.telemetry.opts...)
		opts = append(opts, observe.Client(a.telemetry.opts...))
	}
	if a.readOnly {
		opts = append(opts, immukv.WithReadOnly())
	}
	db, err := immukv.Open[value](ctx, store, opts...)
	if err != nil {
		return err
	}
	return errors.Join(do(db), db.Close())
}

// refuseReadOnly returns an error for a command that writes if --read-only was given.
func (a *app) refuseReadOnly(command string) error {
	if a.readOnly {
		return usagef("%s writes to the store, which --read-only does not allow", command)
	}
	return nil
}

// await calls f, which may block for any time, such as in a read from a terminal. It
// returns what f returned or, as soon as the context ends, the context's error. Then f
// continues in its goroutine.
func await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
