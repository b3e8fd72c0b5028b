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
		Long: `Probe the store for the clauses of its contract on which safety rests: that
conditional writes are conditional, that of concurrent ones exactly one applies,
that every write makes a version with an ID, and that old versions can be read
back. A store that breaks one must not be used: it could lose writes.

It writes a few small versions of one new object under the given --prefix, whose
name no client uses, and cannot remove them: it says which object that is.

Of a store in S3 it says, too, what endangers it in the configuration of the bucket,
as far as the credentials show that: rules that expire versions, public access,
policies that allow deletion. Compare with a description by bucket check.

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

// errUntrusted is a probe's verdict.
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
		// What can be seen without writing was seen, and is bad enough.
		report := &backend.ProbeReport{Findings: []backend.ProbeFinding{{
			Clause: refused.Clause, Title: "the store was refused when it was opened",
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

// bucketReport is what endangers a store in the configuration of its bucket, and what
// the credentials do not show of it. A store that has no bucket has neither.
type bucketReport struct{ dangers, unseen []provision.Finding }

// inspectBucket inspects the bucket of a store that has one.
func (a *app) inspectBucket(ctx context.Context, store backend.Store) bucketReport {
	// That is all of package s3store that is asked for, so that a command without
	// it does not come to know its URLs.
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
		fmt.Fprintf(&b, "\nIt made %s, and left %s of the object\n  %s\n",
			count(r.Requests, "request", "requests"), count(r.Left, "version", "versions"), r.Object)
	}
	if len(bucket.dangers)+len(bucket.unseen) > 0 {
		b.WriteString("\nOf the bucket:\n")
	}
	writeFindings(&b, "danger", bucket.dangers)
	writeFindings(&b, "unseen", bucket.unseen)
	if r.Trusted() {
		b.WriteString("\nThe store can be trusted, as far as one visit shows.\n")
	} else {
		b.WriteString("\nThe store cannot be trusted.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
