package s3store_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"
	"gocloud.dev/blob/s3blob"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/s3store"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
)

var servers s3test.Servers

func TestMain(m *testing.M) {
	if told := os.Getenv(batcherVar); told != "" {
		if err := runBatcher(told); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(servers.Main(m))
}

// long tells whether the tests are to take their time.
func long() bool { return os.Getenv("IMMUKV_LONG") == "1" }

// open opens a bucket through a client of its own.
func open(t *testing.T, server *s3test.Server, bucket string, opts ...func(*s3.Options)) *s3store.Store {
	t.Helper()
	s, err := s3store.New(t.Context(), server.Client(t, opts...), bucket)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// write writes a version and returns it.
func write(t *testing.T, s *s3store.Store, name, body string, cond backend.Condition) backend.Version {
	t.Helper()
	v, err := s.Put(t.Context(), name, []byte(body), cond)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// ways are those in which a bucket of a server is opened.
func ways(t *testing.T, server *s3test.Server, endpoint, bucket string) map[string]func(context.Context) (*s3store.Store, error) {
	const params = "&ssetype=aws:kms&kmskeyid=key-1"
	for _, v := range server.Environ() {
		if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, value)
		}
	}
	storeURL := "s3://" + bucket + "?region=" + s3test.Region + "&use_path_style=true&endpoint=" + endpoint + params
	return map[string]func(context.Context) (*s3store.Store, error){
		"URL": func(ctx context.Context) (*s3store.Store, error) {
			s, err := backend.Open(ctx, storeURL)
			if err != nil {
				return nil, err
			}
			return s.(*s3store.Store), nil
		},
		"config": func(ctx context.Context) (*s3store.Store, error) {
			return s3store.Open(ctx, s3store.Config{
				Bucket: bucket, Region: s3test.Region, Endpoint: endpoint, PathStyle: true,
				Credentials: server.Root(), KMSKeyID: "key-1",
			})
		},
		"client": func(ctx context.Context) (*s3store.Store, error) {
			return s3store.New(ctx, server.Client(t, s3test.At(endpoint)), bucket, s3store.WithEncryption("", "key-1"))
		},
		"gocloud bucket": func(ctx context.Context) (*s3store.Store, error) {
			b, err := blob.OpenBucket(ctx, storeURL)
			if err != nil {
				return nil, err
			}
			defer b.Close()
			return s3store.FromBucket(ctx, b)
		},
	}
}

// Every way of opening makes one request, which does not write; and the
// encryption that each was told of is on every write.
func TestOpening(t *testing.T) {
	for _, sw := range s3test.All {
		t.Run(sw.Name, func(t *testing.T) {
			server := servers.Get(t, sw)
			bucket := server.NewBucket(t)
			proxy := s3test.NewProxy(t, server.Endpoint())
			for way, open := range ways(t, server, proxy.URL, bucket) {
				proxy.Follow(nil)
				s, err := open(t.Context())
				if err != nil {
					t.Fatalf("by %s: %v", way, err)
				}
				if seen := proxy.Requests(); len(seen) != 1 || seen[0].Method != http.MethodGet {
					t.Errorf("by %s: opening made the requests %v, want one GET", way, seen)
				}
				// A server without a KMS would return an error; what is sent is what counts.
				proxy.Follow(func(*http.Request) s3test.Fault {
					return s3test.Answer(http.StatusPreconditionFailed, "PreconditionFailed", 0)
				})
				for _, cond := range []backend.Condition{backend.IfAbsent(), backend.IfMatch(`"tag"`)} {
					if _, err := s.Put(t.Context(), "a", []byte("1"), cond); !errors.Is(err, backend.ErrPreconditionFailed) {
						t.Errorf("by %s: %v", way, err)
					}
				}
				for _, r := range proxy.Requests() {
					want := map[string]string{
						"X-Amz-Server-Side-Encryption":                "aws:kms",
						"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "key-1",
						"Content-Type": "application/json",
					}
					for name, value := range want {
						if got := r.Header.Get(name); got != value {
							t.Errorf("by %s: %s %s has %s %q, want %q", way, r.Method, r.URL, name, got, value)
						}
					}
					if r.Header.Get("If-Match") != `"tag"` && r.Header.Get("If-None-Match") != "*" {
						t.Errorf("by %s: %s %s has no condition", way, r.Method, r.URL)
					}
				}
				s.Close()
			}
		})
	}
}

// What can be seen to be wrong without writing is said at opening, with what to
// do about it.
func TestRefusedAtOpening(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		suspended := server.NewBucket(t)
		server.SetVersioning(t, suspended, types.BucketVersioningStatusSuspended)
		badKey := s3test.As(credentials.NewStaticCredentialsProvider("nobody", "secret", ""))
		badSecret := s3test.As(credentials.NewStaticCredentialsProvider("immukv-test", "wrong", ""))
		for _, c := range []struct {
			name   string
			bucket string
			option func(*s3.Options)
			want   error
			says   []string
		}{
			{"never enabled", server.NewPlainBucket(t), nil, backend.ErrUnsupported, []string{"S4", "never enabled", "put-bucket-versioning"}},
			{"suspended", suspended, nil, backend.ErrUnsupported, []string{"S8", "suspended", "put-bucket-versioning"}},
			{"no such bucket", "no-such-bucket", nil, nil, []string{`bucket "no-such-bucket" does not exist`}},
			{"unknown key", suspended, badKey, backend.ErrAccessDenied, []string{"InvalidAccessKeyId"}},
			{"wrong secret", suspended, badSecret, backend.ErrAccessDenied, []string{"SignatureDoesNotMatch"}},
		} {
			t.Run(c.name, func(t *testing.T) {
				var opts []func(*s3.Options)
				if c.option != nil {
					opts = append(opts, c.option)
				}
				_, err := s3store.New(t.Context(), server.Client(t, opts...), c.bucket)
				if err == nil || c.want != nil && !errors.Is(err, c.want) || errors.Is(err, backend.ErrNotFound) {
					t.Fatalf("error %v, want %v", err, c.want)
				}
				for _, part := range c.says {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%q does not say %q", err, part)
					}
				}
			})
		}
	})
}

