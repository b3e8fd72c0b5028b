// Package mutants holds stores that each break one clause of the contract, in a
// way that real stores have been seen to do. The conformance suite must fail
// each of them at that clause. A mutant that survives is a gap in the suite.
package mutants

import (
	"context"
	"net/http"
	"slices"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/conformance"
)

// Mutant is a kind of store that breaks a clause.
type Mutant struct {
	Name   string
	Clause string // that it breaks: "S3"
	Habit  string // what it does wrong, and who has been seen doing it
	// OfBatches means that only the requests of batches reveal it: many writes at
	// once, or bodies of several lines.
	OfBatches bool

	mutate mutation
	// remote is set instead for mutants whose fault is in their use of HTTP.
	remote *habits
	// harness is set instead for the stores of other projects.
	harness func() conformance.Harness
}

// All lists the mutants by clause.
func All() []Mutant {
	return slices.Concat(conditionMutants, raceMutants, answerMutants, freshnessMutants, versionMutants,
		listMutants, nameListMutants, nameMutants, bodyMutants, largeBodyMutants, wideMutants, outcomeMutants, remoteMutants, foreignMutants)
}

// Harness makes stores of the mutant's kind. It has all facilities that the
// clause in question can be tested with.
func (m Mutant) Harness() conformance.Harness {
	switch {
	case m.harness != nil:
		return m.harness()
	case m.remote != nil:
		return remoteHarness(*m.remote, neverBusy)
	default:
		return localHarness(m.mutate)
	}
}

// Healthy returns, by name, harnesses of stores that must pass. Among them are
// those that the mutants are made from, so that a failure of a mutant is due to
// its mutation.
func Healthy() map[string]conformance.Harness {
	return map[string]conformance.Harness{
		"local":   localHarness(func(w *world) func() *handle { return w.honest }),
		"remote":  remoteHarness(habits{}, neverBusy),
		"busy":    remoteHarness(habits{}, 20),
		"memblob": memblobHarness(),
		"sim":     simHarness(),
	}
}

// maxBody is the largest body that local mutants take, to save time.
const maxBody = 1 << 20

// world is a store in memory, and what goes wrong with it.
type world struct {
	*memstore.Store
	// onRestart changes what is found after a restart.
	onRestart func(*memstore.State)
	// onDenied is the error for denied access, onAbsent that for a missing
	// store.
	onDenied, onAbsent error
}

func localHarness(mutate mutation) conformance.Harness {
	return conformance.Harness{
		New: func(context.Context) (conformance.Store, error) {
			w := &world{
				Store:    memstore.New(),
				onDenied: backend.ErrAccessDenied,
				onAbsent: backend.ErrUnavailable,
			}
			open := mutate(w)
			return conformance.Store{
				Open: func(context.Context) (backend.VersionedStore, error) { return open(), nil },
				Restart: func(context.Context) error {
					state := w.Dump()
					if w.onRestart != nil {
						w.onRestart(&state)
					}
					store, err := memstore.Load(state)
					w.Store = store
					return err
				},
				OpenDenied: func(context.Context) (backend.VersionedStore, error) { return failing(w.onDenied), nil },
				OpenAbsent: func(context.Context) (backend.VersionedStore, error) { return failing(w.onAbsent), nil },
			}, nil
		},
		Limits: conformance.Limits{MaxBody: maxBody},
		Lacks: map[conformance.Facility]string{
			conformance.OpenHTTP: "a store in memory has no network",
			conformance.Worker:   "a store in memory belongs to one process",
		},
	}
}

// remoteHarness makes clients of a server that is too busy for every n-th request.
func remoteHarness(h habits, n int64) conformance.Harness {
	return conformance.Harness{
		New: func(context.Context) (conformance.Store, error) {
			server := newServer(n)
			// Closing a test server closes idle connections of the default
			// transport, which may be another server's that are about to be used.
			transport := http.DefaultTransport.(*http.Transport).Clone()
			return conformance.Store{
				Open: func(context.Context) (backend.VersionedStore, error) {
					return newClient(server.URL, transport, h), nil
				},
				Restart: func(context.Context) error { return nil },
				OpenDenied: func(context.Context) (backend.VersionedStore, error) {
					return newClient(server.URL+"/denied", transport, h), nil
				},
				OpenAbsent: func(context.Context) (backend.VersionedStore, error) {
					return newClient(server.URL+"/absent", transport, h), nil
				},
				OpenHTTP: func(ctx context.Context, wrap func(http.RoundTripper) http.RoundTripper) (backend.VersionedStore, error) {
					c := newClient(server.URL, wrap(transport), h)
					return c, c.greet(ctx)
				},
				Close: func(context.Context) error {
					transport.CloseIdleConnections()
					server.Close()
					return nil
				},
			}, nil
		},
		Lacks: map[conformance.Facility]string{conformance.Worker: "the server is of this process"},
	}
}
