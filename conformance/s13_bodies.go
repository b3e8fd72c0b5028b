package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/immukv/immukv-go/backend"
)

// S13: bodies.
var bodyChecks = clause("S13",
	check{
		name: "any-bytes", cost: cost{fixed: 200},
		title: "bodies of any bytes come back exactly: none, one, every value, text that a system might convert",
		run:   checkAnyBytes,
	},
	check{
		name: "sizes", cost: cost{fixed: 100},
		title: "bodies of sizes up to a mebibyte come back exactly, among them those around the powers of two at which buffers end",
		run:   checkSizes,
	},
	check{
		name: "lines", cost: cost{fixed: 60},
		title: "bodies of several lines, each a JSON document, come back exactly, however many and long they are",
		run:   checkLines,
	},
	check{
		name: "largest", cost: cost{fixed: 3, deep: 10},
		title: "a body of the largest size comes back exactly",
		run:   checkLargest,
	},
	check{
		name: "too-large", cost: cost{fixed: 20},
		title: "a body over the limit fails as too large, and makes nothing",
		run:   checkTooLarge,
	},
	check{
		name: "large-side-by-side", cost: cost{fixed: 8 + 4*largeWriters, perRound: largeWriters + 2*largeRacers},
		title: "large bodies that are written and read at the same time come back exactly, each as its own",
		run:   checkLargeSideBySide,
	},
	check{
		name: "large-by-processes", needs: []Facility{Worker}, cost: cost{fixed: 8, perRound: 2 * processRacers},
		title: "large bodies that several operating-system processes write at the same time come back exactly, each as its own",
		run:   checkLargeByProcesses,
	},
)

// bodiesComeBack writes bodies as versions of one object and reads them all.
func bodiesComeBack(ctx context.Context, e *env, bodies [][]byte) error {
	stores := e.stores
	var written []backend.Object
	cond := backend.IfAbsent()
	for i, body := range bodies {
		o, err := write(ctx, stores[0], object, body, cond)
		if err != nil {
			return fmt.Errorf("body of %d bytes: %w", len(body), err)
		}
		if err := current(ctx, stores[i%2], object, o); err != nil {
			return err
		}
		cond, written = backend.IfMatch(o.ETag), append(written, o)
	}
	return survived(ctx, stores[1], object, written)
}

func checkAnyBytes(ctx context.Context, e *env) error {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	bodies := [][]byte{nil, {}, {0}, {255}, every, []byte("a\r\nb\nc\rd\x1a"), []byte("\ufeffbom"), []byte("\xff\xfe"), []byte("  spaced  "),
		[]byte("null"), []byte("{}"), []byte("<?xml version=\"1.0\"?><Error/>"), {0x1f, 0x8b, 8, 0}, bytes.Repeat([]byte{0}, 4096),
		[]byte("e\u0301 and é"), []byte("\n"), []byte("5\r\nhello\r\n0\r\n\r\n")}
	for i := range 256 {
		if i%16 == 0 {
			bodies = append(bodies, []byte{byte(i)})
		}
	}
	return bodiesComeBack(ctx, e, bodies)
}

func checkSizes(ctx context.Context, e *env) error {
	var bodies [][]byte
	for _, size := range []int{511, 512, 513, 4095, 4096, 4097, 8192, 32 << 10, 64<<10 - 1, 64 << 10, 64<<10 + 1, 128 << 10, 1<<20 - 1, 1 << 20, 1<<20 + 1} {
		bodies = append(bodies, e.noise(min(size, e.h.Limits.maxBody())))
	}
	return bodiesComeBack(ctx, e, bodies)
}

// checkLines writes bodies that a store may take for JSON or for text, and store
// in another form.
func checkLines(ctx context.Context, e *env) error {
	lines := func(n, size int) []byte {
		all := make([][]byte, n)
		for i := range all {
			all[i] = fmt.Appendf(nil, `{"line":%d,"text":"%s"}`, i, strings.Repeat("é", size/2))
		}
		body := bytes.Join(all, []byte("\n"))
		return body[:min(len(body), e.h.Limits.maxBody())]
	}
	return bodiesComeBack(ctx, e, [][]byte{
		lines(1, 10), lines(2, 10), lines(100, 100), lines(1000, 300), lines(5, 70<<10), lines(2, 200<<10),
		[]byte("{\"b\": 1.0,\t\"a\": 1e2, \"a\": \"\\u0041\"}\n{}"), []byte("{}\n\n{}\n"), []byte("[1]\r\n[2]"),
	})
}

// noise returns a body of random bytes, which cannot be compressed.
func (e *env) noise(size int) []byte {
	body := make([]byte, 0, size+8)
	for len(body) < size {
		n := e.rand.Uint64()
		body = append(body, byte(n), byte(n>>8), byte(n>>16), byte(n>>24), byte(n>>32), byte(n>>40), byte(n>>48), byte(n>>56))
	}
	return body[:size]
}

func checkLargest(ctx context.Context, e *env) error {
	size := e.h.Limits.maxBody()
	if !e.h.Deep {
		// A body of the contract's limit takes seconds on a network. The limit
		// itself is then left to the check too-large.
		size = min(size, 4<<20)
	}
	s := e.stores[0]
	o, err := write(ctx, s, object, e.noise(size), backend.IfAbsent())
	if err != nil {
		return err
	}
	got, err := s.Get(ctx, object)
	if err != nil {
		return err
	}
	if err := same("Get", o, got); err != nil {
		return err
	}
	return readable(ctx, s, object, o)
}

func checkTooLarge(ctx context.Context, e *env) error {
	s, written, err := e.written(ctx, 1)
	if err != nil {
		return err
	}
	body := make([]byte, e.h.Limits.maxBody()+1)
	calls := []struct {
		name string
		cond backend.Condition
	}{{"new", backend.IfAbsent()}, {object, backend.IfMatch(written[0].ETag)}}
	for _, c := range calls {
		if _, err := s.Put(ctx, c.name, body, c.cond); !errors.Is(err, backend.ErrTooLarge) {
			return unlike(fmt.Sprintf("a body of %d bytes to fail with %q", len(body), backend.ErrTooLarge), "%s", outcome(err))
		}
	}
	if err := absent(ctx, s, "new"); err != nil {
		return err
	}
	return history(ctx, s, object, written)
}
