package blobstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/immukv/immukv-go/backend"
)

// DefaultMaxKeyBytes is the longest key that S3, Google Cloud Storage and Azure
// hold.
const DefaultMaxKeyBytes = 1024

// A BucketOption changes how [New] uses a bucket.
type BucketOption func(*bucket)

// MaxKeyBytes is the length in bytes of the longest key that the bucket can hold, instead
// of [DefaultMaxKeyBytes]. If the bucket adds a prefix by itself, as
// [blob.PrefixedBucket] does, subtract the length of the prefix. An object whose keys
// would be longer is [backend.ErrInvalidName].
func MaxKeyBytes(n int) BucketOption { return func(b *bucket) { b.maxKey = n } }

// StartListing sets a function that makes a listing begin at a key. Gocloud's
// portable interface has no such option. Without the function, a listing of names
// after a given one reads all names from the first of the prefix on, and skips
// those before. The parameter as is that of [blob.ListOptions.BeforeList]. For
// gcsblob:
//
//	blobstore.StartListing(func(key string, as func(any) bool) {
//		var q *storage.Query
//		if as(&q) {
//			q.StartOffset = key
//		}
//	})
//
// The listing may include keys before the given one; it must include all keys from
// it on.
func StartListing(start func(key string, as func(any) bool)) BucketOption {
	return func(b *bucket) { b.start = start }
}

// New returns a versioned store in a gocloud bucket. The store needs only
// create-if-absent. New makes no request. The caller closes the bucket, after the store.
//
// The driver's create-if-absent must be atomic, its reads and listings must be consistent
// with earlier writes, and its listings must be in the order of keys. This is true of
// s3blob, gcsblob, azureblob and memblob. Fileblob's create-if-absent is not atomic: for
// such a bucket, also behind a prefix, New returns [backend.ErrUnsupported]. Use
// [OpenDir] for a store in a directory. New cannot check any other driver: use
// [backend.Probe].
func New(b *blob.Bucket, opts ...BucketOption) (*Store, error) {
	var dir os.FileInfo // only fileblob has an os.FileInfo
	if b.As(&dir) {
		return nil, &backend.UnsupportedError{
			Clause:  "S3",
			Problem: "the bucket is a directory (fileblob), whose create-if-absent lets several concurrent writers succeed",
			Remedy:  "open the directory with blobstore.OpenDir or as file://, which use a lock",
		}
	}
	m := &bucket{bucket: b, maxKey: DefaultMaxKeyBytes}
	for _, opt := range opts {
		opt(m)
	}
	return newStore(m, func() error { return nil }), nil
}

// bucket keeps objects in a gocloud bucket.
type bucket struct {
	bucket *blob.Bucket
	maxKey int
	start  func(key string, as func(any) bool)
}

func keyOf(object string, n int64) string { return object + "/" + baseOf(n) }

func (b *bucket) check(object string) error {
	if n := len(keyOf(object, 1)); n > b.maxKey {
		return fmt.Errorf("%w: its keys would have at least %d bytes; the limit of the bucket is %d", backend.ErrInvalidName, n, b.maxKey)
	}
	return nil
}

// latest reads the first key in the object's listing, which is that of the newest
// version: see baseOf. Only an empty listing proves absence with every driver: gcsblob
// reports a key as not found if it may not be read, and s3blob if the bucket does not
// exist.
func (b *bucket) latest(ctx context.Context, object string) (int64, error) {
	opts := &blob.ListOptions{Prefix: object + "/"}
	size := 1
	for token := blob.FirstPageToken; len(token) > 0; size = backend.MaxPageSize {
		var keys []*blob.ListObject
		var err error
		keys, token, err = b.bucket.ListPage(ctx, token, size, opts)
		if err != nil {
			return 0, readFault(ctx, err)
		}
		for _, key := range keys {
			// Other keys were copied from a directory.
			if n, ok := numberOfBase(strings.TrimPrefix(key.Key, opts.Prefix)); ok {
				return n, nil
			}
		}
	}
	return 0, nil
}

// present returns nil: a listed key exists.
func (b *bucket) present(context.Context, string, int64) error { return nil }

func (b *bucket) read(ctx context.Context, object string, n int64) ([]byte, error) {
	key := keyOf(object, n)
	r, err := b.bucket.NewReader(ctx, key, nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, b.missing(ctx, key, err)
	}
	if err != nil {
		return nil, readFault(ctx, err)
	}
	defer r.Close()
	if r.Size() > backend.MaxBodyBytes {
		return nil, &fault{backend.ErrTooLarge, fmt.Errorf("%d bytes in %s", r.Size(), key)}
	}
	body, err := io.ReadAll(io.LimitReader(r, backend.MaxBodyBytes+1))
	switch {
	case err != nil:
		return nil, readFault(ctx, err)
	case len(body) > backend.MaxBodyBytes:
		return nil, &fault{backend.ErrTooLarge, errors.New(key)}
	case r.Size() >= 0 && int64(len(body)) != r.Size():
		return nil, fmt.Errorf("%s: %w: %d bytes of %d", key, io.ErrUnexpectedEOF, len(body), r.Size())
	}
	return body, nil
}

// missing returns the reason why the driver did not find a listed key.
func (b *bucket) missing(ctx context.Context, key string, cause error) error {
	keys, _, err := b.bucket.ListPage(ctx, blob.FirstPageToken, 1, &blob.ListOptions{Prefix: key})
	switch {
	case err != nil:
		return readFault(ctx, err)
	case len(keys) > 0 && keys[0].Key == key:
		return &fault{backend.ErrAccessDenied, fmt.Errorf("it is listed, but cannot be read: %w", cause)}
	default:
		return fmt.Errorf("%w: %s", errMissing, key)
	}
}

