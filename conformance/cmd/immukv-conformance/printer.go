package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/immukv/immukv-go/conformance"
)

// dollarsPerRequest is the price of an S3 request that writes or lists, the
// most expensive kind: $5 a million.
const dollarsPerRequest = 5e-6

// printer prints results, as a table or as JSON.
type printer struct {
	out, err io.Writer
	settings settings
	url      string // of the store, as people may see it
	harness  conformance.Harness
	bar      *progressbar.ProgressBar // nil where nobody watches
}

func newPrinter(cmd *cobra.Command, s settings, t *target, h conformance.Harness) *printer {
	return &printer{out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), settings: s, url: t.url, harness: h}
}

// begin prints what the command is going to do.
func (p *printer) begin(t *target, requests int) {
	p.say("Testing %s, %s: at most %d requests", t.url, t.where, requests)
	if strings.HasPrefix(t.url, "s3:") {
		p.say(" ($%.2f at S3's list prices, were all of them writes)", float64(requests)*dollarsPerRequest)
	}
	p.say(", %d rounds, seed %d.\n", p.harness.Rounds, p.settings.seed)
	if p.err == os.Stderr && term.IsTerminal(int(os.Stderr.Fd())) {
		p.bar = progressbar.NewOptions(requests, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetDescription("requests"), progressbar.OptionShowCount())
	}
}

func (p *printer) say(format string, args ...any) {
	fmt.Fprintf(p.err, format, args...) //nolint:errcheck // of standard error
}

// result is called with each result when its check ends.
func (p *printer) result(r conformance.Result) {
	if p.bar != nil {
		p.bar.Describe(r.Check)
		p.bar.Add(r.Requests) //nolint:errcheck // it is only for watching
	}
	if p.settings.json {
		p.json(r)
	}
}

func (p *printer) json(v any) {
	json.NewEncoder(p.out).Encode(v) //nolint:errcheck // the reader is gone
}

// end prints the report on all results.
func (p *printer) end(results []conformance.Result) {
	if p.bar != nil {
		p.bar.Finish() //nolint:errcheck // it is only for watching
	}
	counts := conformance.Summarize(results)
	if p.settings.json {
		p.json(summary{Holds: counts.Failed == 0, Summary: counts, Seed: p.settings.seed})
		return
	}
	for _, c := range clausesOf(results) {
		p.print("%-4s %-5s %s\n", c.clause, c.outcome, c.line())
		for _, r := range c.results {
			p.failure(r)
		}
	}
	p.reasons(results)
	p.print("\n%v.\n", counts)
}

func (p *printer) print(format string, args ...any) {
	fmt.Fprintf(p.out, format, args...) //nolint:errcheck // the reader is gone
}

// reasons prints why checks do not apply.
func (p *printer) reasons(results []conformance.Result) {
	for i, x := range exemptionsOf(results) {
		if i == 0 {
			p.print("\nNot applicable:\n")
		}
		p.print("  %s: %s\n", x.reason, strings.Join(x.checks, " "))
	}
}

// failure prints a failed check: what was expected, what was seen, and how to
// run it again.
func (p *printer) failure(r conformance.Result) {
	if r.Outcome != conformance.Fail {
		return
	}
	expected := cmp.Or(r.Expected, r.Title)
	again := fmt.Sprintf("immukv-conformance --store %q --only %s --seed %d --rounds %d", p.url, r.Check, p.settings.seed, p.harness.Rounds)
	if p.settings.quick {
		again += " --quick"
	}
	p.print("       %s\n         expected: %s\n         seen:     %s\n         again:    %s\n", r.Check, expected, indent(r.Seen), again)
}

func indent(text string) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n                   ")
}

// summary is the last line of the JSON.
type summary struct {
	Holds bool `json:"holds"`
	conformance.Summary
	Seed uint64 `json:"seed"`
}

// clauseResults are the results of one clause.
type clauseResults struct {
	clause  string
	outcome conformance.Outcome // the worst; n/a only if nothing applies
	results []conformance.Result
}

// clausesOf groups results, which are in the order of their clauses.
func clausesOf(results []conformance.Result) []clauseResults {
	var clauses []clauseResults
	for _, r := range results {
		if len(clauses) == 0 || clauses[len(clauses)-1].clause != r.Clause {
			clauses = append(clauses, clauseResults{clause: r.Clause, outcome: conformance.NotApplicable})
		}
		c := &clauses[len(clauses)-1]
		c.results = append(c.results, r)
		if r.Outcome == conformance.Fail || c.outcome == conformance.NotApplicable {
			c.outcome = r.Outcome
		}
	}
	return clauses
}

// exemption is a reason, and the checks that do not apply for it.
type exemption struct {
	reason string
	checks []string
}

// exemptionsOf groups the results that do not apply by their reasons, in the
// order of the first of each.
func exemptionsOf(results []conformance.Result) []exemption {
	var exemptions []exemption
	for _, r := range results {
		if r.Outcome != conformance.NotApplicable {
			continue
		}
		i := slices.IndexFunc(exemptions, func(x exemption) bool { return x.reason == r.Reason })
		if i < 0 {
			i = len(exemptions)
			exemptions = append(exemptions, exemption{reason: r.Reason})
		}
		exemptions[i].checks = append(exemptions[i].checks, r.Check)
	}
	return exemptions
}

// line names the checks that were made, those in capitals that failed.
func (c clauseResults) line() string {
	var names []string
	for _, r := range c.results {
		_, name, _ := strings.Cut(r.Check, "/")
		switch r.Outcome {
		case conformance.Fail:
			names = append(names, strings.ToUpper(name))
		case conformance.Pass:
			names = append(names, name)
		case conformance.NotApplicable:
		}
	}
	return strings.Join(names, " ")
}
