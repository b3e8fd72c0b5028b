package s3store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/immukv/immukv-go/backend"
)

// Store is a versioned store in a bucket. Make one with [New], [Open] or
// [FromBucket]. Its methods may be called from any number of goroutines.
type Store struct {
	client     *s3.Client
	bucket     string
	encryption encryption
	// paths is set for servers that may store names as paths.
	paths bool
	// maxSegment is the longest part of a name there, in bytes.
	maxSegment int
	// tearsReads is set for servers that may return parts of different versions in one
	// answer.
	tearsReads bool
	// anyName is set for the store that AnyName returns.
	anyName bool
	// endsEarly is set for servers that may end a listing of names too early if its pages
	// are small.
	endsEarly bool
	// release frees what opening acquired; nil if nothing.
	release func()
}

var (
	_ backend.Store       = (*Store)(nil)
	_ backend.StrictStore = (*Store)(nil)
)

// Option is an option of [New] and [FromBucket].
type Option func(*Store)

// WithEncryption makes every write request server-side encryption of that type, with that
// KMS key if kmsKeyID is not empty. An empty type with a key means aws:kms.
func WithEncryption(sse types.ServerSideEncryption, kmsKeyID string) Option {
	return func(s *Store) { s.encryption = encryption{sse, kmsKeyID} }
}

// New opens the store in a bucket through a client. It uses the client as it is, with one
// exception: a write is attempted once, whatever the client's retryer. It makes one
// request, and retains the client; Close does not close it.
//
// The client should not set an Idempotency-Key header, nor use HTTP/2: with either,
// net/http may send a write twice. The protocol survives that, but the contract does not
// allow it. [Open] makes such a client.
func New(ctx context.Context, client *s3.Client, bucket string, opts ...Option) (*Store, error) {
	s := &Store{client: client, bucket: bucket}
	for _, opt := range opts {
		opt(s)
	}
	if err := s.encryption.complete(); err != nil {
		return nil, fmt.Errorf("open bucket %q: %w", bucket, err)
	}
	if err := s.inspect(ctx); err != nil {
		return nil, fmt.Errorf("open bucket %q: %w", bucket, err)
	}
	return s, nil
}

// Close releases the connections of a store that made its own client.
func (s *Store) Close() error {
	if s.release != nil {
		s.release()
	}
	return nil
}

// Bucket returns the client of the store and the name of its bucket, for requests about
// the bucket. The client belongs to the store.
func (s *Store) Bucket() (client *s3.Client, name string) { return s.client, s.bucket }

// inspect makes the checks that need no write, in one request: whether the bucket exists
// and keeps versions, and which server answers.
func (s *Store) inspect(ctx context.Context) error {
	out, err := s.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &s.bucket}, s.read)
	if err != nil {
		f := examine(err)
		s.learnServer(f.response)
		if f.code == "AccessDenied" {
			return nil // without the permission, the first write checks it
		}
		if f.code == "NotImplemented" {
			return &backend.UnsupportedError{Clause: "S4",
				Problem: fmt.Sprintf("the server does not support versioning (%v)", err),
				Remedy:  "use a server that keeps object versions, or a gocloud bucket with numbered objects (package blobstore)"}
		}
		kind := f.kind()
		if errors.Is(kind, backend.ErrNotFound) {
			kind = nil // the request was only about the bucket
		}
		const op = "read the versioning state of"
		return &backend.Error{Op: op, Name: s.bucket, Kind: kind, RetryAfter: f.retryAfter(), Err: f.explain(s, op, s.bucket, "")}
	}
	response, _ := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response)
	s.learnServer(response)
	switch out.Status {
	case types.BucketVersioningStatusEnabled:
		return nil
	case types.BucketVersioningStatusSuspended:
		return &backend.UnsupportedError{Clause: "S8",
			Problem: fmt.Sprintf("versioning of bucket %q is suspended, so a write replaces the previous one", s.bucket),
			Remedy:  enableVersioning(s.bucket)}
	default:
		return &backend.UnsupportedError{Clause: "S4",
			Problem: fmt.Sprintf("versioning of bucket %q was never enabled, so a write has no version ID", s.bucket),
			Remedy:  enableVersioning(s.bucket)}
	}
}

func enableVersioning(bucket string) string {
	return fmt.Sprintf("enable it, for example with: aws s3api put-bucket-versioning --bucket %s --versioning-configuration Status=Enabled", bucket)
}

// learnServer records which server sent a response.
func (s *Store) learnServer(response *smithyhttp.Response) {
	s.paths = !ofAWS(response)
	s.maxSegment = maxSegment
	if response == nil || response.Response == nil {
		return
	}
	switch response.Header.Get("Server") {
	case "MinIO":
		s.endsEarly = true // see soundStart
	case "VERSITYGW":
		s.maxSegment = maxSegmentVersityGW
		s.tearsReads = true // see torn.go
	}
}

// ofAWS reports whether the response came from S3 itself, which stores names as they are.
// The host alone is not enough: rented machines and load balancers have names in the same
// domains.
func ofAWS(response *smithyhttp.Response) bool {
	if response == nil || response.Response == nil || response.Request == nil || response.Request.URL == nil ||
		response.Header.Get("Server") != "AmazonS3" {
		return false
	}
	host := response.Request.URL.Hostname()
	for _, domain := range []string{".amazonaws.com", ".amazonaws.com.cn", ".api.aws"} {
		if strings.HasSuffix(host, domain) {
			return true
		}
	}
	return false
}

// read has the options of read calls.
func (s *Store) read(o *s3.Options) {
	// The SDK would log a line for each answer without a checksum.
	o.DisableLogOutputChecksumValidationSkipped = true
}

// once makes a call of writing a single attempt (S16).
func (s *Store) once(o *s3.Options) {
	o.Retryer = aws.NopRetryer{}
	o.RetryMaxAttempts = 1
	o.DisableLogOutputChecksumValidationSkipped = true
}

// encryption is the encryption that every write requests.
type encryption struct {
	sse      types.ServerSideEncryption
	kmsKeyID string
}

func (e *encryption) complete() error {
	switch {
	case e.kmsKeyID == "":
	case e.sse == "":
		e.sse = types.ServerSideEncryptionAwsKms
	case e.sse == types.ServerSideEncryptionAes256:
		return fmt.Errorf("encryption of type %s does not use a KMS key", e.sse)
	}
	return nil
}

func (e *encryption) apply(in *s3.PutObjectInput) {
	in.ServerSideEncryption = e.sse
	if e.kmsKeyID != "" {
		in.SSEKMSKeyId = &e.kmsKeyID
	}
}

// properVersion returns the version of an answer, or the error for an answer without a
// proper version ID or ETag.
func properVersion(clause, remedy string, id, etag *string) (backend.Version, error) {
	v := backend.Version{ID: backend.VersionID(aws.ToString(id)), ETag: backend.ETag(aws.ToString(etag))}
	if v.ID == "" || v.ID == "null" {
		return backend.Version{}, &backend.UnsupportedError{Clause: clause,
			Problem: fmt.Sprintf("the answer has the version ID %q, which names no version", v.ID), Remedy: remedy}
	}
	if v.ETag == "" {
		return backend.Version{}, &backend.UnsupportedError{Clause: clause,
			Problem: "the answer has no ETag", Remedy: "use a server that returns ETags"}
	}
	return v, nil
}
