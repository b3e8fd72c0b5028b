package s3store

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/immukv/immukv-go/backend"
)

// failure is an error of the SDK, together with what it proves.
type failure struct {
	err error
	// response is the server's response; nil if none came, or none that could be parsed.
	response *smithyhttp.Response
	status   int
	// code is the error code in the body of the response. If there is none, the answer
	// may come from a gateway instead of an S3 server.
	code string
}

func examine(err error) failure {
	f := failure{err: err}
	if withoutCredentials(err) {
		return f
	}
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && response.Response != nil {
		f.response = response.Response
		f.status = response.HTTPStatusCode()
	}
	var api smithy.APIError
	if errors.As(err, &api) && !madeUp(api, f.status) {
		f.code = api.ErrorCode()
	}
	return f
}

// withoutCredentials reports whether the operation failed while it obtained credentials.
// The answers of STS, or of the machine's metadata service, say nothing about the bucket.
func withoutCredentials(err error) bool {
	var op, inner *smithy.OperationError
	return errors.As(err, &op) && errors.As(op.Err, &inner)
}

// madeUp reports whether a code may be the SDK's own. If an answer has no code, or no
// message, the SDK makes one from the status: a gateway's 503 would look like S3's
// ServiceUnavailable.
func madeUp(err smithy.APIError, status int) bool {
	text := http.StatusText(status)
	return err.ErrorCode() == "UnknownError" ||
		err.ErrorMessage() == text && err.ErrorCode() == strings.ReplaceAll(text, " ", "")
}

// kind returns what the failure proves about a read, or nil.
func (f *failure) kind() error {
	switch {
	case f.code == "NoSuchKey", f.code == "NoSuchVersion":
		return backend.ErrNotFound
	case invalidName[f.code]:
		return backend.ErrInvalidName
	case f.denied():
		return backend.ErrAccessDenied
	case f.status == http.StatusServiceUnavailable, f.status == http.StatusTooManyRequests:
		return backend.ErrUnavailable
	}
	return nil
}

// invalidName has the codes that mean that the server cannot hold an object of that name.
var invalidName = map[string]bool{
	"KeyTooLongError":             true,
	"InvalidURI":                  true,
	"XMinioInvalidObjectName":     true, // MinIO
	"XMinioInvalidResourceName":   true,
	"XMinioParentIsObject":        true,
	"ObjectParentIsFile":          true, // VersityGW
	"ExistingObjectIsDirectory":   true,
	"DirectoryObjectContainsData": true,
}

func (f *failure) denied() bool {
	switch f.code {
	case "ExpiredToken", "InvalidToken", "TokenRefreshRequired": // status 400
		return true
	case "RequestTimeTooSkewed": // status 403; the SDK corrects it for the next request
		return false
	}
	return f.status == http.StatusUnauthorized || f.status == http.StatusForbidden
}

// maxRetryAfter is the longest wait that is reported. If a server names a longer one,
// perhaps by mistake, the wait is an hour.
const maxRetryAfter = time.Hour

// retryAfter returns the wait that the server asked for, in seconds or until a time of
// its own clock.
func (f *failure) retryAfter() time.Duration {
	if f.response == nil || f.response.Response == nil {
		return 0
	}
	header := f.response.Header
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return 0
	}
	return min(max(0, until.Sub(now)), maxRetryAfter)
}

// explain adds to the SDK's error what its reader may not know. Op is the operation and
// the object.
func (f *failure) explain(s *Store, op, name string, version backend.VersionID) error {
	switch {
	case f.code == "NoSuchBucket":
		return fmt.Errorf("bucket %q does not exist: %w", s.bucket, f.err)
	case f.code == "PermanentRedirect", f.code == "AuthorizationHeaderMalformed", f.code == "IllegalLocationConstraintException":
		return fmt.Errorf("bucket %q may be in another region: %w", s.bucket, f.err)
	case f.status == http.StatusForbidden && (f.code == "AccessDenied" || f.code == ""):
		return fmt.Errorf("%s: %w", s.permission(op, name, version), f.err)
	}
	return f.err
}

