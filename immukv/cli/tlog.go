package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

const tlogLong = `Seal the log: sign a Merkle tree of its entries, so that anyone with the public key can
check an entry, or the whole log, without trusting the owner of the bucket.

Keep the private key where no writer and no owner of the bucket can read it. The
verifier key, which keygen prints, is public. The tree is stored below tlog/, in the
layout that tools for transparency logs read (C2SP tlog-tiles).

docs/trust.md lists what is detected, and when.`

func newTlogCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tlog",
		Short: "Seal the log, and prove entries to anyone",
		Long:  tlogLong,
		Example: `  immukv tlog keygen example.com/plant-7 --out plant-7.key
  immukv tlog seal --key plant-7.key
  immukv tlog prove sensor-012352 > sensor-012352.tlog-proof
  immukv tlog check sensor-012352.tlog-proof --verifier example.com/plant-7+3b1f…+AZ…`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("tlog needs a command: keygen, seal, checkpoint, prove, check, export or serve")
			}
			return usagef("unknown command %q of tlog", args[0])
		},
	}
	cmd.AddCommand(newTlogKeygenCommand(a), newTlogSealCommand(a), newTlogCheckpointCommand(a), newTlogProveCommand(a),
		newTlogCheckCommand(a), newTlogExportCommand(a), newTlogServeCommand(a))
	return cmd
}

func newTlogKeygenCommand(a *app) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "keygen NAME --out FILE",
		Short: "Make a key pair, and print the verifier key",
		Long: `Make a key pair for a log. The private key goes into a new file that only its owner
may read. The verifier key is printed: give it to everybody who checks the log.

NAME becomes the origin of the log. It should be globally unique, such as
example.com/plant-7, and must not contain spaces or plus signs.`,
		Example: `  immukv tlog keygen example.com/plant-7 --out plant-7.key`,
		Args:    args("NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			if out == "" {
				return usagef("--out FILE is missing: the file for the private key")
			}
			private, verifier, err := tlog.GenerateKey(args[0])
			if err != nil {
				return err
			}
			if err := tlog.WriteKeyFile(out, private); err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.stdout, verifier)
			return err
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "new `file` for the private key")
	return cmd
}

// verifierFlags are the flags of commands that check signatures.
type verifierFlags struct {
	verifier, state, witnesses string
}

func (f *verifierFlags) add(flags *pflag.FlagSet) {
	f.addKeys(flags)
	flags.StringVar(&f.state, "state", "", "`file` for the last accepted checkpoint, which the next one must extend")
}

func (f *verifierFlags) addKeys(flags *pflag.FlagSet) {
	flags.StringVar(&f.verifier, "verifier", "", "verifier `key` of the log, as keygen printed it")
	flags.StringVar(&f.witnesses, "witness-policy", "", "`file` with the policy of the witnesses that must have cosigned")
}

func (f *verifierFlags) policy() (*tlog.WitnessPolicy, error) {
	if f.witnesses == "" {
		return nil, nil
	}
	text, err := os.ReadFile(f.witnesses)
	if err != nil {
		return nil, err
	}
	policy, err := tlog.ParseWitnessPolicy(string(text))
	if err != nil {
		return nil, &inputError{fmt.Errorf("%s: %w", f.witnesses, err)}
	}
	return policy, nil
}

func (f *verifierFlags) open() (*tlog.Verifier, error) {
	if f.verifier == "" {
		return nil, usagef("--verifier KEY is missing: the verifier key of the log, as keygen printed it")
	}
	policy, err := f.policy()
	if err != nil {
		return nil, err
	}
	opts := []tlog.VerifierOption{tlog.RequireWitnesses(policy)}
	if f.state != "" {
		opts = append(opts, tlog.Remember(f.state))
	}
	return tlog.NewVerifier(f.verifier, opts...)
}

// ifAny returns the verifier of the flags, or nil if none of them was given.
func (f *verifierFlags) ifAny() (*tlog.Verifier, error) {
	if *f == (verifierFlags{}) {
		return nil, nil
	}
	return f.open()
}

// checkpointJSON is a checkpoint as --json prints it.
type checkpointJSON struct {
	Origin   string `json:"origin"`
	Size     int64  `json:"size"`
	RootHash string `json:"root_hash"` // base64, as the checkpoint has it
}

func (a *app) printCheckpoint(c tlog.Checkpoint) error {
	root := base64.StdEncoding.EncodeToString(c.Root[:])
	if a.json {
		return printJSON(a.stdout, checkpointJSON{c.Origin, c.Size, root})
	}
	_, err := fmt.Fprintf(a.stdout, "sealed    %s of %s, root %s\n", count(c.Size, "entry", "entries"), visible(c.Origin), root)
	return err
}

