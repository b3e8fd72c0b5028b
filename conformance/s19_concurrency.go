package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/immukv/immukv-go/backend"
)

// S19: every method may be called from any number of goroutines.
var concurrencyChecks = clause("S19",
	check{
		name: "everything-at-once", cost: cost{fixed: 50, perRound: 2 * atOnce * 3},
		title: "goroutines that call every method on few objects at once see one history of each object, and all of it at the end",
		run:   checkEverythingAtOnce,
	},
	check{
		name: "128-objects-at-once", cost: cost{fixed: 12 * wideWrites, perRound: 2 * wideWrites},
		title: "128 objects that are written at once, and read at once, are each written under their own condition and read as they were written",
		run:   checkWide,
	},
)

// atOnce is how many goroutines call at once.
const atOnce = 16

// witness records the versions that goroutines have seen.
type witness struct {
	names []string // of the objects

	mu    sync.Mutex
	tags  map[string]map[backend.VersionID]backend.ETag // of every version seen, by object
	wrote map[string]map[backend.VersionID]string       // body of every version acknowledged, by object
}

// saw records a version, and fails if it was seen with another ETag before.
func (w *witness) saw(name string, v backend.Version) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if before, ok := w.tags[name][v.ID]; ok && before != v.ETag {
		return unlike(fmt.Sprintf("version %q of %s to keep its ETag %s", v.ID, show(name), before), "%s", v.ETag)
	}
	if w.tags[name] == nil {
		w.tags[name] = make(map[backend.VersionID]backend.ETag)
	}
	w.tags[name][v.ID] = v.ETag
	return nil
}

func (w *witness) acknowledged(name string, v backend.Version, body string) error {
	if err := w.saw(name, v); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wrote[name] == nil {
		w.wrote[name] = make(map[backend.VersionID]string)
	}
	w.wrote[name][v.ID] = body
	return nil
}

func checkEverythingAtOnce(ctx context.Context, e *env) error {
	stores := e.stores
	names := e.h.Limits.held([]string{object, object + "/below", "other"})
	w := &witness{names: names, tags: make(map[string]map[backend.VersionID]backend.ETag), wrote: make(map[string]map[backend.VersionID]string)}
	seeds := make([]uint64, atOnce)
	for i := range seeds {
		seeds[i] = e.rand.Uint64()
	}
	err := together(atOnce, func(worker int) error {
		draw := rand.New(rand.NewPCG(seeds[worker], 0))
		for i := range 2 * e.rounds() {
			body := fmt.Sprintf("worker %d, call %d", worker, i)
			if err := w.step(ctx, stores[worker%2], names[draw.IntN(len(names))], draw.IntN(stepsToDraw), body); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := w.settle(ctx, stores[0], name); err != nil {
			return err
		}
	}
	return nil
}

// stepsToDraw is the number of different steps. Two of them write; each of the
// others reads in another way.
const stepsToDraw = 6

// step makes the call of that number. It reads the current version first,
// because a write needs its ETag.
func (w *witness) step(ctx context.Context, s backend.VersionedStore, name string, drawn int, body string) error {
	v, err := s.Head(ctx, name)
	if errors.Is(err, backend.ErrNotFound) {
		return w.write(ctx, s, name, body, backend.IfAbsent())
	}
	if err != nil {
		return err
	}
	if err := w.saw(name, v); err != nil {
		return err
	}
	switch drawn {
	case 0, 1:
		return w.write(ctx, s, name, body, backend.IfMatch(v.ETag))
	case 2:
		o, err := s.Get(ctx, name)
		if err != nil {
			return err
		}
		return w.saw(name, o.Version)
	case 3:
		o, err := s.GetVersion(ctx, name, v.ID)
		if err != nil {
			return err
		}
		return w.saw(name, o.Version)
	case 4:
		versions, err := begins(ctx, s, name, backend.VersionsRequest{After: v.ID, Limit: 3})
		if err != nil {
			return err
		}
		for _, v := range versions {
			if err := w.saw(name, v); err != nil {
				return err
			}
		}
		return nil
	default:
		names, err := listNames(ctx, s, backend.NamesRequest{Limit: 5}, len(w.names))
		if err == nil && !slices.Contains(names, name) {
			return unlike(fmt.Sprintf("the names to hold %s, which was read before", show(name)), "%q", names)
		}
		return err
	}
}

// write makes a version of an object, unless another was first.
func (w *witness) write(ctx context.Context, s backend.VersionedStore, name, body string, cond backend.Condition) error {
	v, err := s.Put(ctx, name, []byte(body), cond)
	if errors.Is(err, backend.ErrPreconditionFailed) {
		return nil
	}
	if err != nil {
		return err
	}
	return w.acknowledged(name, v, body)
}

// settle checks at the end that the object has exactly the versions that were
// acknowledged, and all that were seen.
func (w *witness) settle(ctx context.Context, s backend.VersionedStore, name string) error {
	wrote := w.wrote[name]
	list, err := listVersions(ctx, s, name, backend.VersionsRequest{}, len(wrote))
	if err != nil {
		return err
	}
	if len(list) != len(wrote) {
		return unlike(fmt.Sprintf("one version of %s for each write acknowledged, %d", show(name), len(wrote)), "%d", len(list))
	}
	for _, v := range list {
		body, ok := wrote[v.ID]
		if !ok {
			return unlike("only versions whose write was acknowledged", "version %q", v.ID)
		}
		if err := readable(ctx, s, name, backend.Object{Version: v, Body: []byte(body)}); err != nil {
			return err
		}
		delete(w.tags[name], v.ID)
	}
	for id := range w.tags[name] {
		return unlike("every version that was seen to be listed at the end", "no version %q", id)
	}
	return nil
}
