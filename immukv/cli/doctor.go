package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/spf13/cobra"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/s3store/provision"
)

func newDoctorCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Find out whether a store can be trusted",
		Long: `Probe the store for the clauses of its contract on which safety depends: conditional
writes are conditional, exactly one of several concurrent ones applies, every write
makes a version with an ID, and old versions can be read. Do not use a store that
breaks one: it could lose writes.

The probe writes a few small versions of one new object below the given --prefix. No
client uses its name. The probe cannot remove the versions, and names the object.

For a store in S3 it also reports dangers in the configuration of the bucket, as far
as the credentials allow to read it: rules that expire versions, public access, policies
that allow deletion. To compare the bucket with a description, use bucket check.

The exit code is 1 if the store cannot be trusted; a danger does not change it. With
--json, it prints one object with trusted, object, versions_left, requests,
clauses[{clause title outcome seen remedy}], where outcome is "pass", "fail" or
"not reached", and dangers[] and unseen[] of {aspect problem remedy}.`,
		Example: `  immukv --store 's3://bucket?region=eu-central-1' doctor
  immukv --json doctor | jq '.clauses[] | select(.outcome != "pass")'`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.doctor(cmd)
		},
	}
}

// errUntrusted is the result of a probe with failures.
var errUntrusted = errors.New("the store cannot be trusted")

func (a *app) doctor(cmd *cobra.Command) error {
	if err := a.refuseReadOnly("doctor"); err != nil {
		return err
	}
	ctx, cancel := a.limit(cmd.Context(), cmd, 0)
	defer cancel()
	store, err := a.openStore(ctx)
	var refused *backend.UnsupportedError
	if errors.As(err, &refused) {
		// The checks that need no write have already failed.
		report := &backend.ProbeReport{Findings: []backend.ProbeFinding{{
			Clause: refused.Clause, Title: "the store failed its checks when it was opened",
			Outcome: backend.ProbeFailed, Seen: refused.Problem, Remedy: refused.Remedy,
		}}}
		return errors.Join(a.printProbe(report, bucketReport{}), errUntrusted)
	}
	if err != nil {
		return err
	}
	report, err := backend.Probe(ctx, store, a.prefix)
	b := a.inspectBucket(ctx, store)
	err = errors.Join(a.printProbe(report, b), err)
	if err == nil && !report.Trusted() {
		err = errUntrusted
	}
	return errors.Join(err, store.Close())
}

// bucketReport lists the dangers in the configuration of a store's bucket, and the
// settings that the credentials do not allow to read. It is empty for a store without a
// bucket.
type bucketReport struct{ dangers, unseen []provision.Finding }

// inspectBucket inspects the bucket of a store that has one.
func (a *app) inspectBucket(ctx context.Context, store backend.Store) bucketReport {
	// An interface instead of package s3store: a command that does not import s3store
	// must not register its URLs.
	s, ok := store.(interface{ Bucket() (*s3.Client, string) })
	if !ok {
		return bucketReport{}
	}
	client, name := s.Bucket()
	dangers, unseen, err := provision.Inspect(ctx, client, name, a.prefix)
	if err != nil {
		unseen = []provision.Finding{{Aspect: provision.Existence, Problem: err.Error(), Remedy: "use credentials of an administrator"}}
	}
	return bucketReport{dangers, unseen}
}

// doctorJSON is the report of a probe as --json prints it.
type doctorJSON struct {
	Trusted      bool         `json:"trusted"`
	Object       *string      `json:"object"`
	VersionsLeft int          `json:"versions_left"`
	Requests     int          `json:"requests"`
	Clauses      []clauseJSON `json:"clauses"`

	Dangers []provision.Finding `json:"dangers"`
	Unseen  []provision.Finding `json:"unseen"`
}

type clauseJSON struct {
	Clause  string               `json:"clause"`
	Title   string               `json:"title"`
	Outcome backend.ProbeOutcome `json:"outcome"`
	Seen    string               `json:"seen"`
	Remedy  string               `json:"remedy"`
}

func (a *app) printProbe(r *backend.ProbeReport, bucket bucketReport) error {
	if !a.json {
		return printProbe(a.stdout, r, bucket)
	}
	j := doctorJSON{Trusted: r.Trusted(), Object: orNull(r.Object), VersionsLeft: r.Left, Requests: r.Requests, Clauses: []clauseJSON{},
		Dangers: append([]provision.Finding{}, bucket.dangers...), Unseen: append([]provision.Finding{}, bucket.unseen...)}
	for _, f := range r.Findings {
		j.Clauses = append(j.Clauses, clauseJSON(f))
	}
	return printJSON(a.stdout, j)
}

// printProbe prints the report of a probe for people.
func printProbe(w io.Writer, r *backend.ProbeReport, bucket bucketReport) error {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%-3s  %-11s  %s\n", f.Clause, f.Outcome, f.Title)
		if f.Outcome == backend.ProbeFailed {
			fmt.Fprintf(&b, "                  seen: %s\n                  remedy: %s\n", visible(f.Seen), f.Remedy)
		}
	}
	if r.Object != "" {
		fmt.Fprintf(&b, "\nThe probe made %s, and left %s of the object\n  %s\n",
			count(r.Requests, "request", "requests"), count(r.Left, "version", "versions"), r.Object)
	}
	if len(bucket.dangers)+len(bucket.unseen) > 0 {
		b.WriteString("\nThe bucket:\n")
	}
	writeFindings(&b, "danger", bucket.dangers)
	writeFindings(&b, "unseen", bucket.unseen)
	if r.Trusted() {
		b.WriteString("\nThe store can be trusted, as far as one probe can tell.\n")
	} else {
		b.WriteString("\nThe store cannot be trusted.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