func newTlogSealCommand(a *app) *cobra.Command {
	var key, former string
	var every time.Duration
	var flags verifierFlags
	cmd := &cobra.Command{
		Use:   "seal [--key FILE]",
		Short: "Sign the current state of the log",
		Long: `Bring the tree up to date with the log and sign its new head. Seal reads only the
entries after the last checkpoint. Any number of seals may run at once, on any machine,
and each may be killed at any moment.

The private key is read from the file, which only its owner may be able to read, or
from the environment variable IMMUKV_SIGNING_KEY. A log that was rolled back, or
rewritten below the last checkpoint, is not signed, and the exit code is 4.

With --witness-policy, the checkpoint is published only with the cosignatures that the
policy requires. With --state, the sealer remembers its last checkpoint, and so detects
that the whole bucket was rolled back. With --replaces, it continues from a checkpoint
that another key signed.`,
		Example: `  immukv tlog seal --key plant-7.key
  immukv tlog seal --key plant-7.key --every 1m
  immukv tlog seal --key plant-7.key --witness-policy witnesses --state plant-7.state`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.refuseReadOnly("tlog seal"); err != nil {
				return err
			}
			if every < 0 {
				return usagef("--every %v is negative", every)
			}
			return a.tlogSeal(cmd, key, former, every, &flags)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "`file` with the private key (default: the environment's IMMUKV_SIGNING_KEY)")
	cmd.Flags().StringVar(&former, "replaces", "", "verifier `key` of the former signing key")
	cmd.Flags().DurationVar(&every, "every", 0, "seal once per `interval`, until interrupted")
	cmd.Flags().StringVar(&flags.witnesses, "witness-policy", "", "`file` with the policy of the witnesses that must cosign")
	cmd.Flags().StringVar(&flags.state, "state", "", "`file` for the last checkpoint, which the next one must extend")
	return cmd
}

func signer(file string) (*tlog.Signer, error) {
	if file != "" {
		return tlog.ReadKeyFile(file)
	}
	if key := os.Getenv(tlog.KeyEnv); key != "" {
		return tlog.NewSigner(key)
	}
	return nil, usagef("no signing key is given: use --key FILE or set %s", tlog.KeyEnv)
}

func (a *app) tlogSeal(cmd *cobra.Command, key, former string, every time.Duration, flags *verifierFlags) error {
	s, err := signer(key)
	if err != nil {
		return err
	}
	policy, err := flags.policy()
	if err != nil {
		return err
	}
	opts := []tlog.SealOption{tlog.Witnessed(policy)}
	if former != "" {
		policy, err := tlog.NewPolicy(former)
		if err != nil {
			return fmt.Errorf("--replaces: %w", err)
		}
		opts = append(opts, tlog.Succeeding(policy))
	}
	if flags.state != "" {
		v, err := tlog.NewVerifier(s.VerifierKey(), tlog.Remember(flags.state))
		if err != nil {
			return err
		}
		opts = append(opts, tlog.Remembering(v))
	}
	ctx, cancel := a.limit(cmd.Context(), cmd, 0)
	defer cancel()
	return a.withClient(ctx, func(db *client) error {
		if every == 0 {
			c, err := tlog.Seal(ctx, db, s, opts...)
			if err != nil {
				return err
			}
			return a.printCheckpoint(c)
		}
		last := int64(-1)
		_, err := tlog.Seal(ctx, db, s, append(opts, tlog.Every(every, func(c tlog.Checkpoint, err error) {
			switch {
			case err != nil:
				a.tell("immukv: %v\n", err)
			case c.Size != last:
				last = c.Size
				_ = a.printCheckpoint(c) // a closed pipe must not end the sealing
			}
		}))...)
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			return nil // the normal end of --every
		}
		return err
	})
}

func newTlogCheckpointCommand(a *app) *cobra.Command {
	var flags verifierFlags
	cmd := &cobra.Command{
		Use:   "checkpoint --verifier KEY [--state FILE]",
		Short: "Print the newest checkpoint, checked",
		Long: `Print the newest checkpoint as it is stored, after checking its signatures and, with
--state, that it extends the last accepted one. If it does not, both are kept beside
that file, as evidence, and the exit code is 4.`,
		Example: `  immukv tlog checkpoint --verifier example.com/plant-7+3b1f…+AZ… --state plant-7.state`,
		Args:    args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := flags.open()
			if err != nil {
				return err
			}
			ctx, cancel := a.limit(cmd.Context(), cmd, singleTimeout)
			defer cancel()
			return a.withClient(ctx, func(db *client) error {
				c, err := tlog.Latest(ctx, v, db)
				if err != nil {
					return err
				}
				if a.json {
					return a.printCheckpoint(c)
				}
				_, err = a.stdout.Write(c.Signed)
				return err
			})
		},
	}
	flags.add(cmd.Flags())
	return cmd
}

