package s3store_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/s3store"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
)

const versioningEnabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"

// answered opens a store on a server of which all answers but the one to the
// opening are those of a test.
func answered(t *testing.T, answer http.HandlerFunc) *s3store.Store {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("versioning") {
			io.WriteString(w, versioningEnabled)
			return
		}
		io.Copy(io.Discard, r.Body)
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	client := s3.New(s3.Options{
		Region:                     s3test.Region,
		BaseEndpoint:               aws.String(server.URL),
		UsePathStyle:               true,
		Credentials:                credentials.NewStaticCredentialsProvider("user", "secret", ""),
		HTTPClient:                 server.Client(),
		Retryer:                    aws.NopRetryer{},
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})
	s, err := s3store.New(t.Context(), client, "bucket")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// An answer that is no listing is not one of nothing.
func TestListingThatIsNone(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":      "",
		"an error":     "<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>",
		"a login page": "<html><body><h1>Welcome to the hotel</h1></body></html>",
	} {
		s := answered(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })
		if page, err := s.ListVersions(t.Context(), "a", backend.VersionsRequest{}); err == nil || len(kinds(err)) > 0 {
			t.Errorf("%s: versions %v, %v", name, page, err)
		}
		if page, err := s.ListNames(t.Context(), backend.NamesRequest{}); err == nil || len(kinds(err)) > 0 {
			t.Errorf("%s: names %v, %v", name, page, err)
		}
	}
}

func refuse(status int, header http.Header, code, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, message)
	}
}

// The wait is told in seconds or as a date, by the server's clock.
func TestRetryAfter(t *testing.T) {
	now := time.Date(2001, 9, 9, 1, 46, 40, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                        0,
		"7":                       7 * time.Second,
		"0":                       0,
		"-7":                      0,
		"soon":                    0,
		"7200":                    time.Hour,
		"9999999999":              time.Hour,
		"99999999999999999999999": time.Hour,
		now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
		now.Add(-time.Hour).Format(http.TimeFormat):       0,
		now.Add(240 * time.Hour).Format(http.TimeFormat):  time.Hour,
	} {
		s := answered(t, refuse(http.StatusServiceUnavailable,
			http.Header{"Retry-After": {value}, "Date": {now.Format(http.TimeFormat)}}, "SlowDown", "Reduce your request rate."))
		_, err := s.Put(t.Context(), "a", nil, backend.IfAbsent())
		if got := backend.RetryAfter(err); got != want || !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("Retry-After %q: %v, want %v (%v)", value, got, want, err)
		}
	}
}

// A code and message of S3 count by themselves; those that the SDK makes up, of
// an answer without a code, do not.
func TestCodes(t *testing.T) {
	for _, c := range []struct {
		status        int
		code, message string
		get, put      error
	}{
		{404, "NoSuchKey", "Not Found", backend.ErrNotFound, backend.ErrAccessDenied},
		{404, "NoSuchKey", "", backend.ErrNotFound, backend.ErrAccessDenied},
		{404, "", "Not Found", nil, backend.ErrOutcomeUnknown},
		{408, "", "it took too long", nil, backend.ErrOutcomeUnknown},
		{503, "SlowDown", "", backend.ErrUnavailable, backend.ErrUnavailable},
		{503, "", "no backend is up", backend.ErrUnavailable, backend.ErrOutcomeUnknown},
		{429, "TooManyRequests", "Reduce your rate of simultaneous requests", backend.ErrUnavailable, backend.ErrUnavailable},
		{429, "SlowDown", "Please reduce your request rate.", backend.ErrUnavailable, backend.ErrUnavailable},
		{429, "", "", backend.ErrUnavailable, backend.ErrOutcomeUnknown},
	} {
		s := answered(t, refuse(c.status, nil, c.code, c.message))
		_, err := s.Get(t.Context(), "a")
		if got := kinds(err); err == nil || c.get == nil && len(got) > 0 || c.get != nil && (len(got) != 1 || got[0] != c.get) {
			t.Errorf("%d %s %q: get %v is of the kinds %v, want %v", c.status, c.code, c.message, err, got, c.get)
		}
		_, err = s.Put(t.Context(), "a", nil, backend.IfAbsent())
		if got := kinds(err); len(got) != 1 || got[0] != c.put {
			t.Errorf("%d %s %q: put %v is of the kinds %v, want %v", c.status, c.code, c.message, err, got, c.put)
		}
	}
}

