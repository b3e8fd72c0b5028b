package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/immukv/immukv-go/backend"
)

func checkKilledWriter(ctx context.Context, e *env) error {
	s := e.stores[0]
	for round := range e.fewRounds(4) {
		name := fmt.Sprintf("%s-%d", object, round)
		workers, err := e.hire(ctx, 1)
		if err != nil {
			return err
		}
		acknowledged, err := writeUntilKilled(workers[0], name, e.rand.IntN(8), e.rand.Float64())
		if err != nil {
			return err
		}
		if err := writeOn(ctx, s, name, acknowledged); err != nil {
			return err
		}
	}
	return nil
}

// writeOn checks an object after its writer was killed: the acknowledged
// versions are there, and at most one version more. That one may arrive late if
// the store is reached over a network.
func writeOn(ctx context.Context, s backend.VersionedStore, name string, acknowledged []backend.Object) error {
	for late := false; ; late = true {
		list, err := listVersions(ctx, s, name, backend.VersionsRequest{}, len(acknowledged)+1)
		if err != nil {
			return err
		}
		for i, o := range acknowledged {
			if !slices.Contains(list, o.Version) {
				return unlike(fmt.Sprintf("version %d, which was acknowledged before the process was killed, to be there", i), "versions %+v", list)
			}
			if err := readable(ctx, s, name, o); err != nil {
				return err
			}
		}
		if len(list) > len(acknowledged)+1 {
			return unlike("one version at most that was not acknowledged", "%d", len(list)-len(acknowledged))
		}
		cond := backend.IfAbsent()
		if len(list) > 0 {
			v, err := s.Head(ctx, name)
			if err != nil {
				return err
			}
			cond = backend.IfMatch(v.ETag)
		}
		if _, err := s.Put(ctx, name, []byte("written on"), cond); !errors.Is(err, backend.ErrPreconditionFailed) {
			return err
		}
		if late {
			return unlike("the next process to write on", "its precondition failed twice, with no other writer")
		}
	}
}

// afterlife bounds the writes that a process may be acknowledged after it
// should have been killed. One or two are usual.
const afterlife = 200

// writeUntilKilled makes a worker write versions of an object, and kills it
// during one of the writes, but not during the first.
func writeUntilKilled(w *worker, name string, writes int, moment float64) ([]backend.Object, error) {
	var acknowledged []backend.Object
	var match backend.ETag
	usual := time.Millisecond
	for i := 0; ; i++ {
		body := fmt.Appendf(nil, "version %d", i)
		if i == writes+1 {
			timer := time.AfterFunc(time.Duration(moment*float64(usual)), w.kill)
			defer timer.Stop()
		}
		began := time.Now()
		a, err := w.ask(order{Name: name, Body: body, Match: match})
		switch {
		case errors.Is(err, errKilled):
			return acknowledged, nil
		case err != nil:
			return nil, unlike("a process to write until it is killed", "%v", err)
		case i > writes+afterlife:
			return nil, unlike("a process to end when it is killed", "it continues to write: the killed process may be a shell around it")
		case a.Error != "":
			return nil, unlike("a write whose condition holds to apply", "%s", a.Error)
		}
		usual, match = time.Since(began), a.ETag
		acknowledged = append(acknowledged, backend.Object{Version: a.version(), Body: body})
	}
}