func newTlogProveCommand(a *app) *cobra.Command {
	var sequence countFlag
	cmd := &cobra.Command{
		Use:   "prove KEY [--sequence N]",
		Short: "Print a proof that an entry is in the log",
		Long: `Print a proof that the newest entry of a key is in the sealed log, or that an older
one is: the entry, its inclusion proof and the signed checkpoint, in one text. Anyone
who holds the verifier key checks it with immukv tlog check, without the store.`,
		Example: `  immukv tlog prove sensor-012352 > sensor-012352.tlog-proof
  immukv tlog prove sensor-012352 --sequence 41`,
		Args: args("KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := a.limit(cmd.Context(), cmd, singleTimeout)
			defer cancel()
			return a.withClient(ctx, func(db *client) error {
				prove := func() ([]byte, error) { return tlog.ProveKey(ctx, db, args[0]) }
				if cmd.Flags().Changed("sequence") {
					prove = func() ([]byte, error) { return tlog.ProveKeyAt(ctx, db, args[0], int64(sequence)) }
				}
				proof, err := prove()
				if err != nil {
					return err
				}
				_, err = a.stdout.Write(proof)
				return err
			})
		},
	}
	cmd.Flags().Var(&sequence, "sequence", "prove the entry of sequence `n` instead of the newest")
	return cmd
}

func newTlogCheckCommand(a *app) *cobra.Command {
	var flags verifierFlags
	cmd := &cobra.Command{
		Use:   "check PROOF --verifier KEY",
		Short: "Check a proof, and print the entry that it proves",
		Long: `Check a proof that immukv tlog prove printed, and print its entry. PROOF is a file, or
- for standard input. It needs no store and no network. The exit code is 4 if the proof
is wrong.

A proof says that the entry is in the log, not that it is the newest of its key.`,
		Example: `  immukv tlog check sensor-012352.tlog-proof --verifier example.com/plant-7+3b1f…+AZ…`,
		Args:    args("PROOF"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if flags.verifier == "" {
				return usagef("--verifier KEY is missing: the verifier key of the log, as keygen printed it")
			}
			policy, err := tlog.NewPolicy(flags.verifier)
			if err != nil {
				return err
			}
			if policy.Witnesses, err = flags.policy(); err != nil {
				return err
			}
			proof, err := await(cmd.Context(), func() ([]byte, error) { return a.readProof(args[0]) })
			if err != nil {
				return err
			}
			e, _, err := tlog.CheckProof(proof, policy)
			if err != nil {
				return err
			}
			return a.printProved(e)
		},
	}
	flags.addKeys(cmd.Flags())
	return cmd
}

func (a *app) readProof(file string) ([]byte, error) {
	in := a.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	proof, err := io.ReadAll(io.LimitReader(in, tlog.MaxProofBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the proof: %w", err)
	}
	return proof, nil
}

// provedJSON is the entry of a proof as --json prints it. A proof has no version IDs,
// which belong to the store.
type provedJSON struct {
	Key          string      `json:"key"`
	Value        value       `json:"value"`
	Sequence     int64       `json:"sequence"`
	TimestampMS  int64       `json:"timestamp_ms"`
	Hash         immukv.Hash `json:"hash"`
	PreviousHash immukv.Hash `json:"previous_hash"`
	Dialect      string      `json:"dialect"`
}

func (a *app) printProved(e immukv.Entry[value]) error {
	if a.json {
		return printJSON(a.stdout, provedJSON{e.Key, e.JSON, e.Sequence, e.Timestamp.UnixMilli(), e.Hash, e.PreviousHash, e.Dialect.String()})
	}
	_, err := fmt.Fprintf(a.stdout, `key            %s
value          %s
sequence       %d
time           %s
hash           %s
previous hash  %s
dialect        %s
`, shown(e.Key), shownValue(e), e.Sequence, e.Timestamp.Format(timeLayout), e.Hash, visible(string(e.PreviousHash)), e.Dialect)
	return err
}

// printSealed prints the result of an audit for the newest checkpoint.
func (a *app) printSealed(c tlog.Checkpoint, err error) error {
	if errors.Is(err, tlog.ErrNoCheckpoint) {
		return fmt.Errorf("%w: %w", immukv.ErrVerificationFailed, err)
	}
	if err != nil {
		return err
	}
	return a.printCheckpoint(c)
}
