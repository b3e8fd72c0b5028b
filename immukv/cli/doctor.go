package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/immukv/immukv-go/backend"
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

The exit code is 1 if the store cannot be trusted. With --json, it prints one
object with trusted, object, versions_left, requests, and clauses[{clause title
outcome seen remedy}], where outcome is "pass", "fail" or "not reached".`,
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
		return errors.Join(a.printProbe(report), errUntrusted)
	}
	if err != nil {
		return err
	}
	report, err := backend.Probe(ctx, store, a.prefix)
	err = errors.Join(a.printProbe(report), err)
	if err == nil && !report.Trusted() {
		err = errUntrusted
	}
	return errors.Join(err, store.Close())
}

// doctorJSON is the report of a probe as --json prints it.
type doctorJSON struct {
	Trusted      bool         `json:"trusted"`
	Object       *string      `json:"object"`
	VersionsLeft int          `json:"versions_left"`
	Requests     int          `json:"requests"`
	Clauses      []clauseJSON `json:"clauses"`
}

type clauseJSON struct {
	Clause  string               `json:"clause"`
	Title   string               `json:"title"`
	Outcome backend.ProbeOutcome `json:"outcome"`
	Seen    string               `json:"seen"`
	Remedy  string               `json:"remedy"`
}

func (a *app) printProbe(r *backend.ProbeReport) error {
	if !a.json {
		return printProbe(a.stdout, r)
	}
	j := doctorJSON{Trusted: r.Trusted(), Object: orNull(r.Object), VersionsLeft: r.Left, Requests: r.Requests, Clauses: []clauseJSON{}}
	for _, f := range r.Findings {
		j.Clauses = append(j.Clauses, clauseJSON(f))
	}
	return printJSON(a.stdout, j)
}

// printProbe prints the report of a probe for people.
func printProbe(w io.Writer, r *backend.ProbeReport) error {
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
	if r.Trusted() {
		b.WriteString("\nThe store can be trusted, as far as one visit shows.\n")
	} else {
		b.WriteString("\nThe store cannot be trusted.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