// Read-only credentials suffice to open and to read, and do not write.
func TestReadOnlyCredentials(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		bucket := server.NewBucket(t)
		v := write(t, open(t, server, bucket), "a", "1", backend.IfAbsent())
		for name, actions := range map[string][]string{
			"may ask for versioning":     append([]string{s3test.AskVersioning}, s3test.Reading...),
			"may not ask for versioning": s3test.Reading,
		} {
			t.Run(name, func(t *testing.T) {
				s := open(t, server, bucket, s3test.As(server.Restricted(t, bucket, actions...)))
				if o, err := s.Get(t.Context(), "a"); err != nil || o.Version != v {
					t.Errorf("get: %+v, %v", o, err)
				}
				if o, err := s.GetVersion(t.Context(), "a", v.ID); err != nil || string(o.Body) != "1" {
					t.Errorf("get version: %+v, %v", o, err)
				}
				if got, err := s.Head(t.Context(), "a"); err != nil || got != v {
					t.Errorf("head: %+v, %v", got, err)
				}
				if _, err := s.Get(t.Context(), "b"); !errors.Is(err, backend.ErrNotFound) {
					t.Errorf("get of what is not there: %v", err)
				}
				if page, err := s.ListVersions(t.Context(), "a", backend.VersionsRequest{}); err != nil || len(page.Versions) != 1 {
					t.Errorf("list versions: %+v, %v", page, err)
				}
				if page, err := s.ListNames(t.Context(), backend.NamesRequest{}); err != nil || len(page.Names) != 1 {
					t.Errorf("list names: %+v, %v", page, err)
				}
				_, err := s.Put(t.Context(), "a", []byte("2"), backend.IfMatch(v.ETag))
				if !errors.Is(err, backend.ErrAccessDenied) || errors.Is(err, backend.ErrOutcomeUnknown) {
					t.Errorf("put: %v", err)
				}
			})
		}
	})
}

