package blobstore_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"

	"github.com/immukv/immukv-go/backend/blobstore"
)

// testDriver is a gocloud driver in memory in which everything that real ones do
// to their users can be arranged. Its listings come in pages of pageSize at most.
type testDriver struct {
	driver.Bucket // panics where nothing is arranged

	mu       sync.Mutex
	keys     []string // sorted
	objects  map[string]testObject
	pageSize int
	requests []string // what was asked for, by method

	// fail returns the error of a request, and whether a write applies all the
	// same.
	fail func(method, key string) (applied bool, err error)
}

type testObject struct {
	body     []byte
	metadata map[string]string
}

// testError is an error with a code, as drivers have them.
type testError gcerrors.ErrorCode

func (e testError) Error() string { return "arranged: " + gcerrors.ErrorCode(e).String() }

func newTestStore(t *testing.T, opts ...blobstore.BucketOption) (*blobstore.Store, *testDriver) {
	t.Helper()
	d := &testDriver{objects: make(map[string]testObject), pageSize: 1000}
	b := blob.NewBucket(d)
	t.Cleanup(func() { b.Close() })
	s, err := blobstore.New(b, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return s, d
}

// ask notes a request and returns what is arranged for it.
func (d *testDriver) ask(ctx context.Context, method, key string) (applied bool, err error) {
	d.mu.Lock()
	d.requests = append(d.requests, method)
	fail := d.fail
	d.mu.Unlock()
	if fail != nil {
		if applied, err := fail(method, key); err != nil {
			return applied, err
		}
	}
	return true, ctx.Err()
}

func (d *testDriver) requested() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	requests := d.requests
	d.requests = nil
	return requests
}

func (d *testDriver) ErrorCode(err error) gcerrors.ErrorCode {
	var coded testError
	if errors.As(err, &coded) {
		return gcerrors.ErrorCode(coded)
	}
	return gcerrors.Unknown
}

func (d *testDriver) As(any) bool             { return false }
func (d *testDriver) ErrorAs(error, any) bool { return false }
func (d *testDriver) Close() error            { return nil }

func (d *testDriver) get(key string) (testObject, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o, ok := d.objects[key]
	if !ok {
		return o, testError(gcerrors.NotFound)
	}
	return o, nil
}

func (d *testDriver) Attributes(ctx context.Context, key string) (*driver.Attributes, error) {
	if _, err := d.ask(ctx, "attributes", key); err != nil {
		return nil, err
	}
	o, err := d.get(key)
	return &driver.Attributes{Metadata: o.metadata, Size: int64(len(o.body))}, err
}

func (d *testDriver) NewRangeReader(ctx context.Context, key string, _, _ int64, _ *driver.ReaderOptions) (driver.Reader, error) {
	if _, err := d.ask(ctx, "read", key); err != nil {
		return nil, err
	}
	o, err := d.get(key)
	if err != nil {
		return nil, err
	}
	return &testReader{bytes.NewReader(o.body), driver.ReaderAttributes{Size: int64(len(o.body))}}, nil
}

type testReader struct {
	io.Reader
	attrs driver.ReaderAttributes
}

func (r *testReader) Close() error                         { return nil }
func (r *testReader) Attributes() *driver.ReaderAttributes { return &r.attrs }
func (r *testReader) As(any) bool                          { return false }

func (d *testDriver) NewTypedWriter(ctx context.Context, key, _ string, opts *driver.WriterOptions) (driver.Writer, error) {
	return &testWriter{d: d, ctx: ctx, key: key, opts: opts}, nil
}

type testWriter struct {
	d    *testDriver
	ctx  context.Context
	key  string
	opts *driver.WriterOptions
	body bytes.Buffer
}

func (w *testWriter) Write(p []byte) (int, error) {
	if _, err := w.d.ask(w.ctx, "write body", w.key); err != nil {
		return 0, err
	}
	return w.body.Write(p)
}

func (w *testWriter) Close() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	applied, failure := w.d.ask(w.ctx, "write", w.key)
	if !applied {
		return failure
	}
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	if _, taken := w.d.objects[w.key]; taken {
		return cmp.Or(failure, error(testError(gcerrors.FailedPrecondition)))
	}
	w.d.objects[w.key] = testObject{body: w.body.Bytes(), metadata: w.opts.Metadata}
	i, _ := slices.BinarySearch(w.d.keys, w.key)
	w.d.keys = slices.Insert(w.d.keys, i, w.key)
	return failure
}

// listFrom is what a listing can be given before it begins.
type listFrom struct{ key string }

// ListPaged has opaque tokens, like that of S3, and takes a key to begin with.
func (d *testDriver) ListPaged(ctx context.Context, opts *driver.ListOptions) (*driver.ListPage, error) {
	if _, err := d.ask(ctx, "list", opts.Prefix); err != nil {
		return nil, err
	}
	var from listFrom
	if opts.BeforeList != nil {
		err := opts.BeforeList(func(i any) bool {
			p, ok := i.(**listFrom)
			if ok {
				*p = &from
			}
			return ok
		})
		if err != nil {
			return nil, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	after := strings.TrimPrefix(string(opts.PageToken), "opaque ")
	page := &driver.ListPage{}
	last := ""
	for _, key := range d.keys {
		if !strings.HasPrefix(key, opts.Prefix) || key < from.key {
			continue
		}
		o := &driver.ListObject{Key: key}
		if dir, _, ok := strings.Cut(key[len(opts.Prefix):], opts.Delimiter); ok && opts.Delimiter != "" {
			o = &driver.ListObject{Key: opts.Prefix + dir + opts.Delimiter, IsDir: true}
		}
		if o.Key <= after && after != "" || o.Key == last {
			continue
		}
		if len(page.Objects) == min(opts.PageSize, d.pageSize) {
			page.NextPageToken = []byte("opaque " + last)
			break
		}
		page.Objects = append(page.Objects, o)
		last = o.Key
	}
	return page, nil
}
