package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// ErrShortens means that a change would shorten a retention, and that [ApplyOptions]
// did not allow it.
var ErrShortens = errors.New("it would shorten a retention, which needs --shorten")

// ApplyOptions are the options of [Bucket.Apply].
type ApplyOptions struct {
	// Shorten allows Apply to shorten retentions.
	Shorten bool
	// Report, unless it is nil, is called after each step with the error of that step.
	Report func(Change, error)
}

// Apply creates the bucket, or changes it to match the description, with one step for
// each change. It deletes no data and does not suspend versioning. It does not change
// rules and statements that are not its own.
//
// If a step fails, Apply continues with the next one. It stops early only if it cannot create
// the bucket or cannot enable versioning, or if ctx ends. It returns the errors of all
// steps, joined. It does not undo the steps that succeeded; the next Apply does the
// rest.
func (b *Bucket) Apply(ctx context.Context, opts ApplyOptions) error {
	s, err := read(ctx, b.client, b.d.BucketName)
	if err != nil {
		return err
	}
	if opts.Report == nil {
		opts.Report = func(Change, error) {}
	}
	if !s.exists {
		if err := b.take(ctx, b.steps(s)[0], opts); err != nil {
			return err
		}
		if s, err = read(ctx, b.client, b.d.BucketName); err != nil {
			return err
		}
	}
	var errs []error
	for _, f := range unseen(s) {
		errs = append(errs, fmt.Errorf("%s: not changed: %w", f.Aspect, s.unseen[f.Aspect]))
	}
	for _, step := range b.steps(s) {
		err := b.take(ctx, step, opts)
		errs = append(errs, err)
		if err != nil && (step.Aspect == Versioning || ctx.Err() != nil) {
			break
		}
	}
	return errors.Join(errs...)
}

// take makes one step.
func (b *Bucket) take(ctx context.Context, step step, opts ApplyOptions) error {
	var err error
	if step.Shortens && !opts.Shorten {
		err = ErrShortens
	} else {
		err = lacking(step.do(ctx), writing[step.Aspect], b.d.BucketName)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", step.Aspect, err)
	}
	opts.Report(step.Change, err)
	return err
}

// Check returns every deviation from the description and every danger, each with its
// remedy. A setting that the credentials may not read is a finding too.
func (b *Bucket) Check(ctx context.Context) ([]Finding, error) {
	s, err := read(ctx, b.client, b.d.BucketName)
	if err != nil {
		return nil, err
	}
	var all []Finding
	for _, step := range b.steps(s) {
		remedy := "immukv bucket apply"
		if step.Shortens {
			remedy += " --shorten, which shortens a retention; or change the description"
		}
		all = append(all, Finding{step.Aspect, fmt.Sprintf("have: %s; want: %s", step.Have, step.Want), remedy})
		if !s.exists {
			return all, nil
		}
	}
	return append(append(all, b.d.dangers(s)...), unseen(s)...), nil
}

// Inspect checks a bucket without a description. The dangers are those to the store
// below the prefix. The hidden findings are settings that the credentials may not read.
func Inspect(ctx context.Context, client *s3.Client, bucket, prefix string) (dangers, hidden []Finding, err error) {
	s, err := read(ctx, client, bucket)
	if err != nil {
		return nil, nil, err
	}
	if !s.exists {
		return []Finding{{Existence, "the bucket does not exist", "immukv bucket apply"}}, nil, nil
	}
	d := &Description{BucketName: bucket, Prefixes: []Prefix{{S3Prefix: prefix}}}
	if s.unseen[Versioning] == nil && s.versioning != types.BucketVersioningStatusEnabled {
		dangers = append(dangers, Finding{Versioning, "it is not enabled: a write replaces the previous one", "immukv bucket apply"})
	}
	b := New(client, d)
	if s.unseen[PublicAccess] == nil && !s.server.lacks(PublicAccess) {
		if open := b.publicAccess(s); open != nil {
			dangers = append(dangers, Finding{PublicAccess, "it is only partly blocked: " + open.Have, "immukv bucket apply"})
		}
	}
	for _, l := range s.rules {
		if strings.HasPrefix(aws.ToString(l.ID), ownID) && expires(l) && d.touches(rulePrefix(l)) {
			dangers = append(dangers, Finding{Lifecycle, describeRule(l, true) + "; as in its description", "immukv bucket plan describes the consequences"})
		}
	}
	return append(dangers, d.dangers(s)...), unseen(s), nil
}

// guarded are the actions that a bucket policy should not allow to everybody.
var guarded = []string{"s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention", "s3:DeleteBucket", "s3:DeleteBucketPolicy",
	"s3:PutBucketVersioning", "s3:PutLifecycleConfiguration", "s3:PutBucketPolicy"}

// dangers returns the dangerous settings that others made in the bucket.
func (d *Description) dangers(s *state) []Finding {
	var all []Finding
	for _, l := range s.rules {
		if strings.HasPrefix(aws.ToString(l.ID), ownID) || !expires(l) || !d.touches(rulePrefix(l)) {
			continue
		}
		all = append(all, Finding{Lifecycle, "other " + describeRule(l, true),
			"remove the rule with the tool that made it, or: aws s3api put-bucket-lifecycle-configuration without it"})
	}
	for _, l := range s.policy {
		if effect, _ := l["Effect"].(string); effect != allow || strings.HasPrefix(l.sid(), ownSid) {
			continue
		}
		remedy := "remove the statement with the tool that made it, or: aws s3api put-bucket-policy without it"
		if l.public() {
			all = append(all, Finding{Access, fmt.Sprintf("statement %q allows %s to everybody", l.sid(), strings.Join(l.values("Action"), ", ")), remedy})
		}
		var bad []string
		for _, action := range guarded {
			if l.covers(action) {
				bad = append(bad, action)
			}
		}
		if bad != nil {
			all = append(all, Finding{Access, fmt.Sprintf("statement %q allows %s", l.sid(), strings.Join(bad, ", ")), remedy})
		}
	}
	return all
}
