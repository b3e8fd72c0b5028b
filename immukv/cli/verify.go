package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// verifyFlags are the flags of verify and audit.
type verifyFlags struct {
	file                      string // of verify only
	limit                     countFlag
	trustedHead, trustedStart checkpointFlag
	sealed                    verifierFlags // of audit only
}

func (f *verifyFlags) addTrusted(flags *pflag.FlagSet) {
	flags.Var(&f.trustedHead, "trusted-head", "an earlier head of the log, as `SEQ:HASH`, which the log must extend")
	flags.Var(&f.trustedStart, "trusted-start", "verify only what follows this entry, as `SEQ:HASH`")
}

func (f *verifyFlags) options() []immukv.VerifyOption {
	opts := []immukv.VerifyOption{immukv.Limit(int(f.limit))}
	if f.trustedHead.set {
		opts = append(opts, immukv.TrustedHead(f.trustedHead.Checkpoint))
	}
	if f.trustedStart.set {
		opts = append(opts, immukv.TrustedStart(f.trustedStart.Checkpoint))
	}
	return opts
}

const trustLong = `From the hashes alone, nobody can detect that the end of the log was cut off, or that
somebody with write permission rewrote all of it. So keep the printed head, SEQ:HASH, in
another place, and give it to a later verification with --trusted-head: the log must
extend it. If old versions have expired, or were verified before, --trusted-start
verifies only the entries after it.

The exit code is 4 if there are findings.`

func newVerifyCommand(a *app) *cobra.Command {
	var flags verifyFlags
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Verify the log: every hash, every link, its beginning",
		Long: `Verify only the log: the hash of every entry, every link to the entry before, that no
sequence is missing, and its beginning. To verify the key objects, too, use audit.

With --file, an export is verified instead, and no store is opened; - is standard
input. If the export begins after a checkpoint, give that as --trusted-start.

` + trustLong,
		Example: `  immukv verify
  immukv verify --limit 1000
  immukv verify --trusted-head 41:sha256:9f86d081…
  immukv verify --file plant-7.jsonl --trusted-head 41:sha256:9f86d081…
  immukv --json verify | jq .valid`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("file") {
				return a.verifyFile(cmd, &flags)
			}
			return a.verify(cmd, &flags, (*client).VerifyLog)
		},
	}
	cmd.Flags().Var(&flags.limit, "limit", "verify only the newest `n` entries; 0 is all")
	cmd.Flags().StringVar(&flags.file, "file", "", "verify this `file`, an export, instead of a store")
	flags.addTrusted(cmd.Flags())
	return cmd
}

func newAuditCommand(a *app) *cobra.Command {
	var flags verifyFlags
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Verify the log, and every key object against it",
		Long: `Verify the log as verify does, and every version of every key object against it: each
entry of a key must have exactly one, in order, and no version may hold an entry that
is not in the log. Only an entry of the newest log version may have none: it is an
orphan, of a writer that crashed or is still at work, and the next write repairs it.

With --verifier, the entries are also hashed again, and must have the root of the newest
signed checkpoint: see immukv tlog.

` + trustLong,
		Example: `  immukv audit
  immukv audit --verifier example.com/plant-7+3b1f…+AZ… --state plant-7.state
  immukv audit --trusted-head 41:sha256:9f86d081…
  immukv --json audit | jq '.findings[]'`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.verify(cmd, &flags, (*client).Audit)
		},
	}
	flags.addTrusted(cmd.Flags())
	flags.sealed.add(cmd.Flags())
	return cmd
}

// verify runs a verification and prints its report.
func (a *app) verify(cmd *cobra.Command, flags *verifyFlags, verification func(*client, context.Context, ...immukv.VerifyOption) (*immukv.Report, error)) error {
	sealed, err := flags.sealed.ifAny()
	if err != nil {
		return err
	}
	ctx, cancel := a.limit(cmd.Context(), cmd, 0)
	defer cancel()
	return a.withClient(ctx, func(db *client) error {
		var done, total int64
		bar := a.newProgress("verifying", -1)
		opts := append(flags.options(), immukv.Progress(func(d, t int64) {
			done, total = d, t
			bar.update(d, t)
		}))
		var checkpoint tlog.Checkpoint
		var report *immukv.Report
		var err, sealErr error
		if sealed == nil {
			report, err = verification(db, ctx, opts...)
		} else if report, checkpoint, sealErr = tlog.AuditStore(ctx, sealed, db, opts...); report == nil {
			err = sealErr
		}
		bar.clear()
		if err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("not finished, after about %d of %d versions: %w", done, total, err)
			}
			return err
		}
		err = a.printReport(report)
		if err == nil && sealed != nil {
			err = a.printSealed(checkpoint, sealErr)
		}
		if err != nil {
			return err
		}
		return verdict(report)
	})
}

