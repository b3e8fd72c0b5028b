package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Bucket is the bucket of a description, on a server. Any number of goroutines may call
// its methods. Apply replaces the whole policy, lifecycle and notifications of the
// bucket. If somebody else, or another run of Apply, changes a rule or statement at the
// same time, the change may be lost.
type Bucket struct {
	client *s3.Client
	d      *Description
}

// New returns the bucket of a description. It makes no request. It keeps client and d.
func New(client *s3.Client, d *Description) *Bucket { return &Bucket{client, d} }

// Change is one difference between the bucket and its description.
type Change struct {
	Aspect Aspect `json:"aspect"`
	Have   string `json:"have"`
	Want   string `json:"want"`
	// Shortens reports whether the change would keep versions for less time than now.
	Shortens bool `json:"shortens"`
}

func (c Change) String() string { return fmt.Sprintf("%s: %s -> %s", c.Aspect, c.Have, c.Want) }

// Finding is a deviation or a danger, with what to do about it.
type Finding struct {
	Aspect  Aspect `json:"aspect"`
	Problem string `json:"problem"`
	Remedy  string `json:"remedy"`
}

// Plan is the state of a bucket, and what [Bucket.Apply] would change.
type Plan struct {
	Server Server `json:"server"`
	Exists bool   `json:"exists"`
	// Changes are the changes that Apply would make, in this order.
	Changes []Change `json:"changes"`
	// Dangers are settings that somebody else made and that Apply does not change.
	Dangers []Finding `json:"dangers"`
	// Unseen are aspects that the credentials may not read.
	Unseen []Finding `json:"unseen"`
	// Notes say what the description costs, and what the server does not support.
	Notes []string `json:"notes"`
}

// Plan reads the bucket and compares it with the description. It changes nothing. It
// returns an error only if there is nothing to compare. Aspects that the credentials
// may not read are in Unseen.
func (b *Bucket) Plan(ctx context.Context) (*Plan, error) {
	s, err := read(ctx, b.client, b.d.BucketName)
	if err != nil {
		return nil, err
	}
	p := &Plan{Server: s.server, Exists: s.exists, Notes: b.d.Warnings()}
	for _, step := range b.steps(s) {
		p.Changes = append(p.Changes, step.Change)
	}
	p.Dangers = b.d.dangers(s)
	p.Unseen = unseen(s)
	for _, aspect := range Aspects {
		if s.server.lacks(aspect) {
			p.Notes = append(p.Notes, limit(s.server, aspect))
		}
	}
	if !s.server.knowsConditionalWrites() {
		p.Notes = append(p.Notes, fmt.Sprintf("On %s, a policy cannot deny a PUT without a condition.", s.server))
	}
	return p, nil
}

func limit(server Server, aspect Aspect) string {
	if server == MinIO && aspect == Access {
		return "minio applies bucket policies to anonymous requests only, so none is set; the policies of roles apply."
	}
	return fmt.Sprintf("%s has no setting for %s, so it is not set.", server, aspect)
}

func unseen(s *state) []Finding {
	var all []Finding
	for _, aspect := range Aspects {
		if err := s.unseen[aspect]; err != nil {
			all = append(all, Finding{aspect, fmt.Sprintf("it could not be read: %v", err), "use credentials that may " + reading[aspect]})
		}
	}
	return all
}

// step is a change with the function that makes it.
type step struct {
	Change
	do func(ctx context.Context) error
}

// steps returns the changes that make a bucket of that state match the description.
// Aspects that could not be read have none.
func (b *Bucket) steps(s *state) []step {
	var all []step
	for _, aspect := range Aspects {
		if s.unseen[aspect] != nil || s.server.lacks(aspect) || s.exists && aspect == Existence {
			continue
		}
		if next := b.step(aspect, s); next != nil {
			next.Aspect = aspect
			all = append(all, *next)
		}
	}
	return all
}