// A body that ends with its connection may have ended too early (S6).
func TestBodyWithoutLength(t *testing.T) {
	s := answered(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		buf.WriteString("HTTP/1.1 200 OK\r\nETag: \"tag\"\r\nX-Amz-Version-Id: v\r\n\r\nthe first half, and th")
		buf.Flush()
	})
	if o, err := s.Get(t.Context(), "a"); err == nil {
		t.Errorf("got %q", o.Body)
	}
}

// A clock that is wrong is corrected after the first request that is denied for it.
func TestSkewedClock(t *testing.T) {
	var dates []string
	s := answered(t, func(w http.ResponseWriter, r *http.Request) {
		dates = append(dates, r.Header.Get("X-Amz-Date"))
		refuse(http.StatusForbidden, http.Header{"Date": {"Sun, 09 Sep 2001 01:46:40 GMT"}}, "RequestTimeTooSkewed", "too large")(w, r)
	})
	for range 2 {
		if _, err := s.Put(t.Context(), "a", nil, backend.IfAbsent()); !errors.Is(err, backend.ErrUnavailable) {
			t.Error(err)
		}
	}
	if len(dates) != 2 || dates[1][:8] != "20010909" {
		t.Errorf("dates %q", dates)
	}
}

// AWS rents out machines, under its own names, on which other servers run.
func TestHostsOfAWS(t *testing.T) {
	for _, c := range []struct {
		host, server string
		paths        bool
	}{
		{"s3.eu-central-1.amazonaws.com", "AmazonS3", false},
		{"bucket.s3.cn-north-1.amazonaws.com.cn", "AmazonS3", false},
		{"s3.example.com", "AmazonS3", true},
		{"ec2-1-2-3-4.eu-central-1.compute.amazonaws.com:9000", "MinIO", true},
		{"s3-gateway-12.elb.eu-central-1.amazonaws.com", "nginx", true},
		{"s3-gateway-12.elb.eu-central-1.amazonaws.com", "", true},
	} {
		client := s3.New(s3.Options{
			Region: s3test.Region, BaseEndpoint: aws.String("http://" + c.host), UsePathStyle: true, Credentials: aws.AnonymousCredentials{},
			HTTPClient: doer(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Server": {c.server}}, Request: r,
					Body: io.NopCloser(strings.NewReader(versioningEnabled))}, nil
			}),
		})
		s, err := s3store.New(t.Context(), client, "bucket")
		if err != nil {
			t.Fatal(err)
		}
		if s.Refuses("a//b") != c.paths {
			t.Errorf("%s, which says that it is %q: it is taken to keep names as paths: %v", c.host, c.server, !c.paths)
		}
	}
}

// A server that would rather speak HTTP/2 is spoken to in HTTP/1.1.
func TestHTTP1(t *testing.T) {
	var spoken []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		spoken = append(spoken, r.Proto)
		io.WriteString(w, versioningEnabled)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	withoutAWSConfig(t)
	useCA(t, server.Certificate())
	for range 2 {
		s, err := s3store.Open(t.Context(), s3store.Config{Bucket: "bucket", Region: s3test.Region, Endpoint: server.URL, PathStyle: true,
			Credentials: credentials.NewStaticCredentialsProvider("user", "secret", "")})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	for _, proto := range spoken {
		if proto != "HTTP/1.1" {
			t.Errorf("spoken: %s", spoken)
		}
	}
}

// withoutAWSConfig keeps the settings of whoever runs the test out of it.
func withoutAWSConfig(t *testing.T) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
}

