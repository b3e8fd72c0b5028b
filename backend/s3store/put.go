package s3store

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"net/http/httptrace"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"

	"github.com/immukv/immukv-go/backend"
)

// contentType is the content type of every object of ImmuKV.
const contentType = "application/json"

// Put implements [backend.VersionedStore].
//
// If nothing was sent, because the context had ended, or because there were no
// credentials or no connection, the error is [backend.ErrUnavailable]. If the server
// rejected the write for a reason with no other error in the contract, such as a missing
// bucket or a disabled KMS key, the error is [backend.ErrAccessDenied].
func (s *Store) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	const op = "put"
	if err := backend.CheckPut(name, body, cond); err != nil {
		return backend.Version{}, &backend.Error{Op: op, Name: name, Err: err}
	}
	if err := s.checkName(name); err != nil {
		return backend.Version{}, &backend.Error{Op: op, Name: name, Err: err}
	}
	in := &s3.PutObjectInput{
		Bucket:      &s.bucket,
		Key:         &name,
		Body:        bytes.NewReader(body),
		ContentType: aws.String(contentType),
	}
	if cond.Absent() {
		if err := s.checkNew(name); err != nil {
			return backend.Version{}, &backend.Error{Op: op, Name: name, Err: err}
		}
		in.IfNoneMatch = aws.String("*")
	} else {
		if !singleTag(cond.ETag()) {
			return backend.Version{}, &backend.Error{Op: op, Name: name, Kind: backend.ErrPreconditionFailed,
				Err: fmt.Errorf("no version can have the ETag %s", cond.ETag())}
		}
		in.IfMatch = aws.String(string(cond.ETag()))
	}
	s.encryption.apply(in)
	if s.client.Options().RequestChecksumCalculation != aws.RequestChecksumCalculationWhenSupported {
		in.ContentMD5 = aws.String(digest(body))
	}

	var sent transmission
	out, err := s.client.PutObject(ctx, in, s.once, sent.observe)
	if err != nil {
		return backend.Version{}, s.putError(op, name, cond, sent.began(), err)
	}
	v, err := properVersion("S4", enableVersioning(s.bucket), out.VersionId, out.ETag)
	if err != nil {
		return backend.Version{}, &backend.Error{Op: op, Name: name, Err: err}
	}
	return v, nil
}

// digest returns the checksum of a body for the header Content-MD5. S3 requires a
// checksum for a PUT to a bucket with Object Lock. Every server supports this one, but
// some reject those that the SDK adds. It detects damage in transit; the protocol does
// not depend on it.
func digest(body []byte) string {
	sum := md5.Sum(body)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// transmission observes whether any part of a request may have been sent. If certainly
// nothing was sent, the write has no outcome to settle.
type transmission struct {
	handedOver atomic.Bool // given to the HTTP client
	connecting atomic.Bool // the client asked for a connection
	connected  atomic.Bool // the client got a connection
}

// observe is an option of the call.
func (t *transmission) observe(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("ImmuKVTransmission",
			func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
				middleware.DeserializeOutput, middleware.Metadata, error,
			) {
				t.handedOver.Store(true)
				// The trace is set inside all other layers, so that it does not observe
				// the requests that obtain credentials.
				return next.HandleDeserialize(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
					GetConn: func(string) { t.connecting.Store(true) },
					GotConn: func(httptrace.GotConnInfo) { t.connected.Store(true) },
				}), in)
			}), middleware.After)
	})
}

// began reports whether something may have been sent. An HTTP client other than Go's
// gives no information about its connections, so something may have been sent.
func (t *transmission) began() bool {
	return t.handedOver.Load() && (!t.connecting.Load() || t.connected.Load())
}

// singleTag reports whether an ETag is also a single tag in the header If-Match. There, a
// star matches every version, a list matches any of several, and "" is no condition to
// VersityGW.
func singleTag(etag backend.ETag) bool {
	bare := strings.Trim(string(etag), `"`)
	return bare != "" && bare != "*" && !strings.ContainsFunc(string(etag), func(r rune) bool {
		return r <= ' ' || r == ',' || r >= 0x7F
	})
}
