package conformance

import (
	"context"

	"github.com/immukv/immukv-go/backend"
)

// S1: a write if absent applies if, and only if, the object is absent.
var createChecks = clause("S1",
	check{
		name: "create", cost: cost{fixed: 20},
		title: "a write if absent makes an object that does not exist",
		run:   checkCreate,
	},
	check{
		name: "create-on-present", cost: cost{fixed: 50},
		title: "a write if absent does nothing to an object that exists, whatever its body and however many its versions",
		run:   checkCreateOnPresent,
	},
)

func checkCreate(ctx context.Context, e *env) error {
	s := e.stores[0]
	for _, name := range e.h.Limits.held([]string{object, object + "/below", "log.json"}) {
		if err := absent(ctx, s, name); err != nil {
			return err
		}
		o, err := write(ctx, s, name, []byte("first"), backend.IfAbsent())
		if err != nil {
			return err
		}
		if err := current(ctx, s, name, o); err != nil {
			return err
		}
	}
	return nil
}

func checkCreateOnPresent(ctx context.Context, e *env) error {
	handles := e.stores
	s, other := handles[0], handles[1]
	var written []backend.Object
	cond := backend.IfAbsent()
	// The empty body comes first and again: a store may mistake an empty
	// object for none.
	for _, body := range []string{"", "second", "", "fourth"} {
		o, err := write(ctx, s, object, []byte(body), cond)
		if err != nil {
			return err
		}
		written = append(written, o)
		cond = backend.IfMatch(o.ETag)
		for _, again := range []string{body, "another", ""} {
			for _, handle := range []backend.VersionedStore{s, other} {
				if err := mustFail(ctx, handle, object, []byte(again), backend.IfAbsent()); err != nil {
					return err
				}
			}
		}
		if err := current(ctx, other, object, o); err != nil {
			return err
		}
	}
	return history(ctx, s, object, written)
}