func useCA(t *testing.T, cert *x509.Certificate) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CA_BUNDLE", file)
}

// What stands behind a # is no parameter, and might have been meant as one.
func TestURLFragment(t *testing.T) {
	_, err := backend.Open(t.Context(), "s3://bucket?region=r#&kmskeyid=key")
	if !errors.Is(err, backend.ErrInvalidURL) {
		t.Error(err)
	}
}

// Each of the two parameters of checksums leaves the other as it would be.
func TestChecksumParameters(t *testing.T) {
	var put http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			put = r.Header
		}
		io.WriteString(w, versioningEnabled)
	}))
	t.Cleanup(server.Close)
	withoutAWSConfig(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "user")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	for params, want := range map[string]bool{
		"": false,
		"&request_checksum_calculation=when_supported": true,
		"&response_checksum_validation=when_supported": false,
	} {
		s, err := backend.Open(t.Context(), "s3://bucket?region=r&use_path_style=true&endpoint="+server.URL+params)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put(t.Context(), "a", []byte("1"), backend.IfAbsent()); !errors.Is(err, backend.ErrUnsupported) {
			t.Error(err)
		}
		s.Close()
		if got := put.Get("X-Amz-Checksum-Crc32") != ""; got != want {
			t.Errorf("%q: a checksum is sent: %v", params, got)
		}
	}
}

// That credentials are rejected says nothing of the bucket.
func TestCredentialsRefused(t *testing.T) {
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			requests++
			return
		}
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized to assume the role</Message></Error></ErrorResponse>")
	}))
	t.Cleanup(server.Close)
	role := stscreds.NewAssumeRoleProvider(sts.New(sts.Options{
		Region: s3test.Region, BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("user", "secret", ""),
	}), "arn:aws:iam::000000000000:role/any")
	client := s3.New(s3.Options{Region: s3test.Region, BaseEndpoint: &server.URL, UsePathStyle: true, Credentials: role})
	_, err := s3store.New(t.Context(), client, "bucket")
	if err == nil || len(kinds(err)) > 0 || strings.Contains(err.Error(), "the credentials lack") || requests > 0 {
		t.Errorf("%d requests, %v", requests, err)
	}
}

// AWS takes any name, and gets it as it is.
func TestNamesOnTheWire(t *testing.T) {
	for _, pathStyle := range []bool{true, false} {
		var path, prefix string
		client := s3.New(s3.Options{
			Region: s3test.Region, UsePathStyle: pathStyle, Credentials: aws.AnonymousCredentials{},
			HTTPClient: doer(func(r *http.Request) (*http.Response, error) {
				path, prefix = r.URL.EscapedPath(), r.URL.Query().Get("prefix")
				return &http.Response{StatusCode: http.StatusOK, Request: r, Body: io.NopCloser(strings.NewReader(versioningEnabled)),
					Header: http.Header{"Server": {"AmazonS3"}, "Etag": {`"tag"`}, "X-Amz-Version-Id": {"v"}}}, nil
			}),
		})
		s, err := s3store.New(t.Context(), client, "bucket")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "/a", "a//b", "a/", "a/../b", "../a", "./a", ".", "..", "/", "a b", " ", "a+b", "a%20b", "a%2Fb",
			"a&b=c", "a?versionId=v", "a#b", "u\u0308/\u00fc", "\x01", "a\nb", "~!*'()", `\a`} {
			if _, err := s.Put(t.Context(), name, nil, backend.IfAbsent()); err != nil {
				t.Errorf("%q: %v", name, err)
			}
			got, err := url.PathUnescape(path)
			if pathStyle {
				got = strings.TrimPrefix(got, "/bucket")
			}
			if err != nil || got != "/"+name {
				t.Errorf("%q goes as %q", name, path)
			}
			_, err = s.ListVersions(t.Context(), name, backend.VersionsRequest{})
			if err == nil || prefix != name { // the answer being none
				t.Errorf("%q is listed as %q, %v", name, prefix, err)
			}
		}
	}
}
