package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/immukv/immukv-go/conformance"
)

// order sorts results by clause and name: the JSON has them as they came.
func order(results []conformance.Result) {
	slices.SortFunc(results, func(a, b conformance.Result) int {
		return cmp.Or(rank(a.Clause)-rank(b.Clause), strings.Compare(a.Check, b.Check))
	})
}

// rank orders clauses: S1 to S20, then I1 to I18.
func rank(clause string) int {
	n, _ := strconv.Atoi(clause[1:]) // all clauses are a letter and a number
	if clause[0] == 'I' {
		n += 100
	}
	return n
}

// table is the part of the document that is made from a matrix.
func (m *matrix) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nMade on %s with %s. A cell says how many of the clause's checks passed; what is\nnot applicable there is listed below.\n\n", m.Date, m.System)
	b.WriteString("| |")
	for _, s := range m.Stores {
		fmt.Fprintf(&b, " %s |", s.Name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(m.Stores)) + "\n| version |")
	for _, s := range m.Stores {
		fmt.Fprintf(&b, " %s |", s.Version)
	}
	b.WriteString("\n| expected |")
	for _, s := range m.Stores {
		expected := "to fail"
		if s.Healthy {
			expected = "to pass"
		}
		fmt.Fprintf(&b, " %s |", expected)
	}
	b.WriteByte('\n')
	for i, c := range clausesOf(m.Stores[0].Results) {
		fmt.Fprintf(&b, "| %s |", c.clause)
		for _, s := range m.Stores {
			fmt.Fprintf(&b, " %s |", clausesOf(s.Results)[i].cell())
		}
		b.WriteByte('\n')
	}
	b.WriteString("| requests |")
	for _, s := range m.Stores {
		fmt.Fprintf(&b, " %d |", s.Summary.Requests)
	}
	b.WriteString("\n\n")
	for _, s := range m.Stores {
		s.remarks(&b)
	}
	m.mutantTable(&b)
	m.checkList(&b)
	return b.String()
}

// cell is what the table says of a clause on a store.
func (c clauseResults) cell() string {
	counts := make(map[conformance.Outcome]int)
	for _, r := range c.results {
		counts[r.Outcome]++
	}
	switch {
	case counts[conformance.Fail] > 0:
		return fmt.Sprintf("**fails** %d of %d", counts[conformance.Fail], len(c.results))
	case counts[conformance.Pass] == 0:
		return "n/a"
	case counts[conformance.Pass] < len(c.results):
		return fmt.Sprintf("%d of %d", counts[conformance.Pass], len(c.results))
	default:
		return strconv.Itoa(len(c.results))
	}
}

// remarks lists what did not apply and what failed.
func (s *matrixStore) remarks(b *strings.Builder) {
	fmt.Fprintf(b, "**%s** (`%s`)", s.Name, s.Command)
	var failed []string
	for _, r := range s.Results {
		if r.Outcome == conformance.Fail {
			failed = append(failed, r.Check)
		}
	}
	exemptions := exemptionsOf(s.Results)
	if len(failed) == 0 && len(exemptions) == 0 {
		b.WriteString(": all checks apply, and pass.\n\n")
		return
	}
	b.WriteString(":\n\n")
	if len(failed) > 0 {
		fmt.Fprintf(b, "- fails %s\n", strings.Join(failed, ", "))
	}
	for _, x := range exemptions {
		fmt.Fprintf(b, "- %s: not applicable are %s\n", x.reason, strings.Join(x.checks, ", "))
	}
	b.WriteByte('\n')
}

func (m *matrix) mutantTable(b *strings.Builder) {
	fmt.Fprintf(b, "### Mutants\n\n%d stores that each break a clause in one way, and what found them.\n\n", len(m.Mutants))
	b.WriteString("| clause | mutant | which | found | by |\n|---|---|---|---|---|\n")
	for _, x := range m.Mutants {
		fmt.Fprintf(b, "| %s | %s | %s | %d of %d | %s |\n", x.Clause, x.Name, x.Habit, x.Found, x.Runs, x.Check)
	}
	b.WriteByte('\n')
}

func (m *matrix) checkList(b *strings.Builder) {
	b.WriteString("### Checks\n\n| check | what it asks |\n|---|---|\n")
	for _, r := range m.Stores[0].Results {
		fmt.Fprintf(b, "| %s | %s |\n", r.Check, r.Title)
	}
	b.WriteByte('\n')
}
