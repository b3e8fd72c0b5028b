package provision_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/immukv/immukv-go/backend/s3store/provision"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
)

var servers s3test.Servers

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

var made atomic.Int64

// described is the description of a bucket that no other test has, with more
// members at will.
func described(t testing.TB, more string) *provision.Description {
	t.Helper()
	return parse(t, fmt.Sprintf("bucketName: provisioned-%d\nregion: us-east-1\n%s\n", made.Add(1), more))
}

const (
	locked    = "objectLock: {mode: compliance, days: 2}\n"
	retaining = "prefixes: [{s3Prefix: myapp, logVersionRetentionDays: 30, logVersionsToRetain: 5, keyVersionRetentionDays: 20}]\n"
	plain     = "prefixes: [{s3Prefix: myapp}]\n"
	owned     = "administrators: ['arn:aws:iam::111122223333:role/administrator']\n"
)

func apply(t testing.TB, b *provision.Bucket, opts provision.ApplyOptions) (steps []provision.Change) {
	t.Helper()
	opts.Report = func(c provision.Change, err error) {
		if err == nil {
			steps = append(steps, c)
		}
	}
	if err := b.Apply(t.Context(), opts); err != nil {
		t.Fatalf("apply: %v, after %v", err, steps)
	}
	return steps
}

func check(t testing.TB, b *provision.Bucket) []provision.Finding {
	t.Helper()
	findings, err := b.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return findings
}

// A bucket is planned, made, and then as it is described; applying again does
// nothing.
func TestApply(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		client := server.Client(t)
		d := described(t, locked+retaining+owned)
		b := provision.New(client, d)
		plan, err := b.Plan(t.Context())
		if err != nil || plan.Exists || len(plan.Changes) == 0 || plan.Changes[0].Aspect != provision.Existence {
			t.Fatalf("%+v, %v", plan, err)
		}
		if _, err := client.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: &d.BucketName}); err == nil {
			t.Error("the plan made the bucket")
		}
		t.Log(apply(t, b, provision.ApplyOptions{}))
		if again := apply(t, b, provision.ApplyOptions{}); again != nil {
			t.Errorf("a second apply changed %v", again)
		}
		if plan, err := b.Plan(t.Context()); err != nil || plan.Changes != nil || plan.Dangers != nil || plan.Unseen != nil {
			t.Errorf("%+v, %v", plan, err)
		}
		if findings := check(t, b); findings != nil {
			t.Errorf("%+v", findings)
		}
		dangers, hidden, err := provision.Inspect(t.Context(), client, d.BucketName, "other/")
		if err != nil || dangers != nil || hidden != nil {
			t.Errorf("%v, %v, %v", dangers, hidden, err)
		}
	})
}

// behind is one change made behind the back of the description.
type behind struct {
	what   string
	aspect provision.Aspect
	says   string // what the finding says of it
	do     func(ctx context.Context, c *s3.Client, bucket string) error
}

func suspend(ctx context.Context, c *s3.Client, bucket string) error {
	_, err := c.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: &bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusSuspended}})
	return err
}

func relock(mode types.ObjectLockRetentionMode, days int32) func(context.Context, *s3.Client, string) error {
	return func(ctx context.Context, c *s3.Client, bucket string) error {
		config := &types.ObjectLockConfiguration{ObjectLockEnabled: types.ObjectLockEnabledEnabled}
		if days > 0 {
			config.Rule = &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{Mode: mode, Days: &days}}
		}
		_, err := c.PutObjectLockConfiguration(ctx, &s3.PutObjectLockConfigurationInput{Bucket: &bucket, ObjectLockConfiguration: config})
		return err
	}
}

// rules edits the lifecycle.
func rules(edit func(rules []types.LifecycleRule) []types.LifecycleRule) func(context.Context, *s3.Client, string) error {
	return func(ctx context.Context, c *s3.Client, bucket string) error {
		out, err := c.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &bucket})
		if err != nil {
			return err
		}
		edited := edit(out.Rules)
		if len(edited) == 0 {
			_, err = c.DeleteBucketLifecycle(ctx, &s3.DeleteBucketLifecycleInput{Bucket: &bucket})
			return err
		}
		_, err = c.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: &bucket,
			LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: edited}})
		return err
	}
}

// rule edits the rule for the log.
func rule(edit func(r *types.LifecycleRule)) func(context.Context, *s3.Client, string) error {
	return rules(func(all []types.LifecycleRule) []types.LifecycleRule {
		for i := range all {
			if strings.Contains(*all[i].ID, "log") {
				edit(&all[i])
			}
		}
		return all
	})
}

func foreign(r types.LifecycleRule) func(context.Context, *s3.Client, string) error {
	r.ID, r.Status = aws.String("cleanup"), types.ExpirationStatusEnabled
	return rules(func(all []types.LifecycleRule) []types.LifecycleRule { return append(all, r) })
}

