package blobstore

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/immukv/immukv-go/backend"
)

// TestHints gives object o, of five versions, all manner of hints.
func TestHints(t *testing.T) {
	text := func(n int64) string { return formatHint(hint{newest: n}) }
	for name, spoil := range map[string]func(path string) error{
		"missing":    os.Remove,
		"empty":      func(path string) error { return os.Truncate(path, 0) },
		"cut":        func(path string) error { return os.Truncate(path, 20) },
		"garbage":    func(path string) error { return os.WriteFile(path, slices.Repeat([]byte{0xff}, hintBytes), 0o666) },
		"zeros":      func(path string) error { return os.WriteFile(path, make([]byte, hintBytes), 0o666) },
		"torn":       func(path string) error { return os.WriteFile(path, []byte(text(9)[:16]+text(5)[16:]), 0o666) },
		"of nothing": func(path string) error { return os.WriteFile(path, []byte(text(0)), 0o666) },
		"stale":      func(path string) error { return os.WriteFile(path, []byte(text(4)), 0o666) },
		"very stale": func(path string) error { return os.WriteFile(path, []byte(text(1)), 0o666) },
		"marked":     func(path string) error { return os.WriteFile(path, []byte(formatHint(hint{5, true})), 0o666) },
		"a directory": func(path string) error {
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o777))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, d := openTest(t)
			put(t, s, 1, 2, 3, 4, 5)
			if err := spoil(d.file("o!", hintName)); err != nil {
				t.Fatal(err)
			}
			mustHave(t, s, 5)
			if _, err := s.Put(t.Context(), "o", nil, backend.IfMatch("e4")); !errors.Is(err, backend.ErrPreconditionFailed) {
				t.Errorf("a write over version 4: %v", err)
			}
			put(t, s, 6)
			mustHave(t, s, 6)
			if h, err := d.readHint("o!"); name != "a directory" && (err != nil || h != (hint{newest: 6})) {
				t.Errorf("the hint says %+v, %v after the next write", h, err)
			}
		})
	}
}

// endingContext is one that ends when its Err has been called a number of times.
type endingContext struct {
	context.Context
	left int
}

func (c *endingContext) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestCancelledBehindHint: the way from a hint to the newest version can be long.
func TestCancelledBehindHint(t *testing.T) {
	s, d := openTest(t)
	put(t, s, 1, 2, 3, 4, 5, 6, 7, 8)
	d.writeHint("o!", hint{newest: 1})
	if o, err := s.Get(&endingContext{t.Context(), 3}, "o"); !errors.Is(err, context.Canceled) {
		t.Errorf("S18: %+v, %v", o, err)
	}
}

// TestLeftovers: what a killed writer left is not seen, and swept away by the next.
func TestLeftovers(t *testing.T) {
	s, d := openTest(t)
	put(t, s, 1, 2)
	leave := func(base string) {
		if err := os.WriteFile(d.file("o!", base), []byte("half"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	leave(baseOf(3) + ".18a0b1c2d3e4f506.tmp")
	leave(baseOf(4) + ".18a0b1c2d3e4f507.tmp")
	leave("notes.tmp")
	leave("notes")
	leave(baseOf(5) + ".orig")
	mustHave(t, s, 2)
	if err := os.Remove(d.file("o!", hintName)); err != nil {
		t.Fatal(err)
	}
	mustHave(t, s, 2)
	d.writeHint("o!", hint{newest: 2, marked: true})
	put(t, s, 3)
	want := []string{baseOf(5) + ".orig", baseOf(3), baseOf(2), baseOf(1), hintName, "notes", "notes.tmp"}
	if diff := cmp.Diff(want, bases(t, d, "o!")); diff != "" {
		t.Error(diff)
	}
}

// TestLeftoversWithoutHint: a hint that was lost says nothing of what is left.
func TestLeftoversWithoutHint(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"missing": os.Remove,
		"empty":   func(path string) error { return os.Truncate(path, 0) },
	} {
		s, d := openTest(t)
		put(t, s, 1)
		if err := os.WriteFile(d.file("o!", baseOf(2)+".18a0b1c2d3e4f506.tmp"), nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := spoil(d.file("o!", hintName)); err != nil {
			t.Fatal(err)
		}
		put(t, s, 2)
		if left := bases(t, d, "o!"); len(left) != 3 {
			t.Errorf("%s: %q", name, left)
		}
	}
}
