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
	if id == "" { // which the SDK would leave out, and so ask for the current version
		return backend.Object{}, &backend.Error{Op: op, Name: name, Kind: backend.ErrNotFound, Err: errors.New("no version was named")}
	}
	return s.get(ctx, op, name, &s3.GetObjectInput{Bucket: &s.bucket, Key: &name, VersionId: aws.String(string(id))})
}

// readAttempts is how often a read is made of which the answer broke off or was
// torn. (The SDK repeats those that fail before the body.)
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
// It asks for the first byte of the object and not for its head. The answer to
// HEAD has no body, and thus no error code: it cannot tell an object that is not
// there from a bucket that is not, nor from a gateway on the way that knows of
// neither, and so could not keep S14.
func (s *Store) Head(ctx context.Context, name string) (backend.Version, error) {
	const op = "head"
	if err := s.checkName(name); err != nil {
		return backend.Version{}, &backend.Error{Op: op, Name: name, Err: err}
	}
	if s.tearsReads { // which only the body shows
		object, err := s.get(ctx, op, name, &s3.GetObjectInput{Bucket: &s.bucket, Key: &name})
		if err != nil {
			return backend.Version{}, s.headError(op, name, err)
		}
		return object.Version, nil
	}
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: &name, Range: aws.String("bytes=0-0")}
	out, err := s.client.GetObject(ctx, in, s.read)
	if err != nil && examine(err).code == "InvalidRange" { // it has no first byte
		in.Range = nil
		out, err = s.client.GetObject(ctx, in, s.read)
	}
	if err != nil {
		return backend.Version{}, s.headError(op, name, s.readError(op, name, "", err))
	}
	// Reading to the end keeps the connection. A server that ignored the range
	// sends more than is worth reading.
	_, _ = io.CopyN(io.Discard, out.Body, 4<<10)
	out.Body.Close()
	v, err := s.versionRead("", out)
	if err != nil {
		return backend.Version{}, &backend.Error{Op: op, Name: name, Err: err}
	}
	return v, nil
}

// headError is the error of Head for that of a read.
func (s *Store) headError(op, name string, err error) error {
	if errors.Is(err, backend.ErrNotFound) {
		if refused := s.checkNew(name); refused != nil {
			return &backend.Error{Op: op, Name: name, Err: refused}
		}
	}
	return err
}

// versionRead is the version that an answer to a read carries. It must be the
// one asked for, if one was.
func (s *Store) versionRead(asked backend.VersionID, out *s3.GetObjectOutput) (backend.Version, error) {
	v, err := properVersion("S8", "keep ImmuKV's objects in a bucket whose versioning was enabled before they were written, and stays so",
		out.VersionId, out.ETag)
	if err != nil {
		return backend.Version{}, err
	}
	if asked != "" && v.ID != asked {
		return backend.Version{}, &backend.UnsupportedError{Clause: "S8",
			Problem: fmt.Sprintf("the answer has version %q, though another was asked for", v.ID),
			Remedy:  "use a server that reads old versions back"}
	}
	return v, nil
}

// readBody reads a body of a size that a store may return.
func readBody(out *s3.GetObjectOutput) ([]byte, error) {
	if endsWithConnection(out) {
		return nil, errors.New("the answer does not say where its body ends, so that half of it would pass for the whole")
	}
	size := aws.ToInt64(out.ContentLength)
	if size > backend.MaxBodyBytes {
		return nil, fmt.Errorf("%w: %d bytes, of which a store returns %d at most", backend.ErrTooLarge, size, backend.MaxBodyBytes)
	}
	var buf bytes.Buffer
	buf.Grow(int(size) + bytes.MinRead)
	if _, err := buf.ReadFrom(io.LimitReader(out.Body, backend.MaxBodyBytes+1)); err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	if buf.Len() > backend.MaxBodyBytes {
		return nil, fmt.Errorf("%w: more than the %d bytes that a store returns at most", backend.ErrTooLarge, backend.MaxBodyBytes)
	}
	return buf.Bytes(), nil
}

// endsWithConnection reports whether the body has no other end than that of the
// connection (S6).
func endsWithConnection(out *s3.GetObjectOutput) bool {
	response, ok := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response)
	return ok && response.ProtoMajor == 1 && response.ContentLength < 0 && len(response.TransferEncoding) == 0 && !response.Uncompressed
}
