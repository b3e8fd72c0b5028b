package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/conformance"
	"github.com/immukv/immukv-go/conformance/internal/mutants"
)

// settings are the flags of the command.
type settings struct {
	store  string
	only   []string
	rounds int
	seed   uint64
	json   bool
	quick  bool
	keep   bool
}

func newCommand() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "immukv-conformance --store URL",
		Short: "Test a store against the contract of ImmuKV's stores",
		Long: `Test a store against the contract of ImmuKV's stores, S1 to S20, and
the invariants of the ImmuKV protocol on it, I1 to I18.

The store is given as to immukv: file:///dir, s3://bucket?region=…, mem://, or
specimen:NAME for one of those that the suite itself is tested with, most of
which break a clause on purpose (see the command specimens).
The suite works below a new directory, or under a new prefix of a bucket, and
removes what it wrote, old versions included. With --keep it removes nothing.
It prints what it leaves and how to remove that.

Results go to standard output, everything else to standard error. The exit code
is 0 if everything holds, 1 if something does not, and 2 for a usage error.`,
		Example: `  immukv-conformance --store 'file:///tmp/store?create_dir=true'
  immukv-conformance --store 's3://bucket?region=us-east-1&endpoint=http://127.0.0.1:9000&use_path_style=true' --quick
  immukv-conformance --store specimen:check-then-act --only S3`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.run(cmd.Context(), cmd)
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.store, "store", os.Getenv("IMMUKV_STORE"), "`URL` of the store (or IMMUKV_STORE)")
	f.StringSliceVar(&s.only, "only", nil, "run only these checks, clauses or parts: S3/32-racing-creates, S3, S, I")
	f.IntVar(&s.rounds, "rounds", conformance.DefaultRounds, "how often races are repeated")
	f.Uint64Var(&s.seed, "seed", 0, "seed of the random choices; 0 chooses one and prints it")
	f.BoolVar(&s.json, "json", false, "print one JSON object a line: a result for each check, then a summary")
	f.BoolVar(&s.quick, "quick", false, "skip bodies of the largest size and listings over a thousand, and repeat races a quarter as often")
	f.BoolVar(&s.keep, "keep", false, "do not remove what was written")
	cmd.AddCommand(newWorkCommand(), newSpecimensCommand())
	return cmd
}

// run runs the suite and prints what it found.
func (s settings) run(ctx context.Context, cmd *cobra.Command) error {
	if s.store == "" {
		return errors.New("no store given: --store URL")
	}
	if s.rounds < 1 {
		return fmt.Errorf("--rounds is %d; it must be at least 1", s.rounds)
	}
	if s.seed == 0 {
		s.seed = rand.Uint64N(1 << 32)
	}
	t, err := newTarget(ctx, s)
	if err != nil {
		return err
	}
	h := t.harness
	h.Only, h.Seed, h.Rounds, h.Deep = s.only, s.seed, s.rounds, !s.quick
	if s.quick && !cmd.Flags().Changed("rounds") {
		h.Rounds = max(1, s.rounds/4)
	}
	requests, err := h.MaxRequests()
	if err != nil {
		return err
	}
	out := newPrinter(cmd, s, t, h)
	out.begin(t, requests)
	results, err := conformance.Examine(ctx, h, out.result)
	if err != nil {
		return failedError{err}
	}
	out.end(results)
	if err := t.finish(context.WithoutCancel(ctx), s.keep, cmd.ErrOrStderr()); err != nil {
		return failedError{err}
	}
	if ctx.Err() != nil {
		return failedError{fmt.Errorf("interrupted: %w", context.Cause(ctx))}
	}
	for _, r := range results {
		if r.Outcome == conformance.Fail {
			return errBroken
		}
	}
	return nil
}

// newWorkCommand returns the hidden command that runs as a worker process.
func newWorkCommand() *cobra.Command {
	var store, prefix string
	cmd := &cobra.Command{
		Use:    "work",
		Short:  "Do what the suite asks for on standard input",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := backend.Open(cmd.Context(), store)
			if err != nil {
				return failedError{err}
			}
			if err := conformance.Work(cmd.Context(), withPrefix(s, prefix)); err != nil {
				return failedError{err}
			}
			return s.Close()
		},
	}
	cmd.Flags().StringVar(&store, "store", "", "`URL` of the store")
	cmd.Flags().StringVar(&prefix, "prefix", "", "of all names")
	return cmd
}

func newSpecimensCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "specimens",
		Short: "List the stores for --store specimen:NAME: healthy ones, and mutants with the clause that each breaks",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list strings.Builder
			for _, name := range slices.Sorted(maps.Keys(mutants.Healthy())) {
				fmt.Fprintf(&list, "%-4s %s\n", "-", name)
			}
			for _, m := range mutants.All() {
				fmt.Fprintf(&list, "%-4s %-32s %s\n", m.Clause, m.Name, m.Habit)
			}
			if _, err := io.WriteString(cmd.OutOrStdout(), list.String()); err != nil {
				return failedError{err}
			}
			return nil
		},
	}
}