// Credentials that may not ask for the versioning state work; on a bucket
// without versions, the first write sees it.
func TestVersioningUnasked(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		versioned, plain := server.NewBucket(t), server.NewPlainBucket(t)
		s := open(t, server, versioned, s3test.As(server.Restricted(t, versioned, s3test.Writing...)))
		write(t, s, "a", "1", backend.IfAbsent())

		s = open(t, server, plain, s3test.As(server.Restricted(t, plain, s3test.Writing...)))
		_, err := s.Put(t.Context(), "a", []byte("1"), backend.IfAbsent())
		var unsupported *backend.UnsupportedError
		if !errors.As(err, &unsupported) || unsupported.Clause != "S4" || !strings.Contains(unsupported.Remedy, "put-bucket-versioning") {
			t.Errorf("first write to a bucket without versions: %v", err)
		}
		if _, err := s.Get(t.Context(), "a"); !errors.Is(err, backend.ErrUnsupported) {
			t.Errorf("read of an object without a version ID: %v", err)
		}
	})
}

// The client that a store makes for itself does not follow redirects.
func TestRedirect(t *testing.T) {
	server := servers.Get(t, s3test.MinIO)
	bucket := server.NewBucket(t)
	proxy := s3test.NewProxy(t, server.Endpoint())
	s, err := s3store.Open(t.Context(), s3store.Config{
		Bucket: bucket, Region: s3test.Region, Endpoint: proxy.URL, PathStyle: true, Credentials: server.Root(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	proxy.Requests()
	proxy.Follow(func(r *http.Request) s3test.Fault {
		return func(_ *s3test.Proxy, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", proxy.URL+r.URL.Path)
			s3test.Answer(http.StatusTemporaryRedirect, "TemporaryRedirect", 0)(nil, w, r)
		}
	})
	if _, err := s.Put(t.Context(), "a", nil, backend.IfAbsent()); !errors.Is(err, backend.ErrUnavailable) {
		t.Errorf("put: %v", err)
	}
	if _, err := s.Get(t.Context(), "a"); err == nil || errors.Is(err, backend.ErrNotFound) {
		t.Errorf("get: %v", err)
	}
	if seen := proxy.Requests(); len(seen) != 2 {
		t.Errorf("%d requests, want 2", len(seen))
	}
}

func TestURLErrors(t *testing.T) {
	for storeURL, says := range map[string][]string{
		"s3://bucket?colour=red":                      {`unknown parameter "colour"`, "region", "endpoint", "kmskeyid", "use_path_style"},
		"s3://bucket?region=a&region=b":               {`"region" is given 2 times`},
		"s3://bucket?ssetype=rot13":                   {`unknown ssetype "rot13"`, "aws:kms"},
		"s3://bucket?ssetype=AES256&kmskeyid=k":       {"AES256 does not use a KMS key"},
		"s3://bucket?use_path_style=perhaps":          {`"use_path_style" is neither true nor false`},
		"s3://bucket/prefix/":                         {"path after the bucket"},
		"s3://?region=a":                              {"does not name a bucket"},
		"s3://key:secret@bucket?region=a&endpoint=b:": {"must not contain credentials"},
	} {
		_, err := backend.Open(t.Context(), storeURL)
		if !errors.Is(err, backend.ErrInvalidURL) {
			t.Errorf("%s: %v", storeURL, err)
			continue
		}
		for _, part := range says {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q does not say %q", storeURL, err, part)
			}
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error repeats a secret: %v", storeURL, err)
		}
	}
}

func TestFromBucketErrors(t *testing.T) {
	if _, err := s3store.FromBucket(t.Context(), memblob.OpenBucket(nil)); err == nil || !strings.Contains(err.Error(), "s3blob") {
		t.Errorf("a bucket in memory: %v", err)
	}
	client := s3.New(s3.Options{Region: s3test.Region, BaseEndpoint: aws.String("http://127.0.0.1:1")})
	b, err := s3blob.OpenBucket(t.Context(), client, "bucket", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s3store.FromBucket(t.Context(), blob.PrefixedBucket(b, "plant-7/")); err == nil || !strings.Contains(err.Error(), "prefix") {
		t.Errorf("a bucket restricted to a prefix: %v", err)
	}
}
