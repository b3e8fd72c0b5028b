package s3store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/logging"
)

// Config has the settings of [Open]. Settings that are left empty are taken from the same
// places as by the AWS tools: the environment, the shared configuration files, the
// machine's role.
type Config struct {
	// Bucket is the name of the bucket, or the ARN of an access point.
	Bucket string
	// Region is the region of the bucket.
	Region string
	// Endpoint is the URL of a server other than AWS.
	Endpoint string
	// PathStyle puts the bucket's name into the path of URLs instead of their host. Most
	// servers other than AWS need it.
	PathStyle bool
	// Credentials are static, or come from any provider, which is called again when they
	// have expired.
	Credentials aws.CredentialsProvider
	// Encryption is the server-side encryption that every write requests. Empty means the
	// bucket's default, or aws:kms if there is a KMSKeyID.
	Encryption types.ServerSideEncryption
	// KMSKeyID is the KMS key with which every write requests encryption.
	KMSKeyID string
}

// Open opens the store in a bucket. It makes one request to the bucket, in addition to
// those that obtain credentials.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Bucket == "" {
		return nil, errors.New("open bucket: the name of the bucket is empty")
	}
	var load []func(*config.LoadOptions) error
	if cfg.Region != "" {
		load = append(load, config.WithRegion(cfg.Region))
	}
	if cfg.Credentials != nil {
		load = append(load, config.WithCredentialsProvider(cfg.Credentials))
	}
	awsConfig, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("open bucket %q: load the AWS configuration: %w", cfg.Bucket, err)
	}
	return open(ctx, awsConfig, cfg.Bucket, encryption{cfg.Encryption, cfg.KMSKeyID}, func(o *s3.Options) {
		o.UsePathStyle = cfg.PathStyle
		if cfg.Endpoint != "" {
			o.BaseEndpoint = &cfg.Endpoint
		}
		if o.BaseEndpoint != nil {
			checksumsWhenRequired(o)
		}
	})
}

// open opens the store with its own client.
func open(ctx context.Context, cfg aws.Config, bucket string, enc encryption, opts ...func(*s3.Options)) (*Store, error) {
	cfg.Logger = logging.Nop{} // errors contain all details
	transport := newTransport(cfg.HTTPClient)
	cfg.HTTPClient = &http.Client{
		Transport: transport,
		// S3 redirects to other hosts, for which the request is not signed.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	s, err := New(ctx, s3.NewFromConfig(cfg, opts...), bucket, WithEncryption(enc.sse, enc.kmsKeyID))
	if err != nil {
		transport.CloseIdleConnections()
		return nil, err
	}
	s.release = transport.CloseIdleConnections
	return s, nil
}

// checksumsWhenRequired turns off the checksums that the SDK adds by default: some
// servers other than AWS reject them.
func checksumsWhenRequired(o *s3.Options) {
	o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
}

const (
	// idleConnections is how many connections are kept for concurrent requests. Go's
	// default is 2, the SDK's 10: each further request would open a connection and
	// discard it.
	idleConnections = 128
	// answerTimeout is how long a server may take to begin its answer. Without it, a call
	// without a deadline could wait for ever for a server that accepts connections and
	// does nothing.
	answerTimeout = time.Minute
)

// newTransport returns the SDK's transport, for one server, many requests at once, and
// one attempt each.
func newTransport(client aws.HTTPClient) *http.Transport {
	// It has the settings of the AWS configuration, such as a CA bundle.
	builder, ok := client.(*awshttp.BuildableClient)
	if !ok {
		builder = awshttp.NewBuildableClient()
	}
	t := builder.GetTransport()
	t.MaxIdleConns = idleConnections
	t.MaxIdleConnsPerHost = idleConnections
	t.ResponseHeaderTimeout = answerTimeout
	// With HTTP/2, net/http repeats requests of any kind after some errors. The transport
	// was copied from one that supports HTTP/2, and would still offer it.
	t.ForceAttemptHTTP2 = false
	t.TLSNextProto = make(map[string]func(string, *tls.Conn) http.RoundTripper)
	if t.TLSClientConfig != nil {
		t.TLSClientConfig.NextProtos = nil
	}
	return t
}