// permission names the missing permission: an action of IAM, and its resource.
func (s *Store) permission(op, name string, version backend.VersionID) string {
	bucket := "arn:aws:s3:::" + s.bucket
	switch {
	case op == "put":
		return fmt.Sprintf("the credentials lack s3:PutObject on %s/%s", bucket, name)
	case op == "list versions":
		return "the credentials lack s3:ListBucketVersions on " + bucket
	case op == "list names":
		return "the credentials lack s3:ListBucket on " + bucket
	case op == "read the versioning state of":
		return "the credentials lack s3:GetBucketVersioning on " + bucket
	case version != "":
		return fmt.Sprintf("the credentials lack s3:GetObjectVersion on %s/%s", bucket, name)
	}
	return fmt.Sprintf("the credentials lack s3:GetObject on %s/%s, or s3:ListBucket on %s: without it, S3 denies access to an object that does not exist",
		bucket, name, bucket)
}

// readError is the error of a read.
func (s *Store) readError(op, name string, version backend.VersionID, err error) error {
	f := examine(err)
	kind := f.kind()
	if version != "" && (f.code == "MethodNotAllowed" || f.code == "InvalidArgument" && f.aboutVersion() || kind == backend.ErrInvalidName) {
		// The version is a delete marker, or its ID has a form that no version has here.
		kind = backend.ErrNotFound
	}
	return &backend.Error{Op: op, Name: name, Version: version, Kind: kind, RetryAfter: f.retryAfter(), Err: f.explain(s, op, name, version)}
}

// aboutVersion reports whether the invalid argument was the version ID. The servers use
// the same text, and have no code for it.
func (f *failure) aboutVersion() bool {
	var api smithy.APIError
	return errors.As(f.err, &api) && api.ErrorMessage() == "Invalid version id specified"
}

// putError returns the error of a write. sent reports whether any of it may have been
// sent.
func (s *Store) putError(op, name string, cond backend.Condition, sent bool, err error) error {
	f := examine(err)
	e := &backend.Error{Op: op, Name: name, Kind: f.putKind(cond, sent), RetryAfter: f.retryAfter(), Err: f.explain(s, op, name, "")}
	if f.code == "NotImplemented" {
		clause := "S2"
		if cond.Absent() {
			clause = "S1"
		}
		e.Kind = nil
		e.Err = &backend.UnsupportedError{Clause: clause,
			Problem: fmt.Sprintf("the server does not implement a part of the write (%v)", err),
			Remedy:  "use a server that implements conditional writes, and encryption if the store is told to use it"}
	}
	return e
}

// putKind returns what the failure proves about a write. If it proves nothing, the
// outcome is unknown.
func (f *failure) putKind(cond backend.Condition, sent bool) error {
	switch {
	case !sent:
		return backend.ErrUnavailable
	case f.status == http.StatusPreconditionFailed, f.code == "ConditionalRequestConflict",
		f.code == "NoSuchKey" && !cond.Absent():
		return backend.ErrPreconditionFailed
	case f.denied():
		return backend.ErrAccessDenied
	case f.code == "":
		// This is a gateway's own answer. It does not say whether the write reached the
		// server.
		return backend.ErrOutcomeUnknown
	case invalidName[f.code]:
		return backend.ErrInvalidName
	case f.code == "EntityTooLarge":
		return backend.ErrTooLarge
	case f.code == "SlowDown", f.code == "ServiceUnavailable", f.code == "RequestTimeTooSkewed", f.code == "OperationAborted",
		f.code == "TemporaryRedirect", f.code == "RequestTimeout" && f.status == http.StatusBadRequest,
		f.status == http.StatusTooManyRequests:
		return backend.ErrUnavailable
	case f.status >= 300 && f.status < 500:
		return backend.ErrAccessDenied
	}
	return backend.ErrOutcomeUnknown
}
