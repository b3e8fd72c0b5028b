package provision

import (
	"context"
	"fmt"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
)

// Open returns the bucket of a description. It makes an S3 client, which finds its
// credentials as the AWS tools do. Endpoint is the URL of a server other than AWS. If it
// is empty, Open uses AWS_ENDPOINT_URL. Open makes no request to the bucket.
func Open(ctx context.Context, d *Description, endpoint string) (*Bucket, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(d.Region))
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	if endpoint != "" {
		if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("endpoint %q is not an http or https URL", endpoint)
		}
	}
	cfg.Logger = logging.Nop{} // errors contain all details
	return New(s3.NewFromConfig(cfg, func(o *s3.Options) {
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
		if o.BaseEndpoint != nil {
			// Most other servers need path-style URLs, and some reject the SDK's checksums.
			o.UsePathStyle = true
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		}
	}), d), nil
}