// policy edits the bucket policy.
func policy(edit func(statements []map[string]any) []map[string]any) func(context.Context, *s3.Client, string) error {
	return func(ctx context.Context, c *s3.Client, bucket string) error {
		var p struct {
			Version   string
			Statement []map[string]any
		}
		p.Version = "2012-10-17"
		if out, err := c.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &bucket}); err == nil {
			if err := json.Unmarshal([]byte(*out.Policy), &p); err != nil {
				return err
			}
		}
		p.Statement = edit(p.Statement)
		text, err := json.Marshal(p)
		if err != nil {
			return err
		}
		_, err = c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: aws.String(string(text))})
		return err
	}
}

func add(bucketResource bool, principal any, actions ...string) func(context.Context, *s3.Client, string) error {
	return func(ctx context.Context, c *s3.Client, bucket string) error {
		resource := "arn:aws:s3:::" + bucket
		if !bucketResource {
			resource += "/*"
		}
		return policy(func(all []map[string]any) []map[string]any {
			return append(all, map[string]any{"Sid": "Convenience", "Effect": "Allow", "Principal": principal, "Action": actions, "Resource": resource})
		})(ctx, c, bucket)
	}
}

func without(sid string) func(context.Context, *s3.Client, string) error {
	return policy(func(all []map[string]any) (kept []map[string]any) {
		for _, s := range all {
			if s["Sid"] != sid {
				kept = append(kept, s)
			}
		}
		return kept
	})
}

func edit(sid, member string, value any) func(context.Context, *s3.Client, string) error {
	return policy(func(all []map[string]any) []map[string]any {
		for _, s := range all {
			if s["Sid"] == sid {
				s[member] = value
			}
		}
		return all
	})
}

// changesBehind are the changes that the server can be made to make.
func changesBehind(server *s3test.Server, user string) []behind {
	compliance, governance := types.ObjectLockRetentionModeCompliance, types.ObjectLockRetentionModeGovernance
	everywhere := []behind{
		{"Object Lock longer", provision.Lock, "compliance, 3 days", relock(compliance, 3)},
		{"Object Lock shorter", provision.Lock, "compliance, 1 days", relock(compliance, 1)},
		{"Object Lock weaker", provision.Lock, "governance, 2 days", relock(governance, 2)},
		{"Object Lock without retention", provision.Lock, "no default retention", relock("", 0)},
		{"everybody reads", provision.Access, "s3:GetObject to everybody", add(false, "*", "s3:GetObject")},
		{"everybody lists", provision.Access, "s3:ListBucket to everybody", add(true, "*", "s3:ListBucket")},
		{"everybody writes", provision.Access, "s3:PutObject to everybody", add(false, map[string]any{"AWS": []string{"*"}}, "s3:PutObject")},
	}
	noncurrent := func(days int32) *types.NoncurrentVersionExpiration {
		return &types.NoncurrentVersionExpiration{NoncurrentDays: &days}
	}
	prefix := func(p string) *types.LifecycleRuleFilter { return &types.LifecycleRuleFilter{Prefix: &p} }
	if server.Software == s3test.MinIO {
		return append(everywhere, []behind{
			{"no lifecycle", provision.Lifecycle, "no rule", rules(func([]types.LifecycleRule) []types.LifecycleRule { return nil })},
			{"one rule less", provision.Lifecycle, "no rule", rules(func(all []types.LifecycleRule) []types.LifecycleRule { return all[:1] })},
			{"days fewer", provision.Lifecycle, "after 3 days", rule(func(r *types.LifecycleRule) { *r.NoncurrentVersionExpiration.NoncurrentDays = 3 })},
			{"days more", provision.Lifecycle, "after 300 days", rule(func(r *types.LifecycleRule) { *r.NoncurrentVersionExpiration.NoncurrentDays = 300 })},
			{"versions fewer", provision.Lifecycle, "newest 1", rule(func(r *types.LifecycleRule) { *r.NoncurrentVersionExpiration.NewerNoncurrentVersions = 1 })},
			{"rule disabled", provision.Lifecycle, "disabled", rule(func(r *types.LifecycleRule) { r.Status = types.ExpirationStatusDisabled })},
			{"rule for another name", provision.Lifecycle, `below "myapp/"`, rule(func(r *types.LifecycleRule) { r.Filter = prefix("myapp/") })},
			{"everything expires", provision.Lifecycle, "other rule", foreign(types.LifecycleRule{Filter: prefix(""), NoncurrentVersionExpiration: noncurrent(1)})},
			{"the prefix expires", provision.Lifecycle, "other rule", foreign(types.LifecycleRule{Filter: prefix("myapp/keys/a"), NoncurrentVersionExpiration: noncurrent(9)})},
			{"objects expire", provision.Lifecycle, "delete markers", foreign(types.LifecycleRule{Filter: prefix("my"), Expiration: &types.LifecycleExpiration{Days: aws.Int32(9)}})},
			{"no encryption", provision.Encryption, "have: none", func(ctx context.Context, c *s3.Client, bucket string) error {
				_, err := c.DeleteBucketEncryption(ctx, &s3.DeleteBucketEncryptionInput{Bucket: &bucket})
				return err
			}},
			{"another encryption", provision.Encryption, "aws:kms", func(ctx context.Context, c *s3.Client, bucket string) error {
				_, err := c.PutBucketEncryption(ctx, &s3.PutBucketEncryptionInput{Bucket: &bucket, ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{
					Rules: []types.ServerSideEncryptionRule{{ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryptionAwsKms, KMSMasterKeyID: aws.String("test")}}}}})
				return err
			}},
			{"everybody deletes", provision.Access, "s3:DeleteObject", add(false, "*", "s3:DeleteObject")},
		}...)
	}
	somebody := map[string]any{"AWS": []string{user}}
	return append(everywhere, []behind{
		{"somebody deletes", provision.Access, "allows s3:DeleteObject", add(false, somebody, "s3:DeleteObject")},
		{"somebody deletes versions, by a pattern", provision.Access, "s3:DeleteObjectVersion", add(false, somebody, "s3:Del*Version")},
		{"somebody suspends", provision.Access, "s3:PutBucketVersioning", add(true, somebody, "s3:PutBucketVersioning")},
		{"deletion is not denied", provision.Access, "ImmuKVNobodyDeletes is missing", without("ImmuKVNobodyDeletes")},
		{"removal is not denied", provision.Access, "ImmuKVNobodyRemovesTheBucket is missing", without("ImmuKVNobodyRemovesTheBucket")},
		{"configuration is not denied", provision.Access, "ImmuKVAdministratorsConfigure is missing", without("ImmuKVAdministratorsConfigure")},
		{"one deletion less is denied", provision.Access, "ImmuKVNobodyDeletes differs", edit("ImmuKVNobodyDeletes", "Action", "s3:DeleteObject")},
		{"deletion is denied to one alone", provision.Access, "ImmuKVNobodyDeletes differs", edit("ImmuKVNobodyDeletes", "Principal", somebody)},
		{"one more administrator", provision.Access, "ImmuKVAdministratorsConfigure differs", edit("ImmuKVAdministratorsConfigure", "Condition",
			map[string]any{"ArnNotEquals": map[string]any{"aws:PrincipalArn": []string{"arn:aws:iam::111122223333:role/administrator", "arn:aws:iam::111122223333:role/other"}}})},
		{"a denial turned over", provision.Access, "ImmuKVNobodyRemovesTheBucket differs", edit("ImmuKVNobodyRemovesTheBucket", "Effect", "Allow")},
		{"no policy", provision.Access, "is missing", func(ctx context.Context, c *s3.Client, bucket string) error {
			_, err := c.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: &bucket})
			return err
		}},
	}...)
}

