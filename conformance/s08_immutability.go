package conformance

import (
	"context"
	"fmt"

	"github.com/immukv/immukv-go/backend"
)

// S8: a version never changes.
var immutabilityChecks = clause("S8",
	check{
		name: "old-versions-readable", cost: cost{fixed: 80},
		title: "every old version reads back with its body, ID and ETag, however many came after and through any handle",
		run:   checkOldVersions,
	},
	check{
		name: "reads-agree", cost: cost{fixed: 70},
		title: "Get, Head, GetVersion and ListVersions agree on a version, again and again",
		run:   checkReadsAgree,
	},
	check{
		name: "body-passed-in-not-kept", cost: cost{fixed: 20},
		title: "a body changed by the caller after the write leaves the version as it was",
		run:   checkBodyNotKept,
	},
	check{
		name: "body-passed-in-not-changed", cost: cost{fixed: 10},
		title: "a write leaves the caller's body as it was",
		run:   checkBodyNotChanged,
	},
	check{
		name: "body-returned-not-shared", cost: cost{fixed: 40},
		title: "a body changed by the caller after a read leaves the version and other readers' bodies as they were",
		run:   checkBodyNotShared,
	},
)

func checkOldVersions(ctx context.Context, e *env) error {
	stores := e.stores
	written, err := chain(ctx, stores[0], object, 20)
	if err != nil {
		return err
	}
	for i, o := range written {
		for _, s := range stores {
			if err := readable(ctx, s, object, o); err != nil {
				return fmt.Errorf("version %d of %d: %w", i, len(written), err)
			}
		}
	}
	return history(ctx, stores[1], object, written)
}

func checkReadsAgree(ctx context.Context, e *env) error {
	stores := e.stores
	written, err := chain(ctx, stores[0], object, 3)
	if err != nil {
		return err
	}
	for range 3 {
		for _, s := range stores {
			if err := survived(ctx, s, object, written); err != nil {
				return err
			}
		}
	}
	// A version with an equal body may have an equal ETag, and is still
	// another version.
	again, err := write(ctx, stores[0], object, written[2].Body, backend.IfMatch(written[2].ETag))
	if err != nil {
		return err
	}
	for _, s := range stores {
		if err := survived(ctx, s, object, append(written, again)); err != nil {
			return err
		}
	}
	return nil
}

func checkBodyNotKept(ctx context.Context, e *env) error {
	s := e.stores[0]
	// The capacity beyond the length of the slice is the caller's, too.
	body := append(make([]byte, 0, 64), "as written"...)
	o, err := write(ctx, s, object, body, backend.IfAbsent())
	if err != nil {
		return err
	}
	o.Body = []byte("as written")
	copy(body, "SCRIBBLED!")
	_ = append(body, "more"...)
	return survived(ctx, s, object, []backend.Object{o})
}

func checkBodyNotChanged(ctx context.Context, e *env) error {
	s := e.stores[0]
	buffer := []byte("as passed|beyond")
	body := buffer[:9]
	if _, err := write(ctx, s, object, body, backend.IfAbsent()); err != nil {
		return err
	}
	if err := mustFail(ctx, s, object, body, backend.IfAbsent()); err != nil {
		return err
	}
	if string(buffer) != "as passed|beyond" {
		return unlike(`the body passed to Put to stay "as passed", and what is beyond it "|beyond"`, "%q", buffer)
	}
	return nil
}

func checkBodyNotShared(ctx context.Context, e *env) error {
	s, written, err := e.written(ctx, 2)
	if err != nil {
		return err
	}
	newest := written[1]
	reads := map[string]func() (backend.Object, error){
		"Get":        func() (backend.Object, error) { return s.Get(ctx, object) },
		"GetVersion": func() (backend.Object, error) { return s.GetVersion(ctx, object, newest.ID) },
	}
	for method, read := range reads {
		held, err := read()
		if err != nil {
			return err
		}
		scribbled, err := read()
		if err != nil {
			return err
		}
		for i := range scribbled.Body {
			scribbled.Body[i] = 'X'
		}
		_ = append(scribbled.Body, "more"...)
		if err := same("the body that another "+method+" had returned", newest, held); err != nil {
			return err
		}
		if err := survived(ctx, s, object, written); err != nil {
			return err
		}
	}
	return nil
}
