package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/immukv/immukv-go/immukv"
)

// args is a cobra.PositionalArgs that requires arguments with the given names.
func args(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usagef("missing argument: %s", strings.Join(names[len(args):], " "))
		case len(args) > len(names):
			return usagef("unexpected argument %q", args[len(names)])
		}
		return nil
	}
}

// countFlag is a flag for a whole number, zero or more.
type countFlag int

// Set reads the number.
func (f *countFlag) Set(text string) error {
	n, err := strconv.ParseInt(text, 10, 0)
	if err != nil || n < 0 {
		return fmt.Errorf("it must be a whole number, zero or more")
	}
	*f = countFlag(n)
	return nil
}

func (f *countFlag) String() string { return strconv.Itoa(int(*f)) }

// Type is what help would call the flag's value.
func (*countFlag) Type() string { return "n" }

// timeFlag is a flag that holds a time.
type timeFlag struct {
	time.Time
	set bool
}

// Set reads a time as RFC 3339 writes it.
func (f *timeFlag) Set(text string) (err error) {
	if f.Time, err = time.Parse(time.RFC3339, text); err != nil {
		return fmt.Errorf("it must be a time with its zone, such as 2026-11-24T09:00:00Z")
	}
	f.set = true
	return nil
}

func (f *timeFlag) String() string {
	if !f.set {
		return ""
	}
	return f.Format(time.RFC3339Nano)
}

// Type is what help would call the flag's value.
func (*timeFlag) Type() string { return "time" }

// checkpointFlag is a flag for a checkpoint: a sequence and a hash.
type checkpointFlag struct {
	immukv.Checkpoint
	set bool
}

const hashPrefix, hashDigits = "sha256:", 64

// Set reads SEQ:HASH, as reports print it.
func (f *checkpointFlag) Set(text string) error {
	sequence, hash, _ := strings.Cut(text, ":")
	n, err := strconv.ParseInt(sequence, 10, 64)
	digits, isHash := strings.CutPrefix(hash, hashPrefix)
	if err != nil || n < 0 || !isHash || len(digits) != hashDigits || strings.Trim(digits, "0123456789abcdef") != "" {
		return fmt.Errorf("it must be a sequence, a colon and a hash, like the head in a report: 41:sha256:9f86d081…")
	}
	f.Sequence, f.Hash, f.set = n, immukv.Hash(hash), true
	return nil
}

func (f *checkpointFlag) String() string {
	if !f.set {
		return ""
	}
	return formatCheckpoint(f.Checkpoint)
}

// Type is what help would call the flag's value.
func (*checkpointFlag) Type() string { return "SEQ:HASH" }

func formatCheckpoint(c immukv.Checkpoint) string {
	return fmt.Sprintf("%d:%s", c.Sequence, c.Hash)
}