// step returns the change of one aspect, or nil.
func (b *Bucket) step(aspect Aspect, s *state) *step {
	switch aspect {
	case Existence:
		return &step{Change{Have: "none", Want: fmt.Sprintf("%s in %s", b.d.BucketName, b.d.Region)}, b.create}
	case Versioning:
		return b.versioning(s)
	case Lock:
		return b.lock(s)
	case Encryption:
		return b.encryption(s)
	case PublicAccess:
		return b.publicAccess(s)
	case Access:
		return b.policy(s)
	case Lifecycle:
		return b.lifecycle(s)
	default:
		return b.notification(s)
	}
}

func (b *Bucket) create(ctx context.Context) error {
	in := &s3.CreateBucketInput{Bucket: &b.d.BucketName, ObjectLockEnabledForBucket: aws.Bool(b.d.ObjectLock != nil)}
	if b.d.Region != "us-east-1" {
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(b.d.Region)}
	}
	_, err := b.client.CreateBucket(ctx, in)
	switch codeOf(err) {
	case "BucketAlreadyOwnedByYou":
		return nil // created by another Apply
	case "BucketAlreadyExists":
		return fmt.Errorf("the bucket %q belongs to another account; choose another name: %w", b.d.BucketName, err)
	}
	return err
}

func (b *Bucket) versioning(s *state) *step {
	if s.versioning == types.BucketVersioningStatusEnabled {
		return nil
	}
	have := "never enabled"
	if s.versioning != "" {
		have = strings.ToLower(string(s.versioning))
	}
	return &step{Change{Have: have, Want: "enabled"}, func(ctx context.Context) error {
		_, err := b.client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: &b.d.BucketName,
			VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
		return err
	}}
}

// retention is a default retention in one unit: a year of Object Lock is 365 days.
func retention(lock *types.ObjectLockConfiguration) (types.ObjectLockRetentionMode, int) {
	if lock == nil || lock.Rule == nil || lock.Rule.DefaultRetention == nil {
		return "", 0
	}
	r := lock.Rule.DefaultRetention
	return r.Mode, int(aws.ToInt32(r.Days)) + 365*int(aws.ToInt32(r.Years))
}

func describeLock(mode types.ObjectLockRetentionMode, days int) string {
	if days == 0 {
		return "no default retention"
	}
	return fmt.Sprintf("%s, %d days", strings.ToLower(string(mode)), days)
}

func (b *Bucket) lock(s *state) *step {
	haveMode, haveDays := retention(s.lock)
	var wantMode types.ObjectLockRetentionMode
	var wantDays int
	if want := b.d.ObjectLock; want != nil {
		wantMode, wantDays = types.ObjectLockRetentionMode(strings.ToUpper(want.Mode)), want.Days
	}
	if haveMode == wantMode && haveDays == wantDays {
		return nil
	}
	weaker := haveMode == types.ObjectLockRetentionModeCompliance && wantMode != haveMode
	change := Change{Have: describeLock(haveMode, haveDays), Want: describeLock(wantMode, wantDays), Shortens: weaker || wantDays < haveDays}
	return &step{change, func(ctx context.Context) error {
		config := &types.ObjectLockConfiguration{ObjectLockEnabled: types.ObjectLockEnabledEnabled}
		if wantDays > 0 {
			config.Rule = &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{Mode: wantMode, Days: aws.Int32(int32(wantDays))}}
		}
		_, err := b.client.PutObjectLockConfiguration(ctx, &s3.PutObjectLockConfigurationInput{Bucket: &b.d.BucketName, ObjectLockConfiguration: config})
		if err != nil && s.lock == nil && statusOf(err) != 403 {
			return fmt.Errorf("bucket %q was created without Object Lock, and the server cannot add it; create another bucket and copy the store: %w", b.d.BucketName, err)
		}
		return err
	}}
}

