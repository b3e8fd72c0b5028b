package s3store_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/s3store"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
)

// allVersions collects a listing. It fails if that does not end.
func allVersions(t *testing.T, s backend.VersionedStore, name string, req backend.VersionsRequest) []backend.Version {
	t.Helper()
	var all []backend.Version
	for range 200 {
		page, err := s.ListVersions(t.Context(), name, req)
		if err != nil {
			t.Fatalf("list versions of %q: %v", name, err)
		}
		if req.Limit > 0 && len(page.Versions) > req.Limit {
			t.Fatalf("a page of %d, of %d at most", len(page.Versions), req.Limit)
		}
		all = append(all, page.Versions...)
		if req.Token = page.Next; req.Token == "" {
			return all
		}
	}
	t.Fatalf("the listing of %q does not end", name)
	return nil
}

// Delete markers stand where they were made, with names alike around, in pages
// of every size and after every version, though all was made in one second and
// servers list versions and markers apart.
func TestDeleteMarkers(t *testing.T) {
	histories := []string{"v", "vd", "vdv", "vddvd", "vvdvv"}
	if long() {
		histories = append(histories, "vv", "vvdvvdd", "vdvdvdvd", "vvvvddvvvvd")
	}
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		bucket := server.NewBucket(t)
		s, client := open(t, server, bucket), server.Client(t)
		put := func(name, body string) backend.Version {
			out, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &name, Body: strings.NewReader(body)})
			if err != nil {
				t.Fatal(err)
			}
			return backend.Version{ID: backend.VersionID(*out.VersionId), ETag: backend.ETag(*out.ETag)}
		}
		remove := func(name string) backend.Version {
			out, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &name})
			if err != nil {
				t.Fatal(err)
			}
			return backend.Version{ID: backend.VersionID(*out.VersionId), DeleteMarker: true}
		}
		put("dir/a", "before")
		put("dir/a.jso", "before")
		put("dir/a.json.bak", "after")
		put("dir/a.json0", "after")
		remove("dir/a.json0")
		for _, history := range histories {
			name := "dir/" + history + "/a.json"
			var want []backend.Version // newest first
			for i, c := range history {
				var v backend.Version
				if c == 'v' {
					v = put(name, fmt.Sprint(history, i))
				} else {
					v = remove(name)
				}
				if len(want) == 0 || v != want[0] { // MinIO does not delete what is deleted
					want = slices.Insert(want, 0, v)
				}
			}
			put(name+".bak", "a name that begins alike")
			for _, limit := range []int{0, 1, 2, 3, len(want), len(want) + 1} {
				got := allVersions(t, s, name, backend.VersionsRequest{Limit: limit})
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s by %d (want -, got +):\n%s", history, limit, diff)
				}
				for i, v := range want {
					got := allVersions(t, s, name, backend.VersionsRequest{After: v.ID, Limit: limit})
					if diff := cmp.Diff(want[i+1:], got); diff != "" && len(got)+len(want[i+1:]) > 0 {
						t.Errorf("%s after place %d by %d (want -, got +):\n%s", history, i, limit, diff)
					}
				}
			}
			_, err := s.Get(t.Context(), name)
			if deleted := strings.HasSuffix(history, "d"); deleted != errors.Is(err, backend.ErrNotFound) || !deleted && err != nil {
				t.Errorf("%s: get: %v", history, err)
			}
			for _, v := range want {
				if _, err := s.GetVersion(t.Context(), name, v.ID); v.DeleteMarker != errors.Is(err, backend.ErrNotFound) || !v.DeleteMarker && err != nil {
					t.Errorf("%s: get version, a delete marker %t: %v", history, v.DeleteMarker, err)
				}
			}
		}
	})
}

