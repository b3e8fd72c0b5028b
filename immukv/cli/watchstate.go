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

// watchState is the file in which a watch saves its position; without a name, nothing is
// saved. The file has two lines: a header, and the checkpoint of the entry that was
// printed last.
type watchState struct{ file string }

const watchStateTitle = "immukv watch state v1"

// load reads the position, or returns nil if there is no file yet. Content that save
// would not write is an error, so that no other file is overwritten and no partial file
// is used.
func (s *watchState) load() (*immukv.Checkpoint, error) {
	if s.file == "" {
		return nil, nil
	}
	f, err := os.Open(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the state file: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return nil, fmt.Errorf("read the state file: %w", err)
	}
	var c checkpointFlag
	lines := strings.Split(string(text), "\n")
	if len(lines) != 3 || lines[0] != watchStateTitle || lines[2] != "" || c.Set(lines[1]) != nil || s.text(c.Checkpoint) != string(text) {
		return nil, &inputError{fmt.Errorf("%s is not a state file of watch, or is damaged: restore it, or remove it to begin again", s.file)}
	}
	return &c.Checkpoint, nil
}

func (s *watchState) text(c immukv.Checkpoint) string {
	return watchStateTitle + "\n" + formatCheckpoint(c) + "\n"
}

// save syncs the output and then replaces the file.
func (s *watchState) save(c immukv.Checkpoint, printed io.Writer) error {
	if s.file == "" {
		return nil
	}
	if f, ok := printed.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			if err := f.Sync(); err != nil {
				return fmt.Errorf("flush the output: %w", err)
			}
		}
	}
	if err := statefile.Replace(s.file, []byte(s.text(c))); err != nil {
		return fmt.Errorf("write the state file: %w", err)
	}
	return nil
}
