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
	// paths is set for servers that may keep names as paths.
	paths bool
	// maxSegment is the longest part of a name there, in bytes.
	maxSegment int
	// tearsReads is set for servers that may give parts of different versions
	// in one answer.
	tearsReads bool
	// anyName is set for the store that AnyName returns.
	anyName bool
	// endsEarly is set for servers that may end a listing of names in small
	// pages before its end.
	endsEarly bool
	// release frees what opening took; nil if nothing.
	release func()
}

var (
	_ backend.Store       = (*Store)(nil)
	_ backend.StrictStore = (*Store)(nil)
)

// Option is an option of [New] and [FromBucket].
type Option func(*Store)

// WithEncryption has every write ask for server-side encryption of that type,
// with that KMS key if kmsKeyID is not empty. An empty type with a key means
// aws:kms.
func WithEncryption(sse types.ServerSideEncryption, kmsKeyID string) Option {
	return func(s *Store) { s.encryption = encryption{sse, kmsKeyID} }
}

// New opens the store in a bucket through a client, which it uses as it is but
// for one thing: a write is attempted once, whatever the client's retryer. It
// makes one request, and retains the client; Close leaves it alone.
//
// The client should not set an Idempotency-Key header, nor speak HTTP/2 to the
// server: with either, net/http may send a write twice, which the protocol
// survives but the contract does not allow. [Open] sees to both.
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

// Bucket is the client of the store and the name of its bucket, for what is asked of
// a bucket and not of a store. The client belongs to the store.
func (s *Store) Bucket() (client *s3.Client, name string) { return s.client, s.bucket }

// inspect sees what can be seen without writing, in one request: whether the
// bucket is there, and keeps versions; and who answers.
func (s *Store) inspect(ctx context.Context) error {
	out, err := s.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &s.bucket}, s.read)
	if err != nil {
		f := examine(err)
		s.learnServer(f.response)
		if f.code == "AccessDenied" {
			return nil // those who may not ask see at the first write
		}
		if f.code == "NotImplemented" {
			return &backend.UnsupportedError{Clause: "S4",
				Problem: fmt.Sprintf("the server does not know versioning (%v)", err),
				Remedy:  "use a server that keeps object versions, or a gocloud bucket by numbered objects (package blobstore)"}
		}
		kind := f.kind()
		if errors.Is(kind, backend.ErrNotFound) {
			kind = nil // nothing but the bucket was asked for
		}
		const op = "look at the versioning of"
		return &backend.Error{Op: op, Name: s.bucket, Kind: kind, RetryAfter: f.retryAfter(), Err: f.explain(s, op, s.bucket, "")}
	}
	response, _ := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response)
	s.learnServer(response)
	switch out.Status {
	case types.BucketVersioningStatusEnabled:
		return nil
	case types.BucketVersioningStatusSuspended:
		return &backend.UnsupportedError{Clause: "S8",
			Problem: fmt.Sprintf("versioning of bucket %q is suspended, so that a write replaces the one before", s.bucket),
			Remedy:  enableVersioning(s.bucket)}
	default:
		return &backend.UnsupportedError{Clause: "S4",
			Problem: fmt.Sprintf("versioning of bucket %q was never enabled, so that a write has no version ID", s.bucket),
			Remedy:  enableVersioning(s.bucket)}
	}
}

func enableVersioning(bucket string) string {
	return fmt.Sprintf("enable it, for instance with: aws s3api put-bucket-versioning --bucket %s --versioning-configuration Status=Enabled", bucket)
}

// learnServer takes in whose response it is.
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

// ofAWS reports whether the response came from S3 itself, which keeps names as
// they are. The host alone does not tell: machines that AWS rents out, and their
// load balancers, have names in the same domains.
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

// read is what the calls of reading set.
func (s *Store) read(o *s3.Options) {
	// The SDK would print a line for each answer without a checksum.
	o.DisableLogOutputChecksumValidationSkipped = true
}

// once makes a call of writing a single attempt (S16).
func (s *Store) once(o *s3.Options) {
	o.Retryer = aws.NopRetryer{}
	o.RetryMaxAttempts = 1
	o.DisableLogOutputChecksumValidationSkipped = true
}

// encryption is what every write asks for.
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
		return fmt.Errorf("encryption of type %s takes no KMS key", e.sse)
	}
	return nil
}

func (e *encryption) apply(in *s3.PutObjectInput) {
	in.ServerSideEncryption = e.sse
	if e.kmsKeyID != "" {
		in.SSEKMSKeyId = &e.kmsKeyID
	}
}

// properVersion returns the version of an answer, or the error with which an
// answer is refused that names none.
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
