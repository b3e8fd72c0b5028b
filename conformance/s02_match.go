package conformance

import (
	"context"

	"github.com/immukv/immukv-go/backend"
)

// S2: a write if matching applies if, and only if, the ETag is that of the current
// version.
var matchChecks = clause("S2",
	check{
		name: "match-current", cost: cost{fixed: 30},
		title: "a write if matching applies under the ETag of the current version, whichever read it came from",
		run:   checkMatchCurrent,
	},
	check{
		name: "match-stale", cost: cost{fixed: 30},
		title: "a write under the ETag of any earlier version does nothing",
		run:   checkMatchStale,
	},
	check{
		name: "match-foreign", cost: cost{fixed: 20},
		title: "a write under an ETag that no version has, or another object's, does nothing",
		run:   checkMatchForeign,
	},
	check{
		name: "match-missing", cost: cost{fixed: 20},
		title: "a write if matching fails on an object that does not exist, as a failed precondition, and makes none",
		run:   checkMatchMissing,
	},
	check{
		name: "no-condition", cost: cost{fixed: 15},
		title: "a write without a condition fails and does nothing",
		run:   checkNoCondition,
	},
)

func checkMatchCurrent(ctx context.Context, e *env) error {
	handles := e.stores
	s, other := handles[0], handles[1]
	written, err := chain(ctx, s, object, 1)
	if err != nil {
		return err
	}
	tags := []func() (backend.ETag, error){
		func() (backend.ETag, error) { return written[len(written)-1].ETag, nil },
		func() (backend.ETag, error) { v, err := s.Head(ctx, object); return v.ETag, err },
		func() (backend.ETag, error) { o, err := other.Get(ctx, object); return o.ETag, err },
		func() (backend.ETag, error) {
			o, err := other.GetVersion(ctx, object, written[len(written)-1].ID)
			return o.ETag, err
		},
		func() (backend.ETag, error) {
			list, err := listVersions(ctx, other, object, backend.VersionsRequest{}, len(written))
			if err != nil || len(list) == 0 {
				return "", err
			}
			return list[0].ETag, nil
		},
	}
	for i, source := range tags {
		tag, err := source()
		if err != nil {
			return err
		}
		o, err := write(ctx, s, object, make([]byte, i%2), backend.IfMatch(tag))
		if err != nil {
			return err
		}
		written = append(written, o)
		if err := current(ctx, other, object, o); err != nil {
			return err
		}
	}
	return history(ctx, s, object, written)
}

func checkMatchStale(ctx context.Context, e *env) error {
	handles := e.stores
	s, other := handles[0], handles[1]
	written, err := chain(ctx, s, object, 6)
	if err != nil {
		return err
	}
	for _, old := range written[:len(written)-1] {
		// Even with its own body: the write does not repeat that one.
		for _, body := range [][]byte{old.Body, []byte("another")} {
			if err := mustFail(ctx, other, object, body, backend.IfMatch(old.ETag)); err != nil {
				return err
			}
		}
	}
	if err := current(ctx, s, object, written[len(written)-1]); err != nil {
		return err
	}
	return history(ctx, s, object, written)
}

func checkMatchForeign(ctx context.Context, e *env) error {
	s, written, err := e.written(ctx, 2)
	if err != nil {
		return err
	}
	foreign, err := chain(ctx, s, object+"-2", 1)
	if err != nil {
		return err
	}
	tag := written[1].ETag
	tags := []backend.ETag{foreign[0].ETag, unlikeTag(tag), tag[:len(tag)/2], tag + tag, `"0123456789abcdef0123456789abcdef"`, `""`, "*"}
	for _, foreign := range tags {
		if foreign == "" || foreign == tag {
			continue // of tags as short as they are opaque
		}
		if err := mustFail(ctx, s, object, []byte("another"), backend.IfMatch(foreign)); err != nil {
			return err
		}
	}
	return history(ctx, s, object, written)
}

func checkMatchMissing(ctx context.Context, e *env) error {
	handles := e.stores
	s, other := handles[0], handles[1]
	foreign, err := chain(ctx, s, object, 1)
	if err != nil {
		return err
	}
	tag := foreign[0].ETag
	for _, name := range e.h.Limits.held([]string{object + "-2", "elsewhere", "elsewhere/below"}) {
		for _, tag := range []backend.ETag{tag, unlikeTag(tag)} {
			if err := mustFail(ctx, s, name, []byte("created by a condition that fails"), backend.IfMatch(tag)); err != nil {
				return err
			}
		}
		if err := absent(ctx, other, name); err != nil {
			return err
		}
	}
	return nil
}

func checkNoCondition(ctx context.Context, e *env) error {
	s, written, err := e.written(ctx, 1)
	if err != nil {
		return err
	}
	for _, cond := range []backend.Condition{{}, backend.IfMatch("")} {
		for _, name := range []string{object, "elsewhere"} {
			if _, err := s.Put(ctx, name, []byte("unconditional"), cond); err == nil {
				return unlike("a write without a condition to fail", "success")
			}
		}
	}
	if err := history(ctx, s, object, written); err != nil {
		return err
	}
	return absent(ctx, s, "elsewhere")
}
