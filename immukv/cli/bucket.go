package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/immukv/immukv-go/backend/s3store/provision"
)

const bucketLong = `Make and check the S3 bucket of a store from a description: a file in YAML or JSON,
or - for standard input. docs/permissions.md lists its fields.

  bucketName: calibration-7
  region: eu-central-1
  objectLock: {mode: compliance, days: 30}
  administrators: ["arn:aws:iam::111122223333:role/bucket-administrator"]
  prefixes:
    - s3Prefix: plant-7/

Credentials are found as by the AWS tools. --endpoint, or AWS_ENDPOINT_URL, names a
server other than AWS.`

func newBucketCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bucket",
		Short: "Make and check the S3 bucket of a store",
		Long:  bucketLong,
		Example: `  immukv bucket plan bucket.yaml
  immukv bucket apply bucket.yaml
  immukv bucket check bucket.yaml
  immukv bucket render bucket.yaml --format iam --role writer --prefix plant-7/`,
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("bucket needs a command: plan, apply, check or render")
			}
			return usagef("unknown command %q of bucket", args[0])
		},
	}
	cmd.AddCommand(newBucketPlanCommand(a), newBucketApplyCommand(a), newBucketCheckCommand(a), newBucketRenderCommand(a))
	return cmd
}

// errChanges is the result of a plan with changes.
var errChanges = errors.New("the bucket is not as it is described")

// errDeviates is the result of a check with findings.
var errDeviates = errors.New("the check has findings")

// maxDescriptionBytes is the largest size of a description.
const maxDescriptionBytes = 2 << 20

// description reads a description from a file or from standard input.
func (a *app) description(ctx context.Context, path string) (*provision.Description, error) {
	text, err := await(ctx, func() ([]byte, error) {
		in := a.stdin
		if path != "-" {
			file, err := os.Open(path)
			if err != nil {
				return nil, err
			}
			defer file.Close()
			in = file
		}
		return io.ReadAll(io.LimitReader(in, maxDescriptionBytes))
	})
	if err != nil {
		return nil, &inputError{err}
	}
	d, err := provision.Parse(text)
	if err != nil {
		return nil, &inputError{fmt.Errorf("%s: %w", path, err)}
	}
	return d, nil
}

// bucketCommand is a command that sends requests to the server of the bucket.
func (a *app) bucketCommand(cmd *cobra.Command, do func(context.Context, *provision.Bucket) error) *cobra.Command {
	var endpoint string
	cmd.Args = args("FILE")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, cancel := a.limit(cmd.Context(), cmd, singleTimeout)
		defer cancel()
		d, err := a.description(ctx, args[0])
		if err != nil {
			return err
		}
		b, err := provision.Open(ctx, d, endpoint)
		if err != nil {
			return err
		}
		return do(ctx, b)
	}
	cmd.Flags().StringVar(&endpoint, "endpoint", "", "`URL` of a server other than AWS (default: the environment's AWS_ENDPOINT_URL)")
	return cmd
}

func newBucketPlanCommand(a *app) *cobra.Command {
	return a.bucketCommand(&cobra.Command{
		Use:   "plan FILE",
		Short: "Say what apply would change",
		Long: `Compare the bucket with its description, and print what apply would change. Nothing is
changed.

The exit code is 0 if nothing would change, and 2 if something would. For an error on
the command line it is 2 as well, but then nothing is printed on standard output. For
an error in FILE it is 1, and also if some settings of the bucket cannot be read. With
--json, the output is one object with server, exists, changes[{aspect have want
shortens}], dangers[{aspect problem remedy}], unseen[{…}] and notes[].`,
		Example: `  immukv bucket plan bucket.yaml`,
	}, a.bucketPlan)
}

func (a *app) bucketPlan(ctx context.Context, b *provision.Bucket) error {
	plan, err := b.Plan(ctx)
	if err != nil {
		return err
	}
	if a.json {
		err = printJSON(a.stdout, planJSON(*plan))
	} else {
		err = printPlan(a.stdout, plan)
	}
	switch {
	case err != nil:
		return err
	case len(plan.Unseen) > 0:
		return errors.New("some settings of the bucket could not be read")
	case len(plan.Changes) > 0:
		return errChanges
	}
	return nil
}

// planJSON is a plan in which missing lists are empty instead of null.
func planJSON(p provision.Plan) provision.Plan {
	p.Changes = append([]provision.Change{}, p.Changes...)
	p.Dangers = append([]provision.Finding{}, p.Dangers...)
	p.Unseen = append([]provision.Finding{}, p.Unseen...)
	p.Notes = append([]string{}, p.Notes...)
	return p
}

