package conformance

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/immukv/immukv-go/backend"
)

// S6: no reader sees a part of a version.
var wholenessChecks = clause("S6",
	check{
		name: "big-bodies-while-written", cost: cost{fixed: 30, perRound: 1 + wholeReaders*wholeReads*3},
		title: "a body read while others are written is that of one version, from the first byte to the last",
		run:   checkWholeWhileWritten,
	},
	check{
		name: "no-glimpse-of-a-create", cost: cost{fixed: 10, perRound: 4 + wholeReaders*wholeReads},
		title: "an object that is being created is absent or complete",
		run:   checkWholeCreate,
	},
	check{
		name: "listed-is-readable", cost: cost{fixed: 30, perRound: 1 + wholeReaders*wholeReads*3},
		title: "a version that is listed while others are written can be read",
		run:   checkListedIsReadable,
	},
)

const (
	wholeReaders = 3
	wholeReads   = 3
	wholeSize    = 128 << 10 // more than a pipe or a socket takes at once
)

// pattern returns a body that any eight bytes of it identify, as its length
// does.
func pattern(i int) []byte {
	return bytes.Repeat(patternWord(i), (wholeSize+i*512)/8)
}

func patternWord(i int) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(i)*0x9e3779b97f4a7c15+1)
}

// whole checks that a body is a pattern of one of the first n writes.
func whole(body []byte, n int) error {
	for i := range n {
		if bytes.HasPrefix(body, patternWord(i)) {
			if want := pattern(i); !bytes.Equal(body, want) {
				return unlike(fmt.Sprintf("the whole body of write %d, %d bytes", i, len(want)), "%d bytes, some of them not its own", len(body))
			}
			return nil
		}
	}
	return unlike("a body that was written", "%s", showBody(body))
}

// whileWriting writes versions of an object, with readers during each write.
func (e *env) whileWriting(ctx context.Context, read func(s backend.VersionedStore, writes int) error) error {
	stores := e.stores
	o, err := write(ctx, stores[0], object, pattern(0), backend.IfAbsent())
	if err != nil {
		return err
	}
	for i := 1; i <= e.rounds(); i++ {
		err := together(1+wholeReaders, func(worker int) error {
			if worker == 0 {
				var err error
				o, err = write(ctx, stores[0], object, pattern(i), backend.IfMatch(o.ETag))
				return err
			}
			for range wholeReads {
				if err := read(stores[worker%2], i+1); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func checkWholeWhileWritten(ctx context.Context, e *env) error {
	return e.whileWriting(ctx, func(s backend.VersionedStore, writes int) error {
		o, err := s.Get(ctx, object)
		if err != nil {
			return unlike("an object that exists to be read while it is written", "%v", err)
		}
		if err := whole(o.Body, writes); err != nil {
			return err
		}
		v, err := s.Head(ctx, object)
		if err != nil {
			return err
		}
		again, err := s.GetVersion(ctx, object, v.ID)
		if err != nil {
			return unlike("the current version to be read by its ID while another is written", "%v", err)
		}
		if again.Version != v {
			return unlike(fmt.Sprintf("GetVersion to return %+v, as Head did", v), "%+v", again.Version)
		}
		return whole(again.Body, writes)
	})
}

func checkListedIsReadable(ctx context.Context, e *env) error {
	return e.whileWriting(ctx, func(s backend.VersionedStore, writes int) error {
		versions, err := begins(ctx, s, object, backend.VersionsRequest{Limit: 2})
		if err != nil {
			return err
		}
		for _, v := range versions {
			o, err := s.GetVersion(ctx, object, v.ID)
			if err != nil {
				return unlike(fmt.Sprintf("version %q, which was listed, to be readable", v.ID), "%v", err)
			}
			if o.Version != v {
				return unlike(fmt.Sprintf("GetVersion to return %+v, as listed", v), "%+v", o.Version)
			}
			if err := whole(o.Body, writes); err != nil {
				return err
			}
		}
		return nil
	})
}

func checkWholeCreate(ctx context.Context, e *env) error {
	stores := e.stores
	for round := range e.rounds() {
		name := fmt.Sprintf("%s-%d", object, round)
		var made backend.Object
		err := together(1+wholeReaders, func(worker int) error {
			if worker == 0 {
				var err error
				made, err = write(ctx, stores[0], name, pattern(round), backend.IfAbsent())
				return err
			}
			for range wholeReads {
				o, err := stores[worker%2].Get(ctx, name)
				if errors.Is(err, backend.ErrNotFound) {
					continue
				}
				if err != nil {
					return unlike("an object that is being made to be absent or all there", "%v", err)
				}
				if err := whole(o.Body, round+1); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := current(ctx, stores[1], name, made); err != nil {
			return err
		}
	}
	return nil
}
