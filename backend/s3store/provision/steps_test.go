package provision

import (
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// fullState is the state of a bucket on AWS that is as the full description says, in
// the forms in which S3 gives it back.
func fullState(t *testing.T, d *Description) *state {
	t.Helper()
	on := aws.Bool(true)
	s := &state{server: AWS, exists: true, versioning: types.BucketVersioningStatusEnabled,
		block: types.PublicAccessBlockConfiguration{BlockPublicAcls: on, IgnorePublicAcls: on, BlockPublicPolicy: on, RestrictPublicBuckets: on},
		lock: &types.ObjectLockConfiguration{ObjectLockEnabled: types.ObjectLockEnabledEnabled, Rule: &types.ObjectLockRule{
			DefaultRetention: &types.DefaultRetention{Mode: types.ObjectLockRetentionModeCompliance, Days: aws.Int32(30)}}},
		encryption: types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryptionAwsKms, KMSMasterKeyID: &d.KMSKeyID},
	}
	for _, r := range d.rules() {
		s.rules = append(s.rules, r.s3())
	}
	n := d.notices()[0]
	s.notices = &s3.GetBucketNotificationConfigurationOutput{QueueConfigurations: []types.QueueConfiguration{{Id: &n.id, QueueArn: &n.arn, Events: []types.Event{created}, Filter: n.filter()}}}
	for _, statement := range d.BucketPolicy(AWS, true).Statement {
		l := statement.loose()
		if len(statement.Action) == 1 {
			l["Action"] = statement.Action[0]
		}
		if len(statement.Resource) == 1 {
			l["Resource"] = statement.Resource[0]
		}
		l["Principal"] = map[string]any{"AWS": "*"}
		s.policy = append(s.policy, l)
	}
	return s
}

// What no server at hand has, AWS has: each single change of it is one step, and
// names its aspect.
func TestStepsOnAWS(t *testing.T) {
	text, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	b := New(s3.New(s3.Options{Region: d.Region}), d)
	if steps := b.steps(fullState(t, d)); steps != nil {
		t.Fatalf("%+v", steps)
	}
	off := aws.Bool(false)
	for what, c := range map[string]struct {
		aspect Aspect
		change func(*state)
	}{
		"BlockPublicAcls off":       {PublicAccess, func(s *state) { s.block.BlockPublicAcls = off }},
		"IgnorePublicAcls off":      {PublicAccess, func(s *state) { s.block.IgnorePublicAcls = off }},
		"BlockPublicPolicy off":     {PublicAccess, func(s *state) { s.block.BlockPublicPolicy = off }},
		"RestrictPublicBuckets off": {PublicAccess, func(s *state) { s.block.RestrictPublicBuckets = nil }},
		"another key":               {Encryption, func(s *state) { s.encryption.KMSMasterKeyID = aws.String("other") }},
		"no notification":           {Notification, func(s *state) { s.notices = nil }},
		"another queue":             {Notification, func(s *state) { s.notices.QueueConfigurations[0].QueueArn = aws.String("arn:aws:sqs:a:1:b") }},
		"another event":             {Notification, func(s *state) { s.notices.QueueConfigurations[0].Events[0] = "s3:ObjectRemoved:*" }},
		"no filter":                 {Notification, func(s *state) { s.notices.QueueConfigurations[0].Filter = nil }},
		"one notification more": {Notification, func(s *state) {
			s.notices.TopicConfigurations = []types.TopicConfiguration{{Id: aws.String(ownID + "log old/"), TopicArn: aws.String("arn:aws:sns:a:1:b")}}
		}},
		"PUT without condition": {Access, func(s *state) { delete(s.policy[3], "Condition") }},
		"TLS not needed":        {Access, func(s *state) { s.policy = s.policy[:4] }},
	} {
		s := fullState(t, d)
		c.change(s)
		if steps := b.steps(s); len(steps) != 1 || steps[0].Aspect != c.aspect {
			t.Errorf("%s: %+v", what, steps)
		}
	}
	foreign := fullState(t, d)
	foreign.notices.TopicConfigurations = []types.TopicConfiguration{{Id: aws.String("theirs"), TopicArn: aws.String("arn:aws:sns:a:1:b")}}
	if steps := b.steps(foreign); steps != nil {
		t.Errorf("somebody else's notification: %+v", steps)
	}
}
