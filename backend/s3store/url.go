package s3store

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	gcaws "gocloud.dev/aws"

	"github.com/immukv/immukv-go/backend"
)

// Scheme is the URL scheme that importing this package registers with [backend.Open].
const Scheme = "s3"

func init() {
	backend.Register(Scheme, func(ctx context.Context, u *url.URL) (backend.Store, error) {
		s, err := openURL(ctx, u)
		if err != nil {
			return nil, err // not a nil *Store in the interface
		}
		return s, nil
	})
}

// configParams are the parameters of URLs that gocloud's package aws reads.
var configParams = []string{"region", "endpoint", "profile", "role", "anonymous", "hostname_immutable", "dualstack", "fips",
	"rate_limiter_capacity", checksumCalculation, checksumValidation}

// clientParams are those that gocloud's package s3blob reads.
var clientParams = []string{"ssetype", "kmskeyid", "accelerate", "use_path_style", "s3ForcePathStyle", "disable_https"}

const (
	checksumCalculation = "request_checksum_calculation"
	checksumValidation  = "response_checksum_validation"
)

// openURL opens s3://bucket with the parameters of gocloud's s3blob, which have the same
// meaning here. One thing differs: a server other than AWS gets checksums only when
// required, unless the parameters say otherwise.
func openURL(ctx context.Context, u *url.URL) (*Store, error) {
	if err := backend.CheckParams(u, append(configParams, clientParams...)...); err != nil {
		return nil, err
	}
	switch {
	case u.Host == "":
		return nil, fmt.Errorf("%w: it does not name a bucket", backend.ErrInvalidURL)
	case strings.Trim(u.Path, "/") != "":
		return nil, fmt.Errorf("%w: it has a path after the bucket; give it as the prefix of the client", backend.ErrInvalidURL)
	case u.Fragment != "":
		return nil, fmt.Errorf("%w: it has a #, after which there are no parameters; write %%23 if the # belongs to one", backend.ErrInvalidURL)
	case u.User != nil:
		return nil, fmt.Errorf("%w: it must not contain credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile", backend.ErrInvalidURL)
	}
	params := u.Query()
	opt, enc, err := clientOptions(params)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", backend.ErrInvalidURL, err)
	}
	for _, name := range clientParams {
		params.Del(name)
	}
	cfg, err := gcaws.V2ConfigFromURLParams(ctx, params)
	if err != nil {
		return nil, fmt.Errorf("open bucket %q: %w", u.Host, err)
	}
	return open(ctx, cfg, u.Host, enc, opt)
}

// clientOptions reads the parameters of the client.
func clientOptions(params url.Values) (func(*s3.Options), encryption, error) {
	var enc encryption
	var err error
	if enc.sse, err = encryptionType(params.Get("ssetype")); err != nil {
		return nil, enc, err
	}
	enc.kmsKeyID = params.Get("kmskeyid")
	if err := enc.complete(); err != nil {
		return nil, enc, err
	}
	flags := make(map[string]bool)
	for _, name := range []string{"accelerate", "use_path_style", "s3ForcePathStyle", "disable_https"} {
		if value := params.Get(name); value != "" {
			if flags[name], err = strconv.ParseBool(value); err != nil {
				return nil, enc, fmt.Errorf("parameter %q is neither true nor false", name)
			}
		}
	}
	return func(o *s3.Options) {
		o.UseAccelerate = flags["accelerate"]
		o.UsePathStyle = flags["use_path_style"] || flags["s3ForcePathStyle"]
		o.EndpointOptions.DisableHTTPS = flags["disable_https"]
		if params.Get("endpoint") != "" || o.BaseEndpoint != nil {
			told := *o
			checksumsWhenRequired(o)
			if params.Get(checksumCalculation) != "" {
				o.RequestChecksumCalculation = told.RequestChecksumCalculation
			}
			if params.Get(checksumValidation) != "" {
				o.ResponseChecksumValidation = told.ResponseChecksumValidation
			}
		}
	}, enc, nil
}

// encryptionType reads the name of a type of encryption in any case, as gocloud
// does.
func encryptionType(name string) (types.ServerSideEncryption, error) {
	if name == "" {
		return "", nil
	}
	var known []string
	for _, sse := range types.ServerSideEncryption("").Values() {
		if strings.EqualFold(string(sse), name) {
			return sse, nil
		}
		known = append(known, string(sse))
	}
	return "", fmt.Errorf("unknown ssetype %q; known: %s", name, strings.Join(known, ", "))
}
