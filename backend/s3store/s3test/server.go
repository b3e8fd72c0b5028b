package s3test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Region is the region of every server.
const Region = "us-east-1"

const (
	rootUser     = "immukv-test"
	rootPassword = "immukv-test-secret"
)

// Server is a running server, with all its data in its own directory.
type Server struct {
	*Software

	binary  string
	dir     string
	ports   []int // fixed at the first start, so that a restart keeps its endpoints
	running []*process
	buckets atomic.Int64

	mu       sync.Mutex
	users    int                    // made so far
	policies map[string][]statement // of the buckets that have one
}

// Start starts a server for one test only, which may kill and restart it. It ends with
// the test.
func Start(tb testing.TB, sw *Software) *Server {
	tb.Helper()
	s, err := start(sw, sw.find(tb), tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Kill)
	return s
}

func start(sw *Software, binary, dir string) (*Server, error) {
	s := &Server{Software: sw, binary: binary, dir: dir}
	if err := sw.start(s, binary); err != nil {
		s.Kill()
		return nil, fmt.Errorf("start %s: %w", sw.Name, err)
	}
	return s, nil
}

// Kill kills the server's processes without warning, as a power failure would. It returns
// when they have ended.
func (s *Server) Kill() {
	for _, p := range s.running {
		p.kill()
	}
	s.running = nil
}

// Restart starts a killed server again, on the same data and endpoints.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	if err := s.start(s, s.binary); err != nil {
		tb.Fatalf("restart %s: %v", s.Name, err)
	}
}

// Endpoints returns the URLs of the server. If the server supports several processes over
// the same data, each URL is that of one process.
func (s *Server) Endpoints() []string {
	var urls []string
	for _, p := range s.running {
		urls = append(urls, "http://"+p.addr)
	}
	return urls
}

// Endpoint returns the first of [Server.Endpoints].
func (s *Server) Endpoint() string { return s.Endpoints()[0] }

// Root returns the credentials with all permissions.
func (s *Server) Root() aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(rootUser, rootPassword, "")
}

// Environ returns the environment, as [os.Environ] does, for a program that uses the
// server with the credentials of [Server.Root] and without the machine's AWS
// configuration.
func (s *Server) Environ() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") {
			env = append(env, v)
		}
	}
	return append(env,
		"AWS_ACCESS_KEY_ID="+rootUser,
		"AWS_SECRET_ACCESS_KEY="+rootPassword,
		"AWS_REGION="+Region,
		"AWS_CONFIG_FILE=/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"AWS_EC2_METADATA_DISABLED=true",
	)
}

// StoreURL returns the URL with which package s3store opens a bucket of the server, for a
// program with the environment of [Server.Environ].
func (s *Server) StoreURL(bucket string) string {
	return "s3://" + bucket + "?region=" + Region + "&use_path_style=true&endpoint=" + s.Endpoint()
}

// Client returns a client of the server's first endpoint with the credentials of
// [Server.Root] and its own connections, which end with the test.
func (s *Server) Client(tb testing.TB, opts ...func(*s3.Options)) *s3.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 128, 128
	tb.Cleanup(transport.CloseIdleConnections)
	return s.client(transport, append([]func(*s3.Options){At(s.Endpoint())}, opts...)...)
}

func (s *Server) client(transport http.RoundTripper, opts ...func(*s3.Options)) *s3.Client {
	return s3.New(s3.Options{
		Region:       Region,
		UsePathStyle: true,
		Credentials:  s.Root(),
		HTTPClient:   &http.Client{Transport: transport},
		// Failed reads are retried as usual, but without waits of seconds.
		Retryer:                    retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = 10 * time.Millisecond }),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}, opts...)
}

// At is an option of [Server.Client] that makes it use another endpoint, such
// as another of the server's or that of a [Proxy].
func At(endpoint string) func(*s3.Options) {
	return func(o *s3.Options) { o.BaseEndpoint = aws.String(endpoint) }
}

// As is an option of [Server.Client] that makes it use other credentials.
func As(creds aws.CredentialsProvider) func(*s3.Options) {
	return func(o *s3.Options) { o.Credentials = creds }
}

// NewBucket makes a bucket with versioning enabled and returns its name.
func (s *Server) NewBucket(tb testing.TB) string {
	tb.Helper()
	bucket := s.NewPlainBucket(tb)
	s.SetVersioning(tb, bucket, types.BucketVersioningStatusEnabled)
	return bucket
}

// NewPlainBucket makes a bucket on which versioning was never enabled and
// returns its name.
func (s *Server) NewPlainBucket(tb testing.TB) string {
	tb.Helper()
	bucket := fmt.Sprintf("bucket-%d", s.buckets.Add(1))
	_, err := s.Client(tb).CreateBucket(context.Background(), &s3.CreateBucketInput{Bucket: &bucket})
	if err != nil {
		tb.Fatalf("%s: create bucket: %v", s.Name, err)
	}
	return bucket
}

// SetVersioning enables or suspends the versioning of a bucket.
func (s *Server) SetVersioning(tb testing.TB, bucket string, status types.BucketVersioningStatus) {
	tb.Helper()
	_, err := s.Client(tb).PutBucketVersioning(context.Background(), &s3.PutBucketVersioningInput{
		Bucket:                  &bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: status},
	})
	if err != nil {
		tb.Fatalf("%s: set versioning: %v", s.Name, err)
	}
}
