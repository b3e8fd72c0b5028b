package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strings"

	"github.com/immukv/immukv-go/backend"
)

// Harness tells the suite how to make stores of the kind under test, and what
// they support. Only New is required.
type Harness struct {
	// New makes an empty store for one check. Checks run concurrently, so New
	// is called from several goroutines.
	New func(ctx context.Context) (Store, error)

	// Lacks gives the reason for each facility that the stores of New lack, as
	// a sentence without its full stop. The checks that need the facility are
	// reported as not applicable, with that reason. A facility that a store
	// neither has nor is declared to lack fails its checks.
	Lacks map[Facility]string

	// Limits are the limits that the stores declare.
	Limits Limits

	// Rounds is how often races are repeated. Zero means [DefaultRounds].
	// Races that take longer than others are repeated less often, but run at
	// least once.
	Rounds int

	// Seed determines the suite's random choices. It does not determine how
	// goroutines are scheduled.
	Seed uint64

	// Deep adds slow checks: bodies of the largest size, and listings longer
	// than the largest page.
	Deep bool

	// Only selects checks: a single one, such as "S3/32-racing-creates", a
	// clause, such as "S3", all of the store's clauses, "S", or all of the
	// protocol's invariants, "I". Empty means all.
	Only []string
}

// DefaultRounds is how often races are repeated by default. It is enough to
// find every fault known of real stores.
const DefaultRounds = 20

// Store is one store, and the ways to reach it. Open is required, Close is
// optional. Each other function is a facility; if it is nil, [Harness.Lacks]
// must give the reason.
type Store struct {
	// Open opens a handle on the store as another process would, and through
	// another endpoint if the store has several. The suite uses many handles
	// at once. It closes those that implement io.Closer, some of them while
	// others are in use. If a process can open a file only once, the handles
	// share the open file, and the last handle closes it.
	Open func(ctx context.Context) (backend.VersionedStore, error)

	// Restart makes the store forget what it keeps only in memory, as a crash
	// of its machine would. The suite closes its handles before and opens new
	// ones after it. Restart may do nothing if handles share no memory and
	// there is no server. Package variables are memory too: Restart must empty
	// a cache that handles share there.
	Restart func(ctx context.Context) error

	// OpenDenied opens a handle without permission to read or write, or
	// returns the error of opening it.
	OpenDenied func(ctx context.Context) (backend.VersionedStore, error)

	// OpenAbsent opens a handle on a store that does not exist (a bucket that
	// was never made, a directory that was removed, a server that is down), or
	// returns the error of opening it.
	OpenAbsent func(ctx context.Context) (backend.VersionedStore, error)

	// OpenHTTP opens a handle whose HTTP requests go through wrap(transport),
	// where transport is the one that it would otherwise use. The suite
	// injects lost answers, error responses and stalls there.
	OpenHTTP func(ctx context.Context, wrap func(http.RoundTripper) http.RoundTripper) (backend.VersionedStore, error)

	// Worker returns a command that opens a handle on the store in its own
	// process and calls [Work] with it. The suite uses its standard input and
	// output, and kills the process at any moment. The command must therefore
	// be that process, not a shell that starts it. A store that only one
	// process can open at a time, such as an embedded database, lacks Worker
	// for that reason.
	Worker func(ctx context.Context) (*exec.Cmd, error)

	// Close removes the store.
	Close func(ctx context.Context) error
}

// Facility is a capability that only some stores have.
type Facility string

// The facilities, each the field of [Store] of the same name.
const (
	Restart    Facility = "Restart"
	OpenDenied Facility = "OpenDenied"
	OpenAbsent Facility = "OpenAbsent"
	OpenHTTP   Facility = "OpenHTTP"
	Worker     Facility = "Worker"
)

// Limits are the limits that a kind of store declares. Within them it must keep
// the contract. Beyond them it must fail with the errors of the contract. The
// suite checks both.
type Limits struct {
	// MaxBody is the largest body, in bytes; zero means
	// [backend.MaxBodyBytes].
	MaxBody int
	// MaxName is the longest name, in bytes; zero means
	// [backend.MaxNameBytes].
	MaxName int
	// RefusesName reports the names of at most MaxName bytes that the store
	// cannot hold. Nil means none.
	RefusesName func(name string) bool
	// Clash reports whether the store can hold a or b, but not both. A store
	// that keeps names as paths cannot hold both "a" and "a/b". The suite then
	// makes only one of them. Nil means that no names clash.
	Clash func(a, b string) bool
}

var facilities = []Facility{Restart, OpenDenied, OpenAbsent, OpenHTTP, Worker}

// validate returns an error if the harness is invalid.
func (h *Harness) validate() error {
	if h.New == nil {
		return errors.New("the harness makes no stores: New is nil")
	}
	for _, f := range slices.Sorted(maps.Keys(h.Lacks)) {
		if !slices.Contains(facilities, f) {
			return fmt.Errorf("the harness declares that %q is lacking, but the facilities are %q", f, facilities)
		}
		if strings.TrimSpace(h.Lacks[f]) == "" {
			return fmt.Errorf("the harness lacks %s without a reason", f)
		}
	}
	if h.Rounds < 0 {
		return fmt.Errorf("the harness asks for %d rounds", h.Rounds)
	}
	if n := h.Limits.MaxBody; n < 0 || n > backend.MaxBodyBytes {
		return fmt.Errorf("the harness declares a limit of %d bytes for bodies; the contract allows 1 to %d", n, backend.MaxBodyBytes)
	}
	if n := h.Limits.MaxName; n < 0 || n > backend.MaxNameBytes {
		return fmt.Errorf("the harness declares a limit of %d bytes for names; the contract allows 1 to %d", n, backend.MaxNameBytes)
	}
	return nil
}

func (h *Harness) rounds() int {
	if h.Rounds > 0 {
		return h.Rounds
	}
	return DefaultRounds
}

func (l Limits) maxBody() int {
	if l.MaxBody > 0 {
		return l.MaxBody
	}
	return backend.MaxBodyBytes
}

func (l Limits) maxName() int {
	if l.MaxName > 0 {
		return l.MaxName
	}
	return backend.MaxNameBytes
}

// refuses reports whether the store declares that it cannot hold an object of
// that name.
func (l Limits) refuses(name string) bool {
	return backend.CheckName(name) != nil || len(name) > l.maxName() || l.RefusesName != nil && l.RefusesName(name)
}

// clash reports whether the store declares that it cannot hold both names.
func (l Limits) clash(a, b string) bool {
	return l.Clash != nil && (l.Clash(a, b) || l.Clash(b, a))
}

// held returns the names that the store declares it can hold. Of two names that
// clash it returns the first.
func (l Limits) held(names []string) []string {
	var held []string
	for _, name := range names {
		if !l.refuses(name) && !slices.ContainsFunc(held, func(other string) bool { return l.clash(name, other) }) {
			held = append(held, name)
		}
	}
	return held
}

func (s *Store) has(f Facility) bool {
	switch f {
	case Restart:
		return s.Restart != nil
	case OpenDenied:
		return s.OpenDenied != nil
	case OpenAbsent:
		return s.OpenAbsent != nil
	case OpenHTTP:
		return s.OpenHTTP != nil
	case Worker:
		return s.Worker != nil
	default:
		return false
	}
}
