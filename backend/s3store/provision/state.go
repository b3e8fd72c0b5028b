package provision

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Aspect is a part of a bucket's configuration.
type Aspect string

// The aspects, in the order in which they are applied.
const (
	Existence    Aspect = "bucket"
	Versioning   Aspect = "versioning"
	Lock         Aspect = "Object Lock"
	Encryption   Aspect = "encryption"
	PublicAccess Aspect = "public access"
	Access       Aspect = "bucket policy"
	Lifecycle    Aspect = "lifecycle"
	Notification Aspect = "notification"
)

// Aspects lists all aspects, in the order in which they are applied.
var Aspects = []Aspect{Existence, Versioning, Lock, Encryption, PublicAccess, Access, Lifecycle, Notification}

// lacks reports whether the server is known not to support an aspect. MinIO applies
// bucket policies to anonymous requests only.
func (s Server) lacks(a Aspect) bool {
	switch s {
	case MinIO:
		return a == PublicAccess || a == Access
	case VersityGW:
		return a == PublicAccess || a == Encryption || a == Lifecycle || a == Notification
	}
	return false
}

// state is the configuration of a bucket.
type state struct {
	server     Server
	exists     bool
	empty      bool // has no version of any object
	versioning types.BucketVersioningStatus
	lock       *types.ObjectLockConfiguration
	encryption types.ServerSideEncryptionByDefault
	block      types.PublicAccessBlockConfiguration
	rules      []types.LifecycleRule
	notices    *s3.GetBucketNotificationConfigurationOutput
	policy     []looseStatement
	// unseen is why an aspect could not be read.
	unseen map[Aspect]error
}

// reading is the action needed to read an aspect.
var reading = map[Aspect]string{
	Existence:    "s3:ListBucket",
	Versioning:   "s3:GetBucketVersioning",
	Lock:         "s3:GetBucketObjectLockConfiguration",
	Encryption:   "s3:GetEncryptionConfiguration",
	PublicAccess: "s3:GetBucketPublicAccessBlock",
	Access:       "s3:GetBucketPolicy",
	Lifecycle:    "s3:GetLifecycleConfiguration",
	Notification: "s3:GetBucketNotification",
}

// writing is the action needed to change an aspect.
var writing = map[Aspect]string{
	Existence:    "s3:CreateBucket",
	Versioning:   "s3:PutBucketVersioning",
	Lock:         "s3:PutBucketObjectLockConfiguration",
	Encryption:   "s3:PutEncryptionConfiguration",
	PublicAccess: "s3:PutBucketPublicAccessBlock",
	Access:       "s3:PutBucketPolicy",
	Lifecycle:    "s3:PutLifecycleConfiguration",
	Notification: "s3:PutBucketNotification",
}

// read reads the whole configuration of the bucket. It returns an error if it cannot read
// any of it. An aspect that the credentials may not read is recorded as unseen.
func read(ctx context.Context, client *s3.Client, bucket string) (*state, error) {
	s := &state{server: AWS, unseen: make(map[Aspect]error)}
	_, err := client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &bucket}, s.learn)
	switch status := statusOf(err); {
	case err == nil:
	case status == http.StatusNotFound:
		s.empty = true
		return s, nil
	case status == http.StatusForbidden:
		return nil, fmt.Errorf("bucket %q: access denied: the bucket belongs to another account, or the credentials lack %s on arn:aws:s3:::%s: %w",
			bucket, reading[Existence], bucket, err)
	case status == http.StatusMovedPermanently:
		return nil, fmt.Errorf("bucket %q is in another region: %w", bucket, err)
	default:
		return nil, fmt.Errorf("bucket %q: %w", bucket, err)
	}
	s.exists = true
	for _, aspect := range Aspects[1:] {
		if s.server.lacks(aspect) && aspect != Access { // the policy is read for its dangers
			continue
		}
		err := s.readAspect(ctx, client, bucket, aspect)
		if err != nil && ctx.Err() != nil {
			return nil, err
		}
		if err != nil {
			s.unseen[aspect] = err
		}
	}
	versions, err := client.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &bucket, MaxKeys: aws.Int32(1)})
	s.empty = err == nil && len(versions.Versions) == 0 && len(versions.DeleteMarkers) == 0
	return s, nil
}

// absent are the error codes for an aspect that was never set.
var absent = map[string]bool{
	"ObjectLockConfigurationNotFoundError":           true,
	"ServerSideEncryptionConfigurationNotFoundError": true,
	"NoSuchPublicAccessBlockConfiguration":           true,
	"NoSuchBucketPolicy":                             true,
	"NoSuchLifecycleConfiguration":                   true,
}

func (s *state) readAspect(ctx context.Context, client *s3.Client, bucket string, aspect Aspect) error {
	var err error
	switch aspect {
	case Versioning:
		var out *s3.GetBucketVersioningOutput
		if out, err = client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &bucket}); err == nil {
			s.versioning = out.Status
		}
	case Lock:
		var out *s3.GetObjectLockConfigurationOutput
		if out, err = client.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &bucket}); err == nil {
			s.lock = out.ObjectLockConfiguration
		}
	case Encryption:
		var out *s3.GetBucketEncryptionOutput
		if out, err = client.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: &bucket}); err == nil &&
			out.ServerSideEncryptionConfiguration != nil {
			for _, r := range out.ServerSideEncryptionConfiguration.Rules {
				if r.ApplyServerSideEncryptionByDefault != nil {
					s.encryption = *r.ApplyServerSideEncryptionByDefault
				}
			}
		}
	case PublicAccess:
		var out *s3.GetPublicAccessBlockOutput
		if out, err = client.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: &bucket}); err == nil &&
			out.PublicAccessBlockConfiguration != nil {
			s.block = *out.PublicAccessBlockConfiguration
		}
	case Access:
		var out *s3.GetBucketPolicyOutput
		if out, err = client.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &bucket}); err == nil {
			s.policy, err = parsePolicy(aws.ToString(out.Policy))
		}
	case Lifecycle:
		var out *s3.GetBucketLifecycleConfigurationOutput
		if out, err = client.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &bucket}); err == nil {
			s.rules = out.Rules
		}
	case Notification:
		s.notices, err = client.GetBucketNotificationConfiguration(ctx, &s3.GetBucketNotificationConfigurationInput{Bucket: &bucket})
	}
	if absent[codeOf(err)] {
		return nil
	}
	return lacking(err, reading[aspect], bucket)
}

// lacking adds the missing permission to an error of denied access.
func lacking(err error, action, bucket string) error {
	if statusOf(err) == http.StatusForbidden {
		return fmt.Errorf("the credentials lack %s on arn:aws:s3:::%s: %w", action, bucket, err)
	}
	return err
}

// learn is an option of a call that records which server answers, also with an error.
func (s *state) learn(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("ImmuKVServer",
			func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
				middleware.DeserializeOutput, middleware.Metadata, error,
			) {
				out, metadata, err := next.HandleDeserialize(ctx, in)
				response, ok := out.RawResponse.(*smithyhttp.Response)
				if !ok {
					response, ok = awsmiddleware.GetRawResponse(metadata).(*smithyhttp.Response)
				}
				if ok && response != nil && response.Response != nil {
					s.server = serverOf(response.Header.Get("Server"))
				}
				return out, metadata, err
			}), middleware.After)
	})
}

func serverOf(header string) Server {
	switch strings.ToUpper(header) {
	case "MINIO":
		return MinIO
	case "VERSITYGW":
		return VersityGW
	}
	return AWS
}

func statusOf(err error) int {
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && response.Response != nil {
		return response.HTTPStatusCode()
	}
	return 0
}

func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}
