package mutants

import (
	"context"
	"errors"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

// unguarded hides the driver of a bucket. Package blobstore recognises fileblob
// and guards it; the suite must find the fault of the bare driver.
type unguarded struct{ bucket *blob.Bucket }

var _ driver.Bucket = unguarded{}

var errNotUsed = errors.New("not used by a store")

func (unguarded) ErrorCode(err error) gcerrors.ErrorCode { return gcerrors.Code(err) }
func (unguarded) As(any) bool                            { return false }
func (unguarded) ErrorAs(error, any) bool                { return false }
func (u unguarded) Close() error                         { return u.bucket.Close() }

func (u unguarded) Attributes(ctx context.Context, key string) (*driver.Attributes, error) {
	a, err := u.bucket.Attributes(ctx, key)
	if err != nil {
		return nil, err
	}
	return &driver.Attributes{ContentType: a.ContentType, Metadata: a.Metadata, ModTime: a.ModTime, Size: a.Size, MD5: a.MD5, ETag: a.ETag}, nil
}

func (u unguarded) ListPaged(ctx context.Context, opts *driver.ListOptions) (*driver.ListPage, error) {
	token := opts.PageToken
	if len(token) == 0 {
		token = blob.FirstPageToken
	}
	size := opts.PageSize
	if size == 0 {
		size = 1000
	}
	objects, next, err := u.bucket.ListPage(ctx, token, size, &blob.ListOptions{Prefix: opts.Prefix, Delimiter: opts.Delimiter})
	if err != nil {
		return nil, err
	}
	page := &driver.ListPage{NextPageToken: next}
	for _, o := range objects {
		page.Objects = append(page.Objects, &driver.ListObject{Key: o.Key, ModTime: o.ModTime, Size: o.Size, MD5: o.MD5, IsDir: o.IsDir})
	}
	return page, nil
}

// reader is a portable reader as drivers have it.
type reader struct{ *blob.Reader }

func (r reader) Attributes() *driver.ReaderAttributes {
	return &driver.ReaderAttributes{ContentType: r.ContentType(), ModTime: r.ModTime(), Size: r.Size()}
}

func (r reader) As(any) bool { return false }

func (u unguarded) NewRangeReader(ctx context.Context, key string, offset, length int64, _ *driver.ReaderOptions) (driver.Reader, error) {
	r, err := u.bucket.NewRangeReader(ctx, key, offset, length, nil)
	if err != nil {
		return nil, err
	}
	return reader{r}, nil
}

func (u unguarded) NewTypedWriter(ctx context.Context, key, contentType string, opts *driver.WriterOptions) (driver.Writer, error) {
	return u.bucket.NewWriter(ctx, key, &blob.WriterOptions{ContentType: contentType, Metadata: opts.Metadata, IfNotExist: opts.IfNotExist})
}

func (unguarded) Copy(context.Context, string, string, *driver.CopyOptions) error { return errNotUsed }

func (unguarded) Delete(context.Context, string, *driver.DeleteOptions) error { return errNotUsed }

func (unguarded) SignedURL(context.Context, string, *driver.SignedURLOptions) (string, error) {
	return "", errNotUsed
}
