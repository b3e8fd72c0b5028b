package s3store_test

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
)

// An answer made of two versions, as VersityGW gives when one is written while
// the other is read, is asked for again.
func TestTornRead(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(header http.Header, body []byte) []byte
	}{
		{"another version's body", func(_ http.Header, body []byte) []byte { return bytes.ToUpper(body) }},
		{"another version's ETag", func(header http.Header, body []byte) []byte {
			header.Set("ETag", `"0123456789abcdef0123456789abcdef"`)
			return body
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			proxy, open := behindProxy(t, s3test.MinIO)
			s := open()
			v, err := s.Put(t.Context(), "a", []byte("body"), backend.IfAbsent())
			if err != nil {
				t.Fatal(err)
			}
			torn := 0
			proxy.Follow(func(*http.Request) s3test.Fault {
				if torn++; torn == 1 {
					return s3test.Edit(c.edit)
				}
				return nil
			})
			o, err := s.Get(t.Context(), "a")
			if err != nil || o.Version != v || string(o.Body) != "body" {
				t.Errorf("read %+v, %v", o, err)
			}
			if torn != 2 {
				t.Errorf("%d requests, want 2", torn)
			}
		})
	}
}

// An ETag that has the form of a digest and is none, as under KMS encryption, is
// an ETag like any other; and once that is known, a read is one request again.
func TestOpaqueTags(t *testing.T) {
	proxy, open := behindProxy(t, s3test.MinIO)
	s := open()
	if _, err := s.Put(t.Context(), "a", []byte("body"), backend.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	const opaque = `"0123456789abcdef0123456789abcdef"`
	proxy.Follow(always(s3test.Edit(func(header http.Header, body []byte) []byte {
		header.Set("ETag", opaque)
		return body
	})))
	for _, requests := range []int{2, 1, 1} {
		proxy.Requests()
		if o, err := s.Get(t.Context(), "a"); err != nil || o.ETag != opaque || string(o.Body) != "body" {
			t.Errorf("read %+v, %v", o, err)
		}
		if got := len(proxy.Requests()); got != requests {
			t.Errorf("%d requests, want %d", got, requests)
		}
	}
}

// An answer that names no version, or another than was asked for, is refused.
func TestImproperVersions(t *testing.T) {
	proxy, open := behindProxy(t, s3test.MinIO)
	s := open()
	v, err := s.Put(t.Context(), "a", []byte("body"), backend.IfAbsent())
	if err != nil {
		t.Fatal(err)
	}
	for problem, edit := range map[string]func(http.Header){
		"no version ID":   func(h http.Header) { h.Del("X-Amz-Version-Id") },
		"the placeholder": func(h http.Header) { h.Set("X-Amz-Version-Id", "null") },
		"no ETag":         func(h http.Header) { h.Del("ETag") },
		"the current version, asked for an old one": func(h http.Header) { h.Set("X-Amz-Version-Id", "current") },
	} {
		proxy.Follow(always(s3test.Edit(func(header http.Header, body []byte) []byte { edit(header); return body })))
		var unsupported *backend.UnsupportedError
		if _, err := s.GetVersion(t.Context(), "a", v.ID); !errors.As(err, &unsupported) || unsupported.Clause != "S8" {
			t.Errorf("%s: get version: %v", problem, err)
		}
		if strings.Contains(problem, "old") {
			continue
		}
		if _, err := s.Head(t.Context(), "a"); !errors.As(err, &unsupported) || unsupported.Clause != "S8" {
			t.Errorf("%s: head: %v", problem, err)
		}
		if _, err := s.Put(t.Context(), problem, []byte("1"), backend.IfAbsent()); !errors.As(err, &unsupported) || unsupported.Clause != "S4" {
			t.Errorf("%s: put: %v", problem, err)
		}
	}
}

// A body larger than a store returns is refused before it is read.
func TestTooLargeToRead(t *testing.T) {
	proxy, open := behindProxy(t, s3test.MinIO)
	s := open()
	if _, err := s.Put(t.Context(), "a", []byte("body"), backend.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	proxy.Follow(always(func(_ *s3test.Proxy, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amz-Version-Id", "v")
		w.Header().Set("ETag", `"tag"`)
		w.Header().Set("Content-Length", "68719476736") // of which nothing is sent
	}))
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, backend.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
}

// Objects without content have a head like others.
func TestHeadOfEmpty(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		s := open(t, server, server.NewBucket(t))
		v := write(t, s, "a", "", backend.IfAbsent())
		if got, err := s.Head(t.Context(), "a"); err != nil || got != v {
			t.Errorf("head %+v, %v, want %+v", got, err, v)
		}
		v = write(t, s, "a", "no longer", backend.IfMatch(v.ETag))
		if got, err := s.Head(t.Context(), "a"); err != nil || got != v {
			t.Errorf("head %+v, %v, want %+v", got, err, v)
		}
	})
}
