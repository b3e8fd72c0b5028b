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

// Beside the versions of an object in a directory lies a hint, which names the
// newest of them, so that finding it costs the same however many there are.
//
// The hint is written when a version is durable, and is not made durable
// itself. It so never names a version that a crash can take back. After a crash
// it may name one that is not the newest any more, and readers look whether there
// are newer ones; or be gone or garbled, and they read the directory.
//
// A writer marks the hint before it begins and unmarks it at the end. A mark seen
// under the lock was left by a writer that was killed, and says that its
// temporary file is to be removed. So may a hint that says nothing.

// hintName is the base of the hint's path. It is that of no version.
const hintName = "latest"

// hintMark follows the number of the newest version while a writer is at work.
const hintMark = "writing"

// hintBytes is the size of every hint: it is overwritten in place and in one
// piece, and a shorter text leaves nothing of a longer one.
const hintBytes = 64

type hint struct {
	newest int64 // 0 if the hint does not say
	marked bool
}

// readHint reads the hint of an object. One that is not there or makes no sense
// says nothing.
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
		return hint{}, nil // as one that is garbled
	}
	return parseHint(string(text[:n])), nil
}

// parseHint understands what formatHint returns, and nothing that a crash may
// have made of it: the name of a version's file holds its number twice, and the
// two must agree.
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

// writeHint replaces the hint of an object. Failing does no harm but to speed.
func (d *dir) writeHint(object string, h hint) {
	f, err := os.OpenFile(d.file(object, hintName), os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return
	}
	_, _ = f.WriteAt([]byte(formatHint(h)), 0)
	_ = f.Close()
}

// sweep removes the temporary files that fileblob made in the object's directory
// for writers that were killed. The caller holds the lock, and so has no other
// writer at work.
func (d *dir) sweep(object string) error {
	return d.eachFile(object, func(base string) {
		// Such as 9999999999999996.v3.18a0b1c2d3e4f506.tmp
		rest, temporary := strings.CutSuffix(base, ".tmp")
		version := strings.TrimSuffix(rest, filepath.Ext(rest))
		if _, ok := numberOfBase(version); ok && temporary {
			// What cannot be removed is in nobody's way.
			_ = os.Remove(d.file(object, base))
		}
	})
}

func (d *dir) file(object, base string) string {
	return filepath.Join(d.root, filepath.FromSlash(object), base)
}
