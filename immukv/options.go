package immukv

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"time"
	"unicode/utf8"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// Defaults of the options.
const (
	DefaultRepairCheckInterval = 5 * time.Minute
	DefaultConcurrency         = 32
	DefaultMaxValueBytes       = 16 << 20
)

// maxValueBytes leaves room for the other fields of a document in the largest
// body that a store takes.
const maxValueBytes = backend.MaxBodyBytes - 64<<10

// Option changes a default of [Open].
type Option func(*config) error

type config struct {
	prefix        string
	readOnly      bool
	checkInterval time.Duration
	codec         any
	dialect       wire.Dialect
	logger        *slog.Logger
	maxAttempts   int
	concurrency   int
	maxValueBytes int
	clock         func() time.Time
	random        io.Reader
	deferred      bool
	batching      *Batching // nil: one entry a version
	observer      Observer
}

func newConfig(opts []Option) (config, error) {
	cfg := config{
		checkInterval: DefaultRepairCheckInterval,
		dialect:       wire.Python,
		logger:        slog.New(slog.DiscardHandler),
		concurrency:   DefaultConcurrency,
		maxValueBytes: DefaultMaxValueBytes,
		clock:         time.Now,
		random:        rand.Reader,
	}
	for _, opt := range opts {
		if err := opt(&cfg); err != nil {
			return config{}, fmt.Errorf("%w: %w", ErrInvalidOption, err)
		}
	}
	cfg.random = &sharedReader{from: cfg.random}
	return cfg, nil
}

// WithPrefix puts the store's objects under a common prefix, which is used verbatim:
// "plant-7/" makes the log "plant-7/_log.json". Stores under different prefixes of one
// bucket are independent. There is one exception: a prefix must not begin with another
// store's prefix followed by "keys/", because its objects would then be keys of that
// store.
func WithPrefix(prefix string) Option {
	return func(c *config) error {
		if !utf8.ValidString(prefix) {
			return fmt.Errorf("prefix %q is not valid UTF-8", prefix)
		}
		c.prefix = prefix
		if room := backend.MaxNameBytes - len(wire.KeyObject(prefix, "")); room < 1 {
			return fmt.Errorf("a prefix of %d bytes leaves no room for keys", len(prefix))
		}
		return nil
	}
}

// WithReadOnly makes a client that never writes, not even to repair. It returns an
// orphan from the log.
func WithReadOnly() Option {
	return func(c *config) error { c.readOnly = true; return nil }
}

// WithRepairCheckInterval sets how often reads check whether the newest entry needs
// repair. The default is 5 minutes. A client's first read checks it, and every write
// does. With zero every read checks it; with a negative interval no read does.
func WithRepairCheckInterval(d time.Duration) Option {
	return func(c *config) error { c.checkInterval = d; return nil }
}

// WithValueCodec sets how values become JSON and back; by default encoding/json
// does it. Its type must be that of the client.
func WithValueCodec[V any](codec Codec[V]) Option {
	return func(c *config) error {
		if codec == nil {
			return fmt.Errorf("value codec is nil")
		}
		c.codec = codec
		return nil
	}
}

// WithDialect sets the dialect in which entries are written, [Python] by
// default. Every client reads both.
func WithDialect(d Dialect) Option {
	return func(c *config) error {
		if d != Python && d != TypeScript {
			return fmt.Errorf("dialect %v cannot be written", d)
		}
		c.dialect = wire.Dialect(d)
		return nil
	}
}

// WithLogger sets where the client logs repairs and lost answers; by default
// nowhere. Keys and sequence numbers are logged, values never.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) error {
		if l == nil {
			return fmt.Errorf("logger is nil")
		}
		c.logger = l
		return nil
	}
}

// WithObserver sets an observer, which is called for every call of the client, and for
// conflicts, repairs and lost answers within it. Without an observer this costs
// nothing.
func WithObserver(o Observer) Option {
	return func(c *config) error { c.observer = o; return nil }
}

// WithMaxAttempts sets how many races a write may lose before it gives up with
// [ErrConflict]. Zero, the default, means that it never gives up: each lost race means
// that another writer succeeded. To bound the time of a write, use its context.
func WithMaxAttempts(n int) Option {
	return func(c *config) error {
		if n < 0 {
			return fmt.Errorf("max attempts %d is negative", n)
		}
		c.maxAttempts = n
		return nil
	}
}

// WithConcurrency sets how many versions a sequence fetches ahead of its consumer, and
// how many versions a verification fetches at a time. The default is 32. About as many
// bodies are in memory at once. Set it lower if they are large.
func WithConcurrency(n int) Option {
	return func(c *config) error {
		if n < 1 || n > 1024 {
			return fmt.Errorf("concurrency %d is not between 1 and 1024", n)
		}
		c.concurrency = n
		return nil
	}
}

// WithMaxValueBytes sets the size of the largest value that [Client.Set] accepts, in
// bytes of its canonical JSON. The default is 16 MiB. Stores accept at most a little less
// than 64 MiB.
func WithMaxValueBytes(n int) Option {
	return func(c *config) error {
		if n < 1 || n > maxValueBytes {
			return fmt.Errorf("max value bytes %d is not between 1 and %d", n, maxValueBytes)
		}
		c.maxValueBytes = n
		return nil
	}
}

// WithClock sets the clock for the timestamps of entries, time.Now by default.
// Nothing else depends on it.
func WithClock(now func() time.Time) Option {
	return func(c *config) error {
		if now == nil {
			return fmt.Errorf("clock is nil")
		}
		c.clock = now
		return nil
	}
}

// WithRandom sets the source of write IDs and of the jitter of waits, crypto/rand
// by default. It is for reproducible simulations. In production write IDs must be
// unique, so the source must not be predictable. It is read by one goroutine at a
// time.
func WithRandom(r io.Reader) Option {
	return func(c *config) error {
		if r == nil {
			return fmt.Errorf("random source is nil")
		}
		c.random = r
		return nil
	}
}

// WithDeferredApply makes [Client.Set] return as soon as the entry is durable in the log,
// after one round trip, and apply it in the background. The client's next write and
// [Client.Close] wait for the apply. The client's own reads return the entry at once.
// Other clients find the entry in the key object a moment later. If the process dies
// first, the next activity of any client repairs it.
func WithDeferredApply() Option {
	return func(c *config) error { c.deferred = true; return nil }
}
