package blobstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// In a directory, each object has a hint beside its versions. It names the newest
// version, so that finding that takes the same time for any number of versions.
//
// The hint is written after its version is durable, and is not synced itself. So it never
// names a version that a crash can undo. After a crash it may name an older version:
// readers check whether there are newer ones. Or it may be missing or garbled: then they
// read the directory.
//
// A writer marks the hint before it begins, and removes the mark at the end. A mark that
// is found under the lock was left by a killed writer, whose temporary file must be
// removed. An unreadable hint counts as marked.

// hintName is the base of the hint's path. No version has it.
const hintName = "latest"

// hintMark follows the number of the newest version while a writer is at work.
const hintMark = "writing"

// hintBytes is the size of every hint. A hint is overwritten in place by one write, and a
// shorter text must leave nothing of a longer one.
const hintBytes = 64

type hint struct {
	newest int64 // 0 if not known
	marked bool
}

// readHint reads the hint of an object. A missing or garbled hint gives the zero value.
func (d *dir) readHint(object string) (hint, error) {
	f, err := os.Open(d.file(object, hintName))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return hint{}, err
	}
	defer f.Close()
	text := make([]byte, hintBytes)
	n, err := io.ReadFull(f, text)
	if err != nil {
		return hint{}, nil // like a garbled one
	}
	return parseHint(string(text[:n])), nil
}

// parseHint parses what formatHint returns, and rejects what a crash may have made of it:
// the name of a version's file contains its number twice, and the two must be equal.
func parseHint(text string) hint {
	base, mark, _ := strings.Cut(strings.TrimRight(text, " \n"), " ")
	n, ok := numberOfBase(base)
	if !ok {
		n = 0
	}
	return hint{newest: n, marked: mark == hintMark}
}

func formatHint(h hint) string {
	text := baseOf(h.newest)
	if h.marked {
		text += " " + hintMark
	}
	return fmt.Sprintf("%-*s\n", hintBytes-1, text)
}

// writeHint replaces the hint of an object. A failure only makes reads slower.
func (d *dir) writeHint(object string, h hint) {
	f, err := os.OpenFile(d.file(object, hintName), os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return
	}
	_, _ = f.WriteAt([]byte(formatHint(h)), 0)
	_ = f.Close()
}

// sweep removes the temporary files that killed writers left in the object's directory.
// The caller holds the lock, so no other writer is at work.
func (d *dir) sweep(object string) error {
	return d.eachFile(object, func(base string) {
		// Such as 9999999999999996.v3.18a0b1c2d3e4f506.tmp
		rest, temporary := strings.CutSuffix(base, ".tmp")
		version := strings.TrimSuffix(rest, filepath.Ext(rest))
		if _, ok := numberOfBase(version); ok && temporary {
			// A file that cannot be removed does no harm.
			_ = os.Remove(d.file(object, base))
		}
	})
}

func (d *dir) file(object, base string) string {
	return filepath.Join(d.root, filepath.FromSlash(object), base)
}
