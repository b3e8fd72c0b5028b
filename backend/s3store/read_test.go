package s3store_test

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
)

// An answer made of two versions, as VersityGW gives when one is written while
// the other is read, is asked for again.
func TestTornRead(t *testing.T) {
	for _, c := range []struct {
		name     string
		edit     func(header http.Header, body []byte) []byte
		requests map[string]int
	}{
		{"whole", func(_ http.Header, body []byte) []byte { return body }, map[string]int{"get": 1, "get version": 2}},
		{"another version's body", func(_ http.Header, body []byte) []byte { return bytes.ToUpper(body) }, map[string]int{"get": 3, "get version": 4}},
		{"another version's ETag", func(header http.Header, body []byte) []byte {
			header.Set("ETag", `"0123456789abcdef0123456789abcdef"`)
			return body
		}, map[string]int{"get": 3, "get version": 4}},
		{"all of another version", func(header http.Header, body []byte) []byte {
			header.Set("ETag", `"4f5a4aa9d0c96d2bd5f0a1b5a1b1e9c3"`)
			return bytes.ToUpper(body)
		}, map[string]int{"get": 3, "get version": 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			proxy, open := behindProxy(t, s3test.VersityGW)
			s := open()
			v, err := s.Put(t.Context(), "a", []byte("body"), backend.IfAbsent())
			if err != nil {
				t.Fatal(err)
			}
			for method, read := range map[string]func() (backend.Object, error){
				"get":         func() (backend.Object, error) { return s.Get(t.Context(), "a") },
				"get version": func() (backend.Object, error) { return s.GetVersion(t.Context(), "a", v.ID) },
			} {
				requests := 0
				proxy.Follow(func(*http.Request) s3test.Fault {
					if requests++; requests == 1 {
						return s3test.Edit(c.edit)
					}
					return nil
				})
				o, err := read()
				if err != nil || o.Version != v || string(o.Body) != "body" {
					t.Errorf("%s: read %+v, %v", method, o, err)
				}
				if requests != c.requests[method] {
					t.Errorf("%s: %d requests, want %d", method, requests, c.requests[method])
				}
			}
		})
	}
}

// A version read from VersityGW while others are written is the one asked for.
func TestReadWhileWritten(t *testing.T) {
	if !long() {
		t.Log("left out: it takes thousands of reads to meet what TestTornRead plays; set IMMUKV_LONG=1")
		return
	}
	const writes = 2000
	server := servers.Get(t, s3test.VersityGW)
	bucket := server.NewBucket(t)
	writer, reader := open(t, server, bucket), open(t, server, bucket, s3test.At(server.Endpoints()[1]))

	wrote := map[backend.VersionID]string{}
	var written sync.WaitGroup
	first := write(t, writer, "a", "first", backend.IfAbsent())
	wrote[first.ID] = "first"
	done := make(chan struct{})
	written.Go(func() {
		defer close(done)
		cond := backend.IfMatch(first.ETag)
		for i := range writes {
			body := strings.Repeat("x", i%50) + strconv.Itoa(i)
			v, err := writer.Put(t.Context(), "a", []byte(body), cond)
			if err != nil {
				t.Errorf("write %d: %v", i, err)
				return
			}
			wrote[v.ID], cond = body, backend.IfMatch(v.ETag)
		}
	})
	read := map[string]map[backend.VersionID]string{"get": {}, "get version": {}}
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		o, err := reader.Get(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		read["get"][o.ID] = string(o.Body)
		if o, err = reader.GetVersion(t.Context(), "a", o.ID); err != nil {
			t.Fatal(err)
		}
		read["get version"][o.ID] = string(o.Body)
	}
	written.Wait()
	for method, bodies := range read {
		for id, body := range bodies {
			if body != wrote[id] {
				t.Errorf("%s: version %s read as %q, written as %q", method, id, body, wrote[id])
			}
		}
	}
}

// An answer that names no version, or another than was asked for, is an error.
func TestImproperVersions(t *testing.T) {
	proxy, open := behindProxy(t, s3test.MinIO)
	s := open()
	v, err := s.Put(t.Context(), "a", []byte("body"), backend.IfAbsent())
	if err != nil {
		t.Fatal(err)
	}
	answering := func(edit func(http.Header)) s3test.Plan {
		return always(s3test.Edit(func(header http.Header, body []byte) []byte { edit(header); return body }))
	}
	var unsupported *backend.UnsupportedError
	for problem, edit := range map[string]func(http.Header){
		"no version ID":   func(h http.Header) { h.Del("X-Amz-Version-Id") },
		"the placeholder": func(h http.Header) { h.Set("X-Amz-Version-Id", "null") },
		"no ETag":         func(h http.Header) { h.Del("ETag") },
	} {
		proxy.Follow(answering(edit))
		if _, err := s.GetVersion(t.Context(), "a", v.ID); !errors.As(err, &unsupported) || unsupported.Clause != "S8" {
			t.Errorf("%s: get version: %v", problem, err)
		}
		if _, err := s.Head(t.Context(), "a"); !errors.As(err, &unsupported) || unsupported.Clause != "S8" {
			t.Errorf("%s: head: %v", problem, err)
		}
		if _, err := s.Put(t.Context(), problem, []byte("1"), backend.IfAbsent()); !errors.As(err, &unsupported) || unsupported.Clause != "S4" {
			t.Errorf("%s: put: %v", problem, err)
		}
	}
	proxy.Follow(answering(func(h http.Header) { h.Set("X-Amz-Version-Id", "current") }))
	if _, err := s.GetVersion(t.Context(), "a", v.ID); !errors.As(err, &unsupported) || unsupported.Clause != "S8" {
		t.Errorf("the current version instead of the one asked for: %v", err)
	}
}

// A body larger than a store returns is an error before it is read.
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
