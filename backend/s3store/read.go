package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/immukv/immukv-go/backend"
)

// Get implements [backend.VersionedStore].
func (s *Store) Get(ctx context.Context, name string) (backend.Object, error) {
	const op = "get"
	if err := s.checkName(name); err != nil {
		return backend.Object{}, &backend.Error{Op: op, Name: name, Err: err}
	}
	return s.get(ctx, op, name, &s3.GetObjectInput{Bucket: &s.bucket, Key: &name})
}

// GetVersion implements [backend.VersionedStore].
func (s *Store) GetVersion(ctx context.Context, name string, id backend.VersionID) (backend.Object, error) {
	const op = "get version"
	if err := s.checkName(name); err != nil {
		return backend.Object{}, &backend.Error{Op: op, Name: name, Version: id, Err: err}
	}
	if id == "" { // the SDK would omit it, and so request the current version
		return backend.Object{}, &backend.Error{Op: op, Name: name, Kind: backend.ErrNotFound, Err: errors.New("the version ID is empty")}
	}
	return s.get(ctx, op, name, &s3.GetObjectInput{Bucket: &s.bucket, Key: &name, VersionId: aws.String(string(id))})
}

// readAttempts is how often a read is attempted if its answer is cut off or torn. (The
// SDK repeats reads that fail before the body.)
const readAttempts = 4

func (s *Store) get(ctx context.Context, op, name string, in *s3.GetObjectInput) (backend.Object, error) {
	read := s.getOnce
	if s.tearsReads {
		read = s.getWhole
	}
	var object backend.Object
	var err error
	for range readAttempts {
		object, err = read(ctx, in)
		if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, errTorn) {
			break
		}
	}
	if err != nil {
		return backend.Object{}, s.readError(op, name, backend.VersionID(aws.ToString(in.VersionId)), err)
	}
	return object, nil
}

func (s *Store) getOnce(ctx context.Context, in *s3.GetObjectInput) (backend.Object, error) {
	out, err := s.client.GetObject(ctx, in, s.read)
	if err != nil {
		return backend.Object{}, err
	}
	defer out.Body.Close()
	v, err := s.versionRead(backend.VersionID(aws.ToString(in.VersionId)), out)
	if err != nil {
		return backend.Object{}, err
	}
	body, err := readBody(out)
	if err != nil {
		return backend.Object{}, err
	}
	return backend.Object{Version: v, Body: body}, nil
}

// Head implements [backend.VersionedStore].
//
// It requests the first byte of the object instead of HEAD. The answer to HEAD has no
// body and so no error code: it cannot distinguish an absent object from an absent
// bucket, or from an answer of a gateway, and so could not keep S14.
func (s *Store) Head(ctx context.Context, name string) (backend.Version, error) {
	const op = "head"
	if err := s.checkName(name); err != nil {
		return backend.Version{}, &backend.Error{Op: op, Name: name, Err: err}
	}
	if s.tearsReads { // only the body tells
		object, err := s.get(ctx, op, name, &s3.GetObjectInput{Bucket: &s.bucket, Key: &name})
		if err != nil {
			return backend.Version{}, s.headError(op, name, err)
		}
		return object.Version, nil
	}
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: &name, Range: aws.String("bytes=0-0")}
	out, err := s.client.GetObject(ctx, in, s.read)
	if err != nil && examine(err).code == "InvalidRange" { // the object has no first byte
		in.Range = nil
		out, err = s.client.GetObject(ctx, in, s.read)
	}
	if err != nil {
		return backend.Version{}, s.headError(op, name, s.readError(op, name, "", err))
	}
	// Reading to the end allows the connection to be reused. A server that ignored the
	// range sends too much to read.
	_, _ = io.CopyN(io.Discard, out.Body, 4<<10)
	out.Body.Close()
	v, err := s.versionRead("", out)
	if err != nil {
		return backend.Version{}, &backend.Error{Op: op, Name: name, Err: err}
	}
	return v, nil
}

// headError returns the error of Head for the error of a read.
func (s *Store) headError(op, name string, err error) error {
	if errors.Is(err, backend.ErrNotFound) {
		if refused := s.checkNew(name); refused != nil {
			return &backend.Error{Op: op, Name: name, Err: refused}
		}
	}
	return err
}

// versionRead returns the version in an answer to a read. It must be the requested one,
// if one was requested.
func (s *Store) versionRead(asked backend.VersionID, out *s3.GetObjectOutput) (backend.Version, error) {
	v, err := properVersion("S8", "keep ImmuKV's objects in a bucket whose versioning was enabled before they were written, and remains enabled",
		out.VersionId, out.ETag)
	if err != nil {
		return backend.Version{}, err
	}
	if asked != "" && v.ID != asked {
		return backend.Version{}, &backend.UnsupportedError{Clause: "S8",
			Problem: fmt.Sprintf("the answer has version %q instead of the requested one", v.ID),
			Remedy:  "use a server that returns old versions"}
	}
	return v, nil
}

// readBody reads a body of a size that a store may return.
func readBody(out *s3.GetObjectOutput) ([]byte, error) {
	if endsWithConnection(out) {
		return nil, errors.New("the answer has no length, so a body that is cut off could not be detected")
	}
	size := aws.ToInt64(out.ContentLength)
	if size > backend.MaxBodyBytes {
		return nil, fmt.Errorf("%w: the body has %d bytes; the limit is %d", backend.ErrTooLarge, size, backend.MaxBodyBytes)
	}
	var buf bytes.Buffer
	buf.Grow(int(size) + bytes.MinRead)
	if _, err := buf.ReadFrom(io.LimitReader(out.Body, backend.MaxBodyBytes+1)); err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	if buf.Len() > backend.MaxBodyBytes {
		return nil, fmt.Errorf("%w: the body has more than %d bytes, the limit", backend.ErrTooLarge, backend.MaxBodyBytes)
	}
	return buf.Bytes(), nil
}

// endsWithConnection reports whether only the end of the connection marks the end of the
// body (S6).
func endsWithConnection(out *s3.GetObjectOutput) bool {
	response, ok := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response)
	return ok && response.ProtoMajor == 1 && response.ContentLength < 0 && len(response.TransferEncoding) == 0 && !response.Uncompressed
}
