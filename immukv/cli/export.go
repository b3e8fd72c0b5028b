package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/immukv/immukv-go/immukv"
)

func newExportCommand(a *app) *cobra.Command {
	var after checkpointFlag
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the log to standard output, as JSON lines",
		Long: `Write the log to standard output as JSON lines: the document of each entry as it is
stored, oldest first, and nothing else. Each entry is verified before it is written.

The export begins with the first entry, or after the checkpoint of --after, such as the
head of the previous export. The head is printed on standard error. Keep it in another
place than the export: without it, nobody can detect that lines at the end were cut off.

Verify an export with verify --file, and write it to another store with import.`,
		Example: `  immukv export > plant-7.jsonl
  immukv export --after 1040:sha256:9f86d081… >> plant-7.jsonl
  immukv export | jq -r .key | sort | uniq -c`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.limit(cmd.Context(), cmd, 0)
			defer cancel()
			return a.withClient(ctx, func(db *client) error {
				var opts []immukv.ExportOption
				if after.set {
					opts = append(opts, immukv.After(after.Checkpoint))
				}
				report, err := db.Export(ctx, a.stdout, opts...)
				if err != nil {
					return fmt.Errorf("%w; written: %s", err, count(report.Entries, "entry", "entries"))
				}
				a.tell("%s\n", exported(report))
				return nil
			})
		},
	}
	cmd.Flags().Var(&after, "after", "begin after this checkpoint, as `SEQ:HASH`, which the log must have")
	return cmd
}

func exported(r immukv.ExportReport) string {
	if r.Entries == 0 {
		return "0 entries"
	}
	return count(r.Entries, "entry", "entries") + ", head " + formatCheckpoint(r.Head)
}

func newImportCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Write an export to the end of the log",
		Long: `Append the entries of an export, or of standard input if FILE is -, to the log: as they
are, with the same sequences, times and hashes. Entries that the log has already are
skipped; they must be the same.

Each line is verified before its entry is written. If a line is wrong, import stops and
names it: then the log has all entries before it, and none after it. If import is
killed, run it again.

The exit code is 4 if a line is wrong, or if the log has other entries than the export.
In the second case the message names the first sequence at which they differ, and
nothing is written.`,
		Example: `  immukv import plant-7.jsonl
  zcat plant-7.jsonl.gz | immukv import -`,
		Args: args("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.importFile(cmd, args[0])
		},
	}
	return cmd
}

func (a *app) importFile(cmd *cobra.Command, path string) error {
	if err := a.refuseReadOnly("import"); err != nil {
		return err
	}
	reading, cancelReading := a.limit(cmd.Context(), cmd, 0)
	defer cancelReading()
	in, err := a.openInput(reading, path)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	a.ofFile = true
	return a.withClient(reading, func(db *client) error {
		bar := a.newProgress("importing", -1)
		report, err := immukv.Import(reading, db, seekable(in), immukv.Progress(bar.update))
		bar.clear()
		return a.copied(report, err)
	})
}

// seekable returns the input as a file that can be read twice, or as it is.
func seekable(in *input) io.Reader {
	if f, ok := in.Reader.(*os.File); ok && in.size >= 0 {
		return f
	}
	return struct{ io.Reader }{in.Reader}
}

// copied prints what a copy or an import did.
func (a *app) copied(r immukv.CopyReport, err error) error {
	text := count(r.Copied, "entry", "entries") + " written"
	if r.Repaired {
		text = "the newest entry was an orphan and was repaired; " + text
	}
	if r.Head.Sequence >= 0 {
		text += ", head " + formatCheckpoint(r.Head)
	}
	if err != nil {
		return fmt.Errorf("%w; %s", err, text)
	}
	if a.json {
		return printJSON(a.stdout, struct {
			Copied       int64        `json:"copied"`
			Repaired     bool         `json:"repaired"`
			HeadSequence *int64       `json:"head_sequence"`
			HeadHash     *immukv.Hash `json:"head_hash"`
		}{r.Copied, r.Repaired, sequenceOrNull(r.Head.Sequence), orNull(r.Head.Hash)})
	}
	_, err = fmt.Fprintln(a.stdout, text)
	return err
}
