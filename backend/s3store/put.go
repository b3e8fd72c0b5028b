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

// contentType is that of every object of ImmuKV.
const contentType = "application/json"

// Put implements [backend.VersionedStore].
//
// A write of which nothing was sent, because the context had ended, no
// credentials could be had or no connection be made, is
// [backend.ErrUnavailable]. A write that the server refused for reasons that no
// other error of the contract fits, such as a bucket that is not there or a KMS
// key that is disabled, is [backend.ErrAccessDenied].
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
				Err: fmt.Errorf("no version has the ETag %s", cond.ETag())}
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

// digest is the checksum of a body, as the header Content-MD5 has it. S3 demands one of
// a PUT to a bucket with Object Lock. Every server knows this one, where some refuse
// those that the SDK adds; it tells what was damaged on the way, and nothing rests on
// it.
func digest(body []byte) string {
	sum := md5.Sum(body)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// transmission observes whether any part of a request can have been sent. To be
// sure that nothing was is worth much: such a write has no outcome to settle.
type transmission struct {
	handedOver atomic.Bool // to the HTTP client
	connecting atomic.Bool // it asked for a connection
	connected  atomic.Bool // and got one
}

// observe is an option of the call.
func (t *transmission) observe(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("ImmuKVTransmission",
			func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
				middleware.DeserializeOutput, middleware.Metadata, error,
			) {
				t.handedOver.Store(true)
				// The trace is set here, inside everything else, so that it
				// does not see the requests with which credentials are had.
				return next.HandleDeserialize(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
					GetConn: func(string) { t.connecting.Store(true) },
					GotConn: func(httptrace.GotConnInfo) { t.connected.Store(true) },
				}), in)
			}), middleware.After)
	})
}

// began reports whether something may have been sent. An HTTP client that is
// not Go's shows nothing of its connections, and then something may.
func (t *transmission) began() bool {
	return t.handedOver.Load() && (!t.connecting.Load() || t.connected.Load())
}

// singleTag tells whether an ETag is one in the header If-Match too, where a star
// matches every version, a list any of several, and "" is no condition to
// VersityGW.
func singleTag(etag backend.ETag) bool {
	bare := strings.Trim(string(etag), `"`)
	return bare != "" && bare != "*" && !strings.ContainsFunc(string(etag), func(r rune) bool {
		return r <= ' ' || r == ',' || r >= 0x7F
	})
}
