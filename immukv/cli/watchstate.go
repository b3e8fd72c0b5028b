package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/internal/statefile"
)

// watchState is the file in which a watch keeps how far it has come; it keeps nothing if
// the file has no name. There are two lines: what the file is, and the checkpoint of the
// entry that was printed last.
type watchState struct{ file string }

const watchStateTitle = "immukv watch state v1"

// load reads where to begin, or nil if there is no file yet. Any other content than what
// save writes is an error, lest somebody else's file be replaced, or a part of one be
// taken for the whole.
func (s *watchState) load() (*immukv.Checkpoint, error) {
	if s.file == "" {
		return nil, nil
	}
	f, err := os.Open(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	var c checkpointFlag
	lines := strings.Split(string(text), "\n")
	if len(lines) != 3 || lines[0] != watchStateTitle || lines[2] != "" || c.Set(lines[1]) != nil || s.text(c.Checkpoint) != string(text) {
		return nil, &inputError{fmt.Errorf("%s is not the state of a watch, or is damaged: restore it, or remove it to begin anew", s.file)}
	}
	return &c.Checkpoint, nil
}

func (s *watchState) text(c immukv.Checkpoint) string {
	return watchStateTitle + "\n" + formatCheckpoint(c) + "\n"
}

// save replaces the file, after what was printed is as durable as that will be.
func (s *watchState) save(c immukv.Checkpoint, printed io.Writer) error {
	if s.file == "" {
		return nil
	}
	if f, ok := printed.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			if err := f.Sync(); err != nil {
				return fmt.Errorf("write out what was printed: %w", err)
			}
		}
	}
	if err := statefile.Replace(s.file, []byte(s.text(c))); err != nil {
		return fmt.Errorf("keep the state: %w", err)
	}
	return nil
}
