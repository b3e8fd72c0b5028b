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

// Harness tells the suite how to come by stores of the kind under test, and
// what to expect of them. Only New must be set.
type Harness struct {
	// New makes an empty store for one check alone. Checks run side by side,
	// and so New is called from several goroutines.
	New func(ctx context.Context) (Store, error)

	// Lacks gives, for each facility that the stores of New do not have, the
	// reason, as a sentence without its full stop. The checks that need it are
	// then reported as not applicable, for that reason. A facility that is
	// neither there nor declared to be lacking fails its checks.
	Lacks map[Facility]string

	// Limits are those that the stores declare.
	Limits Limits

	// Rounds is how often races are run; zero means [DefaultRounds]. Those that
	// take longer than others are run less often, but once at least.
	Rounds int

	// Seed determines what the suite draws at random. How the goroutines of a
	// race take turns is not the suite's to determine.
	Seed uint64

	// Deep adds what takes long: bodies of the largest size, and listings
	// longer than the longest page.
	Deep bool

	// Only restricts the suite to some checks: single ones, as
	// "S3/32-racing-creates", whole clauses, as "S3", all of the store's
	// clauses, "S", or all of the protocol's invariants, "I". Empty means all.
	Only []string
}

// DefaultRounds is how often races are run unless the harness says otherwise.
// Every fault known in the wild shows within so many.
const DefaultRounds = 20

// Store is one store, and the ways in which the suite reaches it. A nil
// function is a facility that [Harness.Lacks] accounts for; Open and Close are
// no facilities: the first must be set, the second need not.
type Store struct {
	// Open opens a handle on the store as one more process would, through
	// another endpoint where the store has several. The suite uses many
	// handles at once, and closes those that are an io.Closer, some while
	// others are in use. Where a file can be open but once in a process, the
	// handles share what has it open, which the last of them closes.
	Open func(ctx context.Context) (backend.VersionedStore, error)

	// Restart has the store forget what it keeps in memory alone, as a crash
	// of its machine would. The suite closes its handles before and opens new
	// ones after. It may do nothing, if handles share no memory and nothing
	// runs but what they are made of. Variables of a package are memory, too: a
	// cache that handles share there is to be emptied.
	Restart func(ctx context.Context) error

	// OpenDenied opens a handle that may neither read nor write, or returns
	// the error of opening it.
	OpenDenied func(ctx context.Context) (backend.VersionedStore, error)

	// OpenAbsent opens a handle on a store that is not there (a bucket that
	// does not exist, a directory that was removed, a server that is down), or
	// returns the error of opening it.
	OpenAbsent func(ctx context.Context) (backend.VersionedStore, error)

	// OpenHTTP opens a handle that sends its HTTP requests through wrap of the
	// transport that it would otherwise use. The suite so meets it with lost
	// answers, refusals and stalls.
	OpenHTTP func(ctx context.Context, wrap func(http.RoundTripper) http.RoundTripper) (backend.VersionedStore, error)

	// Worker makes a command that opens a handle on the store in a process of
	// its own and calls [Work] with it. Standard input and output are the
	// suite's. It kills the process at any moment, and so wants that itself,
	// not a shell that starts it. A store that no second process can open while
	// one has it, as many an embedded database, lacks Worker for that reason.
	Worker func(ctx context.Context) (*exec.Cmd, error)

	// Close removes the store.
	Close func(ctx context.Context) error
}

// Facility is something that the suite can use but not every store has.
type Facility string

// The facilities, each the field of [Store] of the same name.
const (
	Restart    Facility = "Restart"
	OpenDenied Facility = "OpenDenied"
	OpenAbsent Facility = "OpenAbsent"
	OpenHTTP   Facility = "OpenHTTP"
	Worker     Facility = "Worker"
)

// Limits are what a kind of store declares of itself. Within them it must do
// what the contract says, beyond them it must refuse as the contract says: the
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
	// Clash reports pairs of names of which the store cannot hold both,
	// though it can hold each: of "a" and "a/b", one that keeps names as
	// paths. The suite then makes one of them. Nil means none.
	Clash func(a, b string) bool
}

var facilities = []Facility{Restart, OpenDenied, OpenAbsent, OpenHTTP, Worker}

// validate returns an error if the harness makes no sense.
func (h *Harness) validate() error {
	if h.New == nil {
		return errors.New("the harness makes no stores: New is nil")
	}
	for _, f := range slices.Sorted(maps.Keys(h.Lacks)) {
		if !slices.Contains(facilities, f) {
			return fmt.Errorf("the harness declares to be lacking what is no facility: %q, of %q", f, facilities)
		}
		if strings.TrimSpace(h.Lacks[f]) == "" {
			return fmt.Errorf("the harness lacks %s without a reason", f)
		}
	}
	if h.Rounds < 0 {
		return fmt.Errorf("the harness asks for %d rounds", h.Rounds)
	}
	if n := h.Limits.MaxBody; n < 0 || n > backend.MaxBodyBytes {
		return fmt.Errorf("the harness declares bodies of %d bytes at most, of which the contract has 1 to %d", n, backend.MaxBodyBytes)
	}
	if n := h.Limits.MaxName; n < 0 || n > backend.MaxNameBytes {
		return fmt.Errorf("the harness declares names of %d bytes at most, of which the contract has 1 to %d", n, backend.MaxNameBytes)
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

// held is the names that the store declares it can hold, of a pair that clashes
// the one that comes first.
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
