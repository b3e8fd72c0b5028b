package provision_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/immukv/immukv-go/backend/s3store/provision"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
)

// With credentials that may do half of it, what was done is reported and stays, what was
// not is named with the permission that it takes, and a second apply does the rest.
func TestHalfApplied(t *testing.T) {
	server := servers.Get(t, s3test.MinIO)
	d := described(t, retaining)
	p, err := d.RolePolicy(provision.Administrator, "", provision.MinIO)
	if err != nil {
		t.Fatal(err)
	}
	p.Statement = append(p.Statement, provision.Statement{Effect: "Deny", Action: []string{"s3:PutEncryptionConfiguration", "s3:GetLifecycleConfiguration"},
		Resource: []string{"arn:aws:s3:::" + d.BucketName}})
	half := provision.New(server.Client(t, s3test.As(server.Assume(t, p.JSON()))), d)
	var done []string
	err = half.Apply(t.Context(), provision.ApplyOptions{Report: func(c provision.Change, err error) {
		if err == nil {
			done = append(done, string(c.Aspect))
		}
	}})
	if err == nil || strings.Join(done, ", ") != "bucket, versioning" {
		t.Errorf("done: %v; %v", done, err)
	}
	for _, want := range []string{"encryption: the credentials lack s3:PutEncryptionConfiguration on arn:aws:s3:::" + d.BucketName,
		"lifecycle: not changed: the credentials lack s3:GetLifecycleConfiguration"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	plan, err := half.Plan(t.Context())
	if err != nil || len(plan.Unseen) != 1 || plan.Unseen[0].Aspect != provision.Lifecycle || len(plan.Changes) != 1 {
		t.Errorf("%+v, %v", plan, err)
	}
	whole := provision.New(server.Client(t), d)
	steps := apply(t, whole, provision.ApplyOptions{})
	if len(steps) != 2 || steps[0].Aspect != provision.Encryption || steps[1].Aspect != provision.Lifecycle {
		t.Errorf("the second apply took %v", steps)
	}
	if findings := check(t, whole); findings != nil {
		t.Errorf("%+v", findings)
	}
}

// A bucket that the credentials may not see is not taken for one that is not there.
func TestSomebodyElsesBucket(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		d := described(t, plain)
		apply(t, provision.New(server.Client(t), d), provision.ApplyOptions{})
		stranger := provision.New(server.Client(t, s3test.As(server.Restricted(t, "another-bucket"))), d)
		if server.Software == s3test.VersityGW {
			_, creds := server.NewUser(t)
			stranger = provision.New(server.Client(t, s3test.As(creds)), d)
		}
		err := stranger.Apply(t.Context(), provision.ApplyOptions{Report: func(c provision.Change, err error) { t.Errorf("a step was taken: %v, %v", c, err) }})
		if err == nil || !strings.Contains(err.Error(), "belongs to another account") {
			t.Errorf("%v", err)
		}
	})
}

// Object Lock asked of a bucket that was made without is had where the server adds
// it, and otherwise an error that says what to do.
func TestLockOfOldBucket(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		d := described(t, locked+plain)
		client := server.Client(t)
		if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &d.BucketName}); err != nil {
			t.Fatal(err)
		}
		b := provision.New(client, d)
		err := b.Apply(t.Context(), provision.ApplyOptions{})
		if err == nil {
			if findings := check(t, b); findings != nil {
				t.Errorf("%+v", findings)
			}
			t.Log("the server added it")
			return
		}
		if !strings.Contains(err.Error(), "create another bucket and copy the store") {
			t.Errorf("%v", err)
		}
		if findings := check(t, b); len(findings) != 1 || findings[0].Aspect != provision.Lock {
			t.Errorf("%+v", findings)
		}
	})
}

// A retention is shortened only when that is asked for; other changes are made.
func TestShorten(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		d := described(t, locked+plain)
		client := server.Client(t)
		apply(t, provision.New(client, d), provision.ApplyOptions{})
		shorter := *d
		shorter.ObjectLock = &provision.ObjectLock{Mode: "governance", Days: 2}
		b := provision.New(client, &shorter)
		if err := b.Apply(t.Context(), provision.ApplyOptions{}); !errors.Is(err, provision.ErrShortens) {
			t.Errorf("%v", err)
		}
		if findings := check(t, provision.New(client, d)); findings != nil {
			t.Errorf("it was shortened: %+v", findings)
		}
		if steps := apply(t, b, provision.ApplyOptions{Shorten: true}); len(steps) != 1 {
			t.Errorf("%v", steps)
		}
		if findings := check(t, b); findings != nil {
			t.Errorf("%+v", findings)
		}
	})
}

// What somebody else put into the bucket stays there.
func TestForeignRulesStay(t *testing.T) {
	t.Run("lifecycle", func(t *testing.T) {
		client := servers.Get(t, s3test.MinIO).Client(t)
		d := described(t, retaining)
		b := provision.New(client, d)
		apply(t, b, provision.ApplyOptions{})
		ctx := t.Context()
		other := foreign(types.LifecycleRule{Filter: &types.LifecycleRuleFilter{Prefix: aws.String("elsewhere/")},
			NoncurrentVersionExpiration: &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(1)}})
		if err := other(ctx, client, d.BucketName); err != nil {
			t.Fatal(err)
		}
		if findings := check(t, b); findings != nil {
			t.Errorf("a rule that does not touch the store: %+v", findings)
		}
		if err := rule(func(r *types.LifecycleRule) { *r.NoncurrentVersionExpiration.NoncurrentDays = 3 })(ctx, client, d.BucketName); err != nil {
			t.Fatal(err)
		}
		apply(t, b, provision.ApplyOptions{})
		out, err := client.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &d.BucketName})
		if err != nil || len(out.Rules) != 3 {
			t.Errorf("%+v, %v", out, err)
		}
	})
	t.Run("policy", func(t *testing.T) {
		server := servers.Get(t, s3test.VersityGW)
		client := server.Client(t)
		user, _ := server.NewUser(t)
		d := described(t, plain)
		b := provision.New(client, d)
		apply(t, b, provision.ApplyOptions{})
		ctx := t.Context()
		if err := add(false, map[string]any{"AWS": []string{user}}, "s3:GetObject")(ctx, client, d.BucketName); err != nil {
			t.Fatal(err)
		}
		if err := without("ImmuKVNobodyDeletes")(ctx, client, d.BucketName); err != nil {
			t.Fatal(err)
		}
		apply(t, b, provision.ApplyOptions{})
		out, err := client.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &d.BucketName})
		if err != nil || !strings.Contains(*out.Policy, "Convenience") || !strings.Contains(*out.Policy, "ImmuKVNobodyDeletes") {
			t.Errorf("%v", err)
		}
	})
}