func printPlan(w io.Writer, plan *provision.Plan) error {
	var b strings.Builder
	for _, c := range plan.Changes {
		fmt.Fprintf(&b, "change   %s\n           have  %s\n           want  %s\n", c.Aspect, visible(c.Have), visible(c.Want))
		if c.Shortens {
			b.WriteString("         versions would be deleted sooner: apply needs --shorten\n")
		}
	}
	if len(plan.Changes) == 0 {
		b.WriteString("nothing to change\n")
	}
	writeFindings(&b, "danger", plan.Dangers)
	writeFindings(&b, "unseen", plan.Unseen)
	for _, note := range plan.Notes {
		fmt.Fprintf(&b, "note     %s\n", visible(note))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeFindings(b *strings.Builder, kind string, findings []provision.Finding) {
	for _, f := range findings {
		fmt.Fprintf(b, "%-8s %s: %s\n           remedy: %s\n", kind, f.Aspect, visible(f.Problem), visible(f.Remedy))
	}
}

func newBucketApplyCommand(a *app) *cobra.Command {
	var shorten bool
	cmd := a.bucketCommand(&cobra.Command{
		Use:   "apply FILE",
		Short: "Create the bucket, or change it to match its description",
		Long: `Create the bucket of a description, or change it to match, and print each step. It can
be repeated safely. It deletes no data, never suspends versioning, and shortens a
retention only with --shorten. Lifecycle rules, notifications and statements of the
bucket policy that it did not make stay as they are; check reports dangerous ones.

If a step fails, the other steps are still made. The next apply continues with what is
left.`,
		Example: `  immukv bucket apply bucket.yaml`,
	}, func(ctx context.Context, b *provision.Bucket) error {
		if err := a.refuseReadOnly("bucket apply"); err != nil {
			return err
		}
		var printing error
		err := b.Apply(ctx, provision.ApplyOptions{Shorten: shorten, Report: func(c provision.Change, err error) {
			printing = errors.Join(printing, a.printStep(c, err))
		}})
		return errors.Join(err, printing)
	})
	cmd.Flags().BoolVar(&shorten, "shorten", false, "allow a shorter retention of versions")
	return cmd
}

// stepJSON is a step of apply as --json prints it.
type stepJSON struct {
	provision.Change
	Error *string `json:"error"`
}

func (a *app) printStep(c provision.Change, err error) error {
	if a.json {
		step := stepJSON{Change: c}
		if err != nil {
			text := err.Error()
			step.Error = &text
		}
		return printJSON(a.stdout, step)
	}
	word := "done"
	if err != nil {
		word = "failed"
	}
	_, err = fmt.Fprintf(a.stdout, "%-6s  %s\n", word, visible(c.String()))
	return err
}

func newBucketCheckCommand(a *app) *cobra.Command {
	return a.bucketCommand(&cobra.Command{
		Use:   "check FILE",
		Short: "Find deviations from the description, and dangers",
		Long: `Compare the bucket with its description, and print every deviation and every danger
with its remedy. The exit code is 4 if there is one. Settings that the credentials do
not allow to read are listed, too. With --json, each is an object on a line: aspect
problem remedy.`,
		Example: `  immukv bucket check bucket.yaml`,
	}, func(ctx context.Context, b *provision.Bucket) error {
		findings, err := b.Check(ctx)
		if err != nil {
			return err
		}
		if err := a.printFindings(findings); err != nil {
			return err
		}
		if len(findings) > 0 {
			return errDeviates
		}
		return nil
	})
}

func (a *app) printFindings(findings []provision.Finding) error {
	if a.json {
		for _, f := range findings {
			if err := printJSON(a.stdout, f); err != nil {
				return err
			}
		}
		return nil
	}
	var b strings.Builder
	writeFindings(&b, "found", findings)
	if len(findings) == 0 {
		b.WriteString("nothing found\n")
	}
	_, err := io.WriteString(a.stdout, b.String())
	return err
}

func newBucketRenderCommand(a *app) *cobra.Command {
	var format, role, prefix, server string
	cmd := &cobra.Command{
		Use:   "render FILE --format iam|bucket-policy|cloudformation|terraform",
		Short: "Print policies, or the bucket for another tool",
		Long: `Print the policies of the roles for IAM, the policy of the bucket, or everything as a
CloudFormation template or a Terraform configuration. It makes no request and needs no
credentials.

--role and --prefix select policies of roles. With both, format iam prints that one
policy; otherwise it prints an object of policies by name. --server omits what a server
does not support.`,
		Example: `  immukv bucket render bucket.yaml --format iam --role writer --prefix plant-7/
  immukv bucket render bucket.yaml --format terraform > bucket.tf`,
		Args: args("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format == "" {
				return usagef("--format is missing: iam, bucket-policy, cloudformation or terraform")
			}
			d, err := a.description(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			opts := provision.RenderOptions{Role: provision.Role(role), Server: provision.Server(server)}
			if cmd.Flags().Changed("prefix") {
				opts.Prefix = &prefix
			}
			text, err := d.Render(provision.Format(format), opts)
			if err != nil {
				return &usageError{err}
			}
			_, err = io.WriteString(a.stdout, text)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&format, "format", "", "iam, bucket-policy, cloudformation or terraform")
	flags.StringVar(&role, "role", "", "writer, reader, sealer or administrator")
	flags.StringVar(&prefix, "prefix", "", "`prefix` or pattern of the description")
	flags.StringVar(&server, "server", "", "aws, minio or versitygw (default: aws)")
	return cmd
}
