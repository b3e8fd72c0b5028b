package conformance

import (
	"context"
	"fmt"

	"github.com/immukv/immukv-go/backend"
)

// S7: once a write has returned, every read through any handle reflects it.
var freshnessChecks = clause("S7",
	check{
		name: "read-after-write", cost: cost{fixed: 10, perRound: 14},
		title: "once a write has returned, every read and listing reflects it, through its own handle and another",
		run:   checkReadAfterWrite,
	},
	check{
		name: "created-after-absent", cost: cost{fixed: 10, perRound: 18},
		title: "an object that was read as absent, and listed as such, is there once another has made it",
		run:   checkCreatedAfterAbsent,
	},
	check{
		name: "never-older-while-written", cost: cost{fixed: 10, perRound: 1 + 4*4},
		title: "reads that run while the next version is written return no version older than the last that was acknowledged",
		run:   checkNeverOlder,
	},
)

func checkReadAfterWrite(ctx context.Context, e *env) error {
	stores := e.stores
	var written []backend.Object
	cond := backend.IfAbsent()
	for i := range e.rounds() {
		// The handles write alternately, so that what one of them caches of
		// its own writes becomes stale.
		o, err := write(ctx, stores[i%2], object, fmt.Appendf(nil, "version %d", i), cond)
		if err != nil {
			return err
		}
		cond, written = backend.IfMatch(o.ETag), append(written, o)
		for _, s := range stores {
			if err := fresh(ctx, s, written); err != nil {
				return err
			}
		}
	}
	return nil
}

// fresh checks that every kind of read reflects the last version written.
func fresh(ctx context.Context, s backend.VersionedStore, written []backend.Object) error {
	newest := written[len(written)-1]
	if err := current(ctx, s, object, newest); err != nil {
		return err
	}
	if err := readable(ctx, s, object, newest); err != nil {
		return err
	}
	if err := history(ctx, s, object, written); err != nil {
		return err
	}
	// A listing after the newest version must know that version.
	before := newestFirst(written[:len(written)-1])
	versions, err := listVersions(ctx, s, object, backend.VersionsRequest{After: newest.ID}, len(before))
	if err != nil {
		return err
	}
	if err := sameSet(show(object)+" after the one just written", before, versions); err != nil {
		return err
	}
	return listed(ctx, s, []string{object}, backend.NamesRequest{})
}

func checkCreatedAfterAbsent(ctx context.Context, e *env) error {
	stores := e.stores
	for i := range e.rounds() {
		// Each object has a new prefix: a store may cache that a directory
		// does not exist.
		prefix := fmt.Sprintf("new-%d/", i)
		name := prefix + "object"
		for _, s := range stores {
			if err := absent(ctx, s, name); err != nil {
				return err
			}
			if err := listed(ctx, s, nil, backend.NamesRequest{Prefix: prefix}); err != nil {
				return err
			}
		}
		o, err := write(ctx, stores[i%2], name, []byte("made"), backend.IfAbsent())
		if err != nil {
			return err
		}
		for _, s := range stores {
			if err := current(ctx, s, name, o); err != nil {
				return err
			}
			if err := history(ctx, s, name, []backend.Object{o}); err != nil {
				return err
			}
			if err := listed(ctx, s, []string{name}, backend.NamesRequest{Prefix: prefix}); err != nil {
				return err
			}
		}
	}
	return nil
}

// readings are the ways to read the object's current version, and one to read
// an earlier version.
func readings(ctx context.Context, s backend.VersionedStore, id backend.VersionID) []func() (backend.Version, error) {
	return []func() (backend.Version, error){
		func() (backend.Version, error) { o, err := s.Get(ctx, object); return o.Version, err },
		func() (backend.Version, error) { return s.Head(ctx, object) },
		func() (backend.Version, error) {
			versions, err := begins(ctx, s, object, backend.VersionsRequest{Limit: 1})
			if err != nil || len(versions) == 0 {
				return backend.Version{}, err
			}
			return versions[0], nil
		},
		func() (backend.Version, error) { o, err := s.GetVersion(ctx, object, id); return o.Version, err },
	}
}

func checkNeverOlder(ctx context.Context, e *env) error {
	const readers = 4
	stores := e.stores
	last, err := write(ctx, stores[0], object, []byte{0}, backend.IfAbsent())
	if err != nil {
		return err
	}
	older := make(map[backend.VersionID]bool)
	for i := 1; i <= e.rounds(); i++ {
		var next backend.Object
		err := together(1+readers, func(worker int) error {
			if worker == 0 {
				var err error
				next, err = write(ctx, stores[i%2], object, []byte{byte(i)}, backend.IfMatch(last.ETag))
				return err
			}
			for _, read := range readings(ctx, stores[worker%2], last.ID) {
				v, err := read()
				if err != nil {
					return unlike("an object that exists to be read while it is written", "%v", err)
				}
				if v.ID == "" || older[v.ID] {
					return unlike(fmt.Sprintf("version %q, which was acknowledged before the read began, or a newer one", last.ID), "version %q", v.ID)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		older[last.ID] = true
		last = next
	}
	return nil
}