func (b *bucket) append(ctx context.Context, object string, after int64, body []byte) error {
	// Only one writer can create version 1. Any other version is created only if the one
	// before it exists. So numbers have no gaps, and the writer that creates a version
	// knows that the one before it was the newest.
	if after > 0 {
		if err := b.mustHold(ctx, object, after); err != nil {
			return err
		}
	}
	return b.create(ctx, keyOf(object, after+1), body)
}

// mustHold returns an error unless version n exists.
func (b *bucket) mustHold(ctx context.Context, object string, n int64) error {
	key := keyOf(object, n)
	_, err := b.bucket.Attributes(ctx, key)
	if err == nil {
		return nil
	}
	err = readFault(ctx, err)
	if gcerrors.Code(err) == gcerrors.NotFound {
		err = b.missing(ctx, key, err)
	}
	if !errors.Is(err, errMissing) {
		return withoutEffect(err)
	}
	return &fault{backend.ErrPreconditionFailed, fmt.Errorf("version v%d does not exist", n)}
}

// writeMark is the name of the metadata that identifies a write.
const writeMark = "immukv-write"

// contentType is the type of ImmuKV's bodies. Without one, gocloud would delay the body
// to guess it.
const contentType = "application/json"

// singleRequest is the size up to which drivers send a body in one request. It is also
// the smallest part of a multipart upload to S3.
const singleRequest = 5 << 20

// create creates the object of that key unless it exists.
func (b *bucket) create(ctx context.Context, key string, body []byte) error {
	mark := rand.Text()
	opts := &blob.WriterOptions{
		IfNotExist:  true,
		ContentType: contentType,
		Metadata:    map[string]string{writeMark: mark},
	}
	if len(body) >= singleRequest {
		opts.BufferSize = len(body) + 1
	}
	err := b.write(ctx, key, body, opts)
	switch gcerrors.Code(err) {
	case gcerrors.OK:
		return nil
	case gcerrors.FailedPrecondition, gcerrors.AlreadyExists:
		return b.settle(ctx, key, mark, err)
	case gcerrors.PermissionDenied, gcerrors.NotFound:
		// A create cannot fail because its key is missing: the bucket does not exist, or
		// (gcsblob) the permission is missing.
		return &fault{backend.ErrAccessDenied, err}
	case gcerrors.ResourceExhausted:
		return &fault{backend.ErrUnavailable, err}
	default:
		return &fault{backend.ErrOutcomeUnknown, withContext(ctx, err)}
	}
}

// write uploads a body. It does not use the bucket's Writer: azureblob's panics if Close
// reports a failed upload, such as that of a lost race (gocloud.dev 0.47).
func (b *bucket) write(ctx context.Context, key string, body []byte, opts *blob.WriterOptions) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	u := &upload{Reader: bytes.NewReader(body), cancel: cancel}
	err := b.bucket.Upload(ctx, key, u, opts)
	if u.err != nil && gcerrors.Code(err) != gcerrors.FailedPrecondition { // some drivers report the cause only when they are closed
		return u.err
	}
	return err
}

// upload is a body to upload. Drivers without an Upload of their own write it to a
// Writer. Gocloud closes that even after an error, and so commits a partial body, unless
// the context was cancelled.
type upload struct {
	*bytes.Reader
	cancel func()
	err    error // of WriteTo
}

// WriteTo implements [io.WriterTo]. It keeps its error, which the error of closing would
// replace.
func (u *upload) WriteTo(w io.Writer) (int64, error) {
	n, err := u.Reader.WriteTo(w)
	if err != nil {
		u.cancel()
		u.err = err
	}
	return n, nil
}

// settle finds out whether the existing object that made a create fail is the create's
// own. The SDKs below the drivers repeat a request whose answer was lost, and the
// repeated request fails because of the first.
func (b *bucket) settle(ctx context.Context, key, mark string, cause error) error {
	attrs, err := b.bucket.Attributes(ctx, key)
	switch {
	case err != nil:
		return &fault{backend.ErrOutcomeUnknown, fmt.Errorf("%w, after: %w", withContext(ctx, err), cause)}
	case attrs.Metadata[writeMark] == mark:
		return nil
	default:
		return &fault{backend.ErrPreconditionFailed, cause}
	}
}

func (b *bucket) children(ctx context.Context, parent, prefix, after string, page []byte, limit int) ([]string, []byte, error) {
	opts := &blob.ListOptions{Prefix: parent + prefix, Delimiter: "/"}
	if page == nil {
		page = blob.FirstPageToken
		if b.start != nil && after != "" {
			opts.BeforeList = func(as func(any) bool) error {
				b.start(parent+after, as)
				return nil
			}
		}
	}
	keys, next, err := b.bucket.ListPage(ctx, page, limit, opts)
	if err != nil {
		return nil, nil, readFault(ctx, err)
	}
	var parts []string
	for _, key := range keys {
		if key.IsDir {
			parts = append(parts, strings.TrimSuffix(strings.TrimPrefix(key.Key, parent), "/"))
		}
	}
	return parts, next, nil
}

// holds returns true: a bucket has no empty directories.
func (b *bucket) holds(context.Context, string) (bool, error) { return true, nil }

// readFault is the error of a request that changes nothing. Not found is not among its
// kinds: see latest.
func readFault(ctx context.Context, err error) error {
	err = withContext(ctx, err)
	switch gcerrors.Code(err) {
	case gcerrors.PermissionDenied:
		return &fault{backend.ErrAccessDenied, err}
	case gcerrors.ResourceExhausted:
		return &fault{backend.ErrUnavailable, err}
	}
	return err
}

// withContext adds the error of a context that ended, if a driver omits it.
func withContext(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("%w: %w", ended, err)
	}
	return err
}
