package conformance

import (
	"context"
	"fmt"

	"github.com/immukv/immukv-go/backend"
)

// S9: IDs and ETags tell versions apart.
var identityChecks = clause("S9",
	check{
		name: "ids-unique", cost: cost{fixed: 20, perRound: 3},
		title: "no two versions of an object have the same ID, though their bodies are equal",
		run:   checkUniqueIDs,
	},
	check{
		name: "etags-tell-bodies-apart", cost: cost{fixed: 20},
		title: "two successive versions with different bodies have different ETags, however alike the bodies",
		run:   checkETagsDiffer,
	},
	check{
		name: "ids-unique-under-race", handles: 4, cost: cost{fixed: 10, perRound: racers + 1},
		title: "versions written by processes side by side never share an ID",
		run:   checkUniqueIDsUnderRace,
	},
	check{
		name: "ids-unique-across-restarts", needs: []Facility{Restart}, cost: cost{fixed: 30},
		title: "an ID is not used again after a restart",
		run:   checkUniqueIDsAcrossRestarts,
	},
)

// ids remembers the IDs of one object.
type ids map[backend.VersionID]int

// add records the ID of the n-th version.
func (seen ids) add(id backend.VersionID, n int) error {
	if before, ok := seen[id]; ok {
		return unlike("every version of an object to have an ID of its own", "versions %d and %d both with %q", before, n, id)
	}
	seen[id] = n
	return nil
}

func checkUniqueIDs(ctx context.Context, e *env) error {
	s := e.stores[0]
	seen := make(ids)
	cond := backend.IfAbsent()
	bodies := []string{"a", "a", "b", "a", ""}
	for i := range 10 + 2*e.rounds() {
		o, err := write(ctx, s, object, []byte(bodies[i%len(bodies)]), cond)
		if err != nil {
			return err
		}
		if err := seen.add(o.ID, i); err != nil {
			return err
		}
		cond = backend.IfMatch(o.ETag)
	}
	list, err := listVersions(ctx, s, object, backend.VersionsRequest{}, len(seen))
	if err != nil {
		return err
	}
	if len(list) != len(seen) {
		return unlike(fmt.Sprintf("%d versions, equal bodies or not", len(seen)), "%d", len(list))
	}
	return nil
}

func checkETagsDiffer(ctx context.Context, e *env) error {
	s := e.stores[0]
	big := func(last byte) string {
		body := make([]byte, 70_000)
		body[len(body)-1] = last
		return string(body)
	}
	bodies := []string{"", "\x00", "\x00\x00", "a", "b", "a", "a ", "A", `{"v":1}`, `{"v":2}`, `{"v":1}`, big(0), big(1), big(0)}
	var last backend.Object
	cond := backend.IfAbsent()
	for i, body := range bodies {
		o, err := write(ctx, s, object, []byte(body), cond)
		if err != nil {
			return err
		}
		if i > 0 && o.ETag == last.ETag {
			return unlike(fmt.Sprintf("bodies %s and %s to have different ETags", showBody(last.Body), showBody(o.Body)), "both with %s", o.ETag)
		}
		last, cond = o, backend.IfMatch(o.ETag)
	}
	return nil
}

// checkUniqueIDsUnderRace accepts any number of writes that apply, which S3
// checks. Each of them must return an ID of its own.
func checkUniqueIDsUnderRace(ctx context.Context, e *env) error {
	stores := e.stores
	seen := make(ids)
	cond := backend.IfAbsent()
	for round := range e.rounds() {
		winners, err := contest(ctx, stores, object, racerBodies(racers, round), always(cond))
		if err != nil {
			return err
		}
		for _, o := range winners {
			if err := seen.add(o.ID, len(seen)); err != nil {
				return err
			}
		}
		v, err := stores[0].Head(ctx, object)
		if err != nil {
			return err
		}
		cond = backend.IfMatch(v.ETag)
	}
	list, err := listVersions(ctx, stores[0], object, backend.VersionsRequest{}, len(seen))
	if err != nil {
		return err
	}
	listed := make(ids)
	for i, v := range list {
		if err := listed.add(v.ID, i); err != nil {
			return err
		}
	}
	return nil
}

func checkUniqueIDsAcrossRestarts(ctx context.Context, e *env) error {
	s := e.stores[0]
	seen := make(ids)
	cond := backend.IfAbsent()
	for i := range 20 {
		if i%4 == 3 {
			var err error
			if s, err = e.restart(ctx); err != nil {
				return err
			}
		}
		// Equal bodies, for IDs that derive from the body and a counter.
		o, err := write(ctx, s, object, []byte("a"), cond)
		if err != nil {
			return err
		}
		if err := seen.add(o.ID, i); err != nil {
			return err
		}
		cond = backend.IfMatch(o.ETag)
	}
	return nil
}