// A listing cannot continue after a version that the object does not have.
func TestAfterUnknownVersion(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		s := open(t, server, server.NewBucket(t))
		a := write(t, s, "a", "1", backend.IfAbsent())
		a = write(t, s, "a", "2", backend.IfMatch(a.ETag))
		b := write(t, s, "b", "1", backend.IfAbsent())
		other := a.ID[:len(a.ID)-1] + "0"
		if other == a.ID {
			other = a.ID[:len(a.ID)-1] + "1"
		}
		for _, after := range []backend.VersionID{b.ID, "garbage", other, "null"} {
			page, err := s.ListVersions(t.Context(), "a", backend.VersionsRequest{After: after})
			if err == nil && (len(page.Versions) > 0 || page.Next != "") {
				t.Errorf("after %q: %+v", after, page)
			}
		}
	})
}

// A listing whose pages lack a continuation token is an error, not cut short and
// not gone through for ever.
func TestListingWithoutMarkers(t *testing.T) {
	proxy, open := behindProxy(t, s3test.MinIO)
	s := open()
	v, err := s.Put(t.Context(), "a", []byte("1"), backend.IfAbsent())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.Put(t.Context(), "a", []byte("2"), backend.IfMatch(v.ETag)); err != nil {
		t.Fatal(err)
	}
	proxy.Follow(always(s3test.Edit(func(_ http.Header, body []byte) []byte {
		text := strings.ReplaceAll(string(body), "<IsTruncated>false", "<IsTruncated>true")
		return []byte(text)
	})))
	var unsupported *backend.UnsupportedError
	if _, err := s.ListVersions(t.Context(), "a", backend.VersionsRequest{}); !errors.As(err, &unsupported) || unsupported.Clause != "S10" {
		t.Errorf("versions: %v", err)
	}
	if _, err := s.ListNames(t.Context(), backend.NamesRequest{}); !errors.As(err, &unsupported) || unsupported.Clause != "S11" {
		t.Errorf("names: %v", err)
	}
}

// MinIO ends listings early that begin below a name with many alike before it.
func TestNamesBeginningBelow(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		s := open(t, server, server.NewBucket(t))
		var names []string
		for i := range 8 {
			names = append(names, fmt.Sprintf("keys/a-%02d.json", i), fmt.Sprintf("keys/a/%02d.json", i), fmt.Sprintf("keys/b%02d.json", i))
		}
		names = append(names, "keys/b00.json.old") // a prefix of it is itself a name
		for _, name := range names {
			write(t, s, name, "1", backend.IfAbsent())
		}
		slices.Sort(names)
		for _, prefix := range []string{"", "keys/", "keys/a", "keys/b00.json"} {
			for _, after := range []string{"", "keys/a/05", "keys/a/05.json", "keys/a/../x", "keys/..", "z", "keys/b05.json/x"} {
				for _, limit := range []int{1, 3, 0} {
					var want []string
					for _, name := range names {
						if strings.HasPrefix(name, prefix) && name > after {
							want = append(want, name)
						}
					}
					if got := allNames(t, s, backend.NamesRequest{Prefix: prefix, After: after, Limit: limit}); !slices.Equal(got, want) {
						t.Errorf("prefix %q after %q by %d: %d names %q, want %d", prefix, after, limit, len(got), got, len(want))
					}
				}
			}
		}
	})
}

func allNames(t *testing.T, s backend.VersionedStore, req backend.NamesRequest) []string {
	t.Helper()
	var all []string
	for range 200 {
		page, err := s.ListNames(t.Context(), req)
		if err != nil {
			t.Fatalf("list names: %v", err)
		}
		all = append(all, page.Names...)
		if req.Token = page.Next; req.Token == "" {
			return all
		}
	}
	t.Fatal("the listing of names does not end")
	return nil
}

// A listing of more names, and of more versions, than any server gives at once.
func TestManyPages(t *testing.T) {
	if !long() {
		t.Log("left out: it takes minutes; set IMMUKV_LONG=1")
		return
	}
	const n = 2500
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		s := open(t, server, server.NewBucket(t))
		var versions []backend.Version
		cond := backend.IfAbsent()
		for i := range n {
			v := write(t, s, "keys/a.json", fmt.Sprint(i), cond)
			versions = append(versions, v)
			cond = backend.IfMatch(v.ETag)
		}
		slices.Reverse(versions)
		if got := allVersions(t, s, "keys/a.json", backend.VersionsRequest{}); !slices.Equal(got, versions) {
			t.Errorf("%d versions listed of %d, or in another order", len(got), n)
		}
		names := []string{"keys/a.json"}
		for i := range n {
			name := fmt.Sprintf("keys/%04d.json", i)
			write(t, s, name, "1", backend.IfAbsent())
			names = append(names, name)
		}
		slices.Sort(names)
		if got := allNames(t, s, backend.NamesRequest{}); !slices.Equal(got, names) {
			t.Errorf("%d names listed of %d, or in another order", len(got), len(names))
		}
	})
}