// verifyFile verifies an export, without a store.
func (a *app) verifyFile(cmd *cobra.Command, flags *verifyFlags) error {
	if cmd.Flags().Changed("limit") {
		return usagef("--file and --limit exclude each other: an export is verified as a whole")
	}
	ctx, cancel := a.limit(cmd.Context(), cmd, 0)
	defer cancel()
	a.ofFile = true
	in, err := a.openInput(ctx, flags.file)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	bar := a.newProgress("verifying", -1)
	opts := append(flags.options(), immukv.Progress(bar.update))
	report, err := await(ctx, func() (*immukv.Report, error) { return immukv.VerifyExport(ctx, in, opts...) })
	bar.clear()
	if err == nil {
		err = a.printReport(report)
	}
	if err != nil {
		return err
	}
	return verdict(report)
}

// verdict returns nil if a verification has no findings.
func verdict(r *immukv.Report) error {
	if r.Valid() {
		return nil
	}
	return fmt.Errorf("%w: %s", immukv.ErrVerificationFailed, count(int64(len(r.Findings))+r.MoreFindings, "finding", "findings"))
}

func (a *app) printReport(r *immukv.Report) error {
	if a.json {
		return printJSON(a.stdout, newReportJSON(r))
	}
	return printReport(a.stdout, r)
}

// reportJSON is a report as --json prints it. Fields that do not apply are null, and the
// last three are absent unless they have content.
type reportJSON struct {
	Valid         bool          `json:"valid"`
	Entries       int64         `json:"entries"`
	FirstSequence *int64        `json:"first_sequence"`
	LastSequence  *int64        `json:"last_sequence"`
	HeadHash      *immukv.Hash  `json:"head_hash"`
	Dialects      []string      `json:"dialects"`
	Findings      []findingJSON `json:"findings"`
	Orphans       []orphanJSON  `json:"orphans,omitempty"`
	Partial       bool          `json:"partial,omitempty"`       // whether the beginning was not reached
	MoreFindings  int64         `json:"more_findings,omitempty"` // how many were omitted
}

type findingJSON struct {
	Kind      immukv.FindingKind `json:"kind"`
	Object    string             `json:"object"`
	VersionID *backend.VersionID `json:"version_id"`
	Sequence  *int64             `json:"sequence"`
	Detail    string             `json:"detail"`
}

type orphanJSON struct {
	Key       string              `json:"key"`
	Sequence  int64               `json:"sequence"`
	VersionID immukv.LogVersionID `json:"version_id"`
}

func newReportJSON(r *immukv.Report) reportJSON {
	j := reportJSON{
		Valid: r.Valid(), Entries: r.Entries,
		FirstSequence: sequenceOrNull(r.FirstSequence), LastSequence: sequenceOrNull(r.LastSequence),
		HeadHash: orNull(r.HeadHash), Dialects: []string{}, Findings: []findingJSON{},
		Partial: !r.Complete, MoreFindings: r.MoreFindings,
	}
	for _, d := range r.Dialects {
		j.Dialects = append(j.Dialects, d.String())
	}
	for _, f := range r.Findings {
		j.Findings = append(j.Findings, findingJSON{
			Kind: f.Kind, Object: f.Object, VersionID: orNull(f.VersionID), Sequence: sequenceOrNull(f.Sequence), Detail: f.Detail,
		})
	}
	for _, o := range r.Orphans {
		j.Orphans = append(j.Orphans, orphanJSON{Key: o.Key, Sequence: o.Sequence, VersionID: o.VersionID})
	}
	return j
}

func sequenceOrNull(sequence int64) *int64 {
	if sequence < 0 {
		return nil
	}
	return &sequence
}

// printReport prints a report for people.
func printReport(w io.Writer, r *immukv.Report) error {
	var b strings.Builder
	switch {
	case r.Valid():
		b.WriteString("valid\n")
	default:
		b.WriteString("NOT VALID\n")
	}
	fmt.Fprintf(&b, "entries   %d", r.Entries)
	if r.Entries > 0 {
		fmt.Fprintf(&b, ", sequence %d to %d", r.FirstSequence, r.LastSequence)
	}
	if !r.Complete {
		b.WriteString("; earlier entries were not verified")
	}
	b.WriteString("\n")
	if r.Entries > 0 {
		fmt.Fprintf(&b, "head      %s\n", visible(formatCheckpoint(r.Head())))
		fmt.Fprintf(&b, "dialects  %s\n", joinDialects(r.Dialects))
	}
	for _, o := range r.Orphans {
		fmt.Fprintf(&b, "orphan    sequence %d of key %s is not applied yet; the next write repairs it, or: immukv repair\n", o.Sequence, shown(o.Key))
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "finding   %s\n", visible(f.Error()))
	}
	if r.MoreFindings > 0 {
		fmt.Fprintf(&b, "and %s more\n", count(r.MoreFindings, "finding", "findings"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func joinDialects(dialects []immukv.Dialect) string {
	var names []string
	for _, d := range dialects {
		names = append(names, d.String())
	}
	return strings.Join(names, ", ")
}