func (b *Bucket) encryption(s *state) *step {
	want := types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryptionAes256}
	if b.d.Encryption == EncryptionKMS {
		want = types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryptionAwsKms, KMSMasterKeyID: &b.d.KMSKeyID}
	}
	if s.encryption.SSEAlgorithm == want.SSEAlgorithm && aws.ToString(s.encryption.KMSMasterKeyID) == aws.ToString(want.KMSMasterKeyID) {
		return nil
	}
	describe := func(e types.ServerSideEncryptionByDefault) string {
		if e.SSEAlgorithm == "" {
			return "none"
		}
		return strings.TrimSpace(string(e.SSEAlgorithm) + " " + aws.ToString(e.KMSMasterKeyID))
	}
	return &step{Change{Have: describe(s.encryption), Want: describe(want)}, func(ctx context.Context) error {
		rule := types.ServerSideEncryptionRule{ApplyServerSideEncryptionByDefault: &want}
		if b.d.Encryption == EncryptionKMS {
			rule.BucketKeyEnabled = aws.Bool(true)
		}
		_, err := b.client.PutBucketEncryption(ctx, &s3.PutBucketEncryptionInput{Bucket: &b.d.BucketName,
			ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{Rules: []types.ServerSideEncryptionRule{rule}}})
		if codeOf(err) == "NotImplemented" {
			return fmt.Errorf("the server is not set up for encryption; give it a key (MinIO: MINIO_KMS_SECRET_KEY, or a KMS): %w", err)
		}
		return err
	}}
}

func (b *Bucket) publicAccess(s *state) *step {
	var open []string
	for _, setting := range []struct {
		name string
		on   *bool
	}{{"BlockPublicAcls", s.block.BlockPublicAcls}, {"IgnorePublicAcls", s.block.IgnorePublicAcls},
		{"BlockPublicPolicy", s.block.BlockPublicPolicy}, {"RestrictPublicBuckets", s.block.RestrictPublicBuckets}} {
		if !aws.ToBool(setting.on) {
			open = append(open, setting.name+" off")
		}
	}
	if open == nil {
		return nil
	}
	return &step{Change{Have: strings.Join(open, ", "), Want: "all blocked"}, func(ctx context.Context) error {
		on := aws.Bool(true)
		_, err := b.client.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: &b.d.BucketName,
			PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{
				BlockPublicAcls: on, IgnorePublicAcls: on, BlockPublicPolicy: on, RestrictPublicBuckets: on}})
		return err
	}}
}

// encrypted reports whether the client's endpoint has TLS.
func (b *Bucket) encrypted() bool {
	return !strings.HasPrefix(strings.ToLower(aws.ToString(b.client.Options().BaseEndpoint)), "http://")
}

func (b *Bucket) policy(s *state) *step {
	want := b.d.BucketPolicy(s.server, b.encrypted())
	var foreign []looseStatement
	have := make(map[string]string)
	for _, statement := range s.policy {
		if sid := statement.sid(); strings.HasPrefix(sid, ownSid) {
			have[sid] += statement.normal()
		} else {
			foreign = append(foreign, statement)
		}
	}
	var differ []string
	all := foreign
	for _, statement := range want.Statement {
		loose := statement.loose()
		all = append(all, loose)
		switch got := have[statement.Sid]; {
		case got == "":
			differ = append(differ, statement.Sid+" is missing")
		case got != loose.normal():
			differ = append(differ, statement.Sid+" differs")
		}
		delete(have, statement.Sid)
	}
	for sid := range have {
		differ = append(differ, sid+" must not exist")
	}
	if differ == nil {
		return nil
	}
	slices.Sort(differ)
	return &step{Change{Have: strings.Join(differ, ", "), Want: fmt.Sprintf("%d statements, and %d of others", len(want.Statement), len(foreign))},
		func(ctx context.Context) error {
			_, err := b.client.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &b.d.BucketName, Policy: aws.String(joined(all))})
			return err
		}}
}