// After each single change made behind its back, check names that one, with a
// remedy, and nothing else.
func TestCheckFindsEachChange(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		client := server.Client(t)
		user := ""
		if server.Software == s3test.VersityGW {
			user, _ = server.NewUser(t)
		}
		changes := changesBehind(server, user)
		t.Logf("%d changes with Object Lock, and one without", len(changes))
		if len(changes)+1 < 17 {
			t.Errorf("there are only %d changes", len(changes))
		}
		for _, change := range changes {
			t.Run(change.what, func(t *testing.T) {
				d := described(t, locked+retaining+owned)
				b := provision.New(client, d)
				apply(t, b, provision.ApplyOptions{})
				if err := change.do(t.Context(), client, d.BucketName); err != nil {
					t.Fatal(err)
				}
				findings := check(t, b)
				t.Log(findings)
				if len(findings) == 0 {
					t.Fatal("nothing is found")
				}
				named := false
				for _, f := range findings {
					if f.Aspect != change.aspect || f.Remedy == "" {
						t.Errorf("%+v, of %s", f, change.aspect)
					}
					named = named || strings.Contains(f.Problem, change.says)
				}
				if !named {
					t.Errorf("%v does not say %q", findings, change.says)
				}
			})
		}
		t.Run("versioning suspended", func(t *testing.T) {
			d := described(t, plain)
			b := provision.New(client, d)
			apply(t, b, provision.ApplyOptions{})
			if err := suspend(t.Context(), client, d.BucketName); err != nil {
				t.Fatal(err)
			}
			if findings := check(t, b); len(findings) != 1 || findings[0].Aspect != provision.Versioning || !strings.Contains(findings[0].Problem, "suspended") {
				t.Errorf("%+v", findings)
			}
			dangers, _, err := provision.Inspect(t.Context(), client, d.BucketName, "myapp/")
			if err != nil || len(dangers) != 1 || dangers[0].Aspect != provision.Versioning {
				t.Errorf("%+v, %v", dangers, err)
			}
			apply(t, b, provision.ApplyOptions{})
			if findings := check(t, b); findings != nil {
				t.Errorf("%+v", findings)
			}
		})
	})
}
