package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// app is one run of the command: its streams and its global flags.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	store    string
	prefix   string
	readOnly bool
	json     bool
	timeout  time.Duration
	logging  logFlags

	telemetry *telemetry // nil before the command line has been parsed

	// ofFile is set by commands that check a file, so that hints do not refer to the
	// store.
	ofFile bool
	// parsed is set once the command line has been parsed: an error before that is a
	// usage error.
	parsed bool
}

const rootLong = `immukv reads, writes and verifies an immutable key-value store. It keeps every value
that a key ever had, in one hash-chained log of all keys, and detects changes made by
other means.

The store is a URL, given with --store or in IMMUKV_STORE:

  file:///var/lib/calibration?create_dir=true    local files
  s3://bucket?region=eu-central-1                S3 and compatible servers
  gs://bucket, azblob://container                Google Cloud Storage, Azure
  mem://                                         in memory, lost when the command ends

Data goes to standard output, everything else to standard error. With --json,
data is one JSON object a line. An entry has the fields

  key value sequence timestamp_ms version_id previous_version_id hash
  previous_hash dialect

where previous_version_id is null on the first entry, and on entries that get and
history read from the key's own object, which does not have it.

Exit codes:

  0  done
  1  failed
  2  usage: the command line, a key or a value on it, or the store's URL is wrong;
     of bucket plan: something would change, and the plan is on standard output
  3  not found
  4  a verification or check has findings, or data that was read cannot be trusted
  5  a condition did not hold, or other writers won every attempt: nothing is written
  6  outcome unknown: a write may be in the log, now or later

If the environment variable OTEL_EXPORTER_OTLP_ENDPOINT names a collector, traces and
metrics of the store and of every call are sent there by OTLP. OpenTelemetry's other
variables apply, too. Keys and values are never sent.

An interrupt ends any command promptly, and the command reports what it did. A running
write gets two seconds to finish. A second interrupt ends the command at once.`

const rootExample = `  export IMMUKV_STORE='file:///var/lib/calibration?create_dir=true'
  immukv set sensor-012352 '{"alpha":0.15,"beta":2.8}'
  immukv get sensor-012352
  immukv audit`

// root is the command tree.
func (a *app) root(args []string) *cobra.Command {
	root := &cobra.Command{
		Use:     "immukv [--store URL] [--prefix P] [--read-only] [--json] [--timeout D] [--log-level L] [--log-format F] COMMAND",
		Short:   "An immutable, hash-chained key-value store",
		Long:    rootLong,
		Example: rootExample,
		Args:    cobra.ArbitraryArgs,
		RunE:    runRoot,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if a.timeout < 0 {
				return usagef("--timeout %v is negative", a.timeout)
			}
			a.parsed = true
			var err error
			a.telemetry, err = newTelemetry(cmd.Context(), a.logger())
			return err
		},
		// Global flags are parsed before the command's own, so that keys can
		// have a --prefix too.
		TraverseChildren:           true,
		SuggestionsMinimumDistance: 2,
		DisableFlagsInUseLine:      true,
		SilenceErrors:              true,
		SilenceUsage:               true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		var unknown *pflag.NotExistError
		if errors.As(err, &unknown) {
			return usagef("%w (write -- before an argument that begins with -)", err)
		}
		return err
	})
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	flags := root.PersistentFlags()
	flags.SortFlags = false
	flags.StringVar(&a.store, "store", os.Getenv("IMMUKV_STORE"), "`URL` of the store (default: the environment's IMMUKV_STORE)")
	flags.StringVar(&a.prefix, "prefix", os.Getenv("IMMUKV_PREFIX"), "`prefix` of the store's object names (default: the environment's IMMUKV_PREFIX)")
	flags.BoolVar(&a.readOnly, "read-only", false, "write nothing, not even a repair")
	flags.BoolVar(&a.json, "json", false, "print one JSON object a line")
	flags.DurationVar(&a.timeout, "timeout", 0, "time limit, a `duration` such as 30s; 0 means none (default: 1m for set, get and repair, otherwise none)")
	flags.TextVar(&a.logging.level, "log-level", slog.LevelWarn, "lowest `level` of the client's log that is printed: debug, info, warn or error")
	flags.TextVar(&a.logging.format, "log-format", textFormat, "`format` of standard error: text, or json for one object a line")
	for _, name := range []string{"store", "prefix"} {
		// The values in the environment may hold credentials, so help does not print
		// them.
		flags.Lookup(name).DefValue = ""
	}
	root.LocalFlags() // merges the persistent flags, which TraverseChildren needs
	root.AddCommand(
		newSetCommand(a), newGetCommand(a), newHistoryCommand(a), newLogCommand(a), newEntryCommand(a), newWatchCommand(a), newKeysCommand(a),
		newLoadCommand(a), newVerifyCommand(a), newAuditCommand(a), newRepairCommand(a), newDoctorCommand(a),
		newExportCommand(a), newImportCommand(a), newCopyCommand(a),
		newTlogCommand(a), newServeCommand(a), newBucketCommand(a), newDemoCommand(a), newVersionCommand(a), newCrashCommand(a),
	)
	return root
}

// runRoot runs when the command line names no command.
func runRoot(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("no command is given; the commands are %s", strings.Join(commands(cmd), ", "))
	}
	hint := ""
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		hint = "; did you mean " + strings.Join(like, " or ") + "?"
	}
	return usagef("unknown command %q%s", args[0], hint)
}

// commands returns the names of the commands that help lists.
func commands(root *cobra.Command) []string {
	var names []string
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() {
			names = append(names, cmd.Name())
		}
	}
	return names
}

// usageError is an error in the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// complain prints an error on standard error, with what the user can do.
func (a *app) complain(ctx context.Context, cmd *cobra.Command, err error) {
	name := "immukv"
	if cmd != nil {
		name = cmd.CommandPath()
	}
	interrupted := ""
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		interrupted = "interrupted: "
	}
	hint := hint(err, name, a.ofFile)
	if a.logging.format == jsonFormat {
		attrs := []slog.Attr{slog.String("command", name)}
		if hint != "" {
			attrs = append(attrs, slog.String("hint", hint))
		}
		a.say(ctx, slog.LevelError, fmt.Sprintf("%s%v", interrupted, err), attrs...)
		return
	}
	a.tell("immukv: %s%v\n", interrupted, err)
	if hint != "" {
		a.tell("%s\n", hint)
	}
}

// tell prints one or more lines on standard error. An error of that cannot be reported.
func (a *app) tell(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if a.logging.format == jsonFormat {
		a.say(context.Background(), slog.LevelInfo, strings.TrimPrefix(strings.TrimSuffix(text, "\n"), "immukv: "))
		return
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = visible(line)
	}
	_, _ = io.WriteString(a.stderr, strings.Join(lines, "\n"))
}