// If a server that keeps names as paths takes a name for another, or cannot list it, the
// name is invalid for every method. A name that it can hold is listed as it was written.
func TestPathNames(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		bucket := server.NewBucket(t)
		s := open(t, server, bucket)
		for _, name := range []string{
			"/a", "a/", "a//b", "//", "/", ".", "..", "../a", "a/..", "a/../b", "./a", "a/.", "a/./b", " . ", `..\a`,
			"a\x00b", "a\x01b", "a\uffffb", strings.Repeat("n", 256), "a/" + strings.Repeat("é", 128), ".sgwtmp/a", "a__XLDIR__",
		} {
			for method, call := range calls(t.Context(), s, name) {
				if err := call(); !errors.Is(err, backend.ErrInvalidName) {
					t.Errorf("%s of %q: %v", method, name, err)
				}
			}
		}
		held := []string{"a b", "a+b", "a%2Fb", "a&b=c", "?versions", "#", `a\b`, "a\nb", "\r", "\t", "é", "e\u0301", "A", "a", "\U0001f600", "\ufeff",
			strings.Repeat("n", 227), strings.Repeat("d/", 500) + "x", "...", ".hidden", "a.", "~", "null"}
		for _, name := range held {
			v := write(t, s, name, name, backend.IfAbsent())
			write(t, s, name, "second", backend.IfMatch(v.ETag))
			if o, err := s.GetVersion(t.Context(), name, v.ID); err != nil || string(o.Body) != name {
				t.Errorf("%q: %q, %v", name, o.Body, err)
			}
		}
		slices.Sort(held)
		if got := allNames(t, s, backend.NamesRequest{}); !slices.Equal(got, held) {
			t.Errorf("listed are %q, want %q", got, held)
		}
	})
}

// calls are those of every method on an object.
func calls(ctx context.Context, s *s3store.Store, name string) map[string]func() error {
	return map[string]func() error{
		"get":           func() error { _, err := s.Get(ctx, name); return err },
		"get version":   func() error { _, err := s.GetVersion(ctx, name, "v"); return err },
		"head":          func() error { _, err := s.Head(ctx, name); return err },
		"put if absent": func() error { _, err := s.Put(ctx, name, nil, backend.IfAbsent()); return err },
		"put if match":  func() error { _, err := s.Put(ctx, name, nil, backend.IfMatch(`"tag"`)); return err },
		"list versions": func() error { _, err := s.ListVersions(ctx, name, backend.VersionsRequest{}); return err },
	}
}

// The name of a key object that could lie below another is invalid already for the lookup,
// before its entry can be in the log; an object that is there is read.
func TestBelowDocument(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		bucket := server.NewBucket(t)
		s := open(t, server, bucket)
		for method, call := range map[string]func() error{
			"head":          calls(t.Context(), s, "keys/a.json/b.json")["head"],
			"put if absent": calls(t.Context(), s, "keys/a.json/b.json")["put if absent"],
		} {
			if err := call(); !errors.Is(err, backend.ErrInvalidName) {
				t.Errorf("%s: %v", method, err)
			}
		}
		_, err := server.Client(t).PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("keys/a.json/b.json"), Body: strings.NewReader("1")})
		if err != nil {
			t.Fatal(err)
		}
		v, err := s.Head(t.Context(), "keys/a.json/b.json")
		if err != nil {
			t.Fatal(err)
		}
		write(t, s, "keys/a.json/b.json", "2", backend.IfMatch(v.ETag))
	})
}
