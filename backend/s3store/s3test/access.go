package s3test

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Reading and Writing are the IAM actions that package s3store needs to read and to
// write. AskVersioning is the one that it can do without.
var (
	Reading       = []string{"s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:ListBucketVersions"}
	Writing       = append([]string{"s3:PutObject"}, Reading...)
	AskVersioning = "s3:GetBucketVersioning"
)

// Restricted makes credentials that may perform the given actions on the bucket
// and its objects, and nothing else.
func (s *Server) Restricted(tb testing.TB, bucket string, actions ...string) aws.CredentialsProvider {
	tb.Helper()
	creds, err := s.restrict(s, bucket, actions)
	if err != nil {
		tb.Fatalf("%s: make restricted credentials: %v", s.Name, err)
	}
	return creds
}

// statement is one of an IAM policy.
type statement struct {
	Effect    string
	Principal map[string][]string `json:",omitempty"`
	Action    []string
	Resource  []string
}

func policy(statements ...statement) string {
	text, err := json.Marshal(struct {
		Version   string
		Statement []statement
	}{"2012-10-17", statements})
	if err != nil {
		panic(err) // strings marshal
	}
	return string(text)
}

func allow(bucket string, actions []string) statement {
	if len(actions) == 0 {
		actions = []string{"s3:GetBucketLocation"} // a policy must allow something
	}
	return statement{Effect: "Allow", Action: actions, Resource: []string{"arn:aws:s3:::" + bucket, "arn:aws:s3:::" + bucket + "/*"}}
}

// restrictMinIO has MinIO's own STS make temporary credentials.
func (s *Server) restrictMinIO(bucket string, actions []string) (aws.CredentialsProvider, error) {
	return s.assume(context.Background(), s.Endpoint(), policy(allow(bucket, actions)))
}

// Assume makes temporary credentials with MinIO's own STS: root's, restricted by a
// policy.
func (s *Server) Assume(tb testing.TB, policy string) aws.CredentialsProvider {
	tb.Helper()
	creds, err := s.assume(tb.Context(), s.Endpoint(), policy)
	if err != nil {
		tb.Fatalf("%s: assume a role under %s: %v", s.Name, policy, err)
	}
	return creds
}

func (s *Server) assume(ctx context.Context, endpoint, policy string) (aws.CredentialsProvider, error) {
	client := sts.New(sts.Options{Region: Region, BaseEndpoint: &endpoint, Credentials: s.Root()})
	out, err := client.AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn:         aws.String("arn:aws:iam::000000000000:role/any"), // which MinIO ignores
		RoleSessionName: aws.String("test"),
		Policy:          &policy,
	})
	if err != nil {
		return nil, err
	}
	c := out.Credentials
	return credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken), nil
}

// restrictVersityGW makes a user, who has no permissions at first, and names the user in
// the policy of the bucket.
func (s *Server) restrictVersityGW(bucket string, actions []string) (aws.CredentialsProvider, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user, creds, err := s.newUser()
	if err != nil {
		return nil, err
	}
	if len(actions) > 0 {
		granted := allow(bucket, actions)
		granted.Principal = map[string][]string{"AWS": {user}}
		if s.policies == nil {
			s.policies = make(map[string][]statement)
		}
		s.policies[bucket] = append(s.policies[bucket], granted)
		_, err := s.client(nil, At(s.Endpoint())).PutBucketPolicy(context.Background(), &s3.PutBucketPolicyInput{
			Bucket: &bucket,
			Policy: aws.String(policy(s.policies[bucket]...)),
		})
		if err != nil {
			return nil, err
		}
	}
	return creds, nil
}

// NewUser makes a user of VersityGW, who has the permissions that bucket policies grant.
func (s *Server) NewUser(tb testing.TB) (name string, creds aws.CredentialsProvider) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	name, creds, err := s.newUser()
	if err != nil {
		tb.Fatalf("%s: %v", s.Name, err)
	}
	return name, creds
}

// newUser is called with s.mu locked.
func (s *Server) newUser() (string, aws.CredentialsProvider, error) {
	s.users++
	user, secret := fmt.Sprintf("user-%d", s.users), "user-secret"
	create := exec.Command(s.binary, "admin", "--access", rootUser, "--secret", rootPassword, "--region", Region,
		"--endpoint-url", s.Endpoint(), "create-user", "--access", user, "--secret", secret, "--role", "user")
	create.Env = s.environ()
	if out, err := create.CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("create user: %w\n%s", err, out)
	}
	return user, credentials.NewStaticCredentialsProvider(user, secret, ""), nil
}
