package s3store_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/immukv/immukv-go/backend"
	_ "github.com/immukv/immukv-go/backend/blobstore"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
	"github.com/immukv/immukv-go/immukv"
)

// TestCopyThereAndBack copies a log of 1,000 entries, of both dialects, one and several to
// a version, from local files to a server, and from there to local files again: all three
// have the same head, and the audit finds nothing.
func TestCopyThereAndBack(t *testing.T) {
	if !long() {
		t.Log("left out: it writes thousands of objects to each server; set IMMUKV_LONG=1")
		return
	}
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		files := func(name string) backend.Store {
			s, err := backend.Open(t.Context(), "file://"+filepath.ToSlash(filepath.Join(t.TempDir(), name))+"?create_dir=true")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return s
		}
		src, back := client(t, files("src")), client(t, files("back"))
		other := client(t, src.Store(), immukv.WithDialect(immukv.TypeScript))
		const entries, single = 1000, 200
		for n := 0; n < entries; {
			db := src
			if n%3 == 0 {
				db = other
			}
			writes := []immukv.Write[json.RawMessage]{}
			for range min(max(1, n/single*50), 50, entries-n) {
				writes = append(writes, immukv.Write[json.RawMessage]{Key: fmt.Sprintf("key-%d", n%500), Value: value(fmt.Sprint("value ", n))})
				n++
			}
			if _, err := db.SetAll(t.Context(), writes...); err != nil {
				t.Fatal(err)
			}
		}
		there := client(t, open(t, server, server.NewBucket(t)), immukv.WithPrefix("copy/"))
		for _, c := range []struct {
			name     string
			dst, src *immukv.Client[json.RawMessage]
		}{{"there", there, src}, {"back", back, there}} {
			r, err := immukv.Copy(t.Context(), c.dst, c.src)
			if err != nil || r.Copied != entries {
				t.Fatalf("%s: %+v, %v", c.name, r, err)
			}
			for _, db := range []*immukv.Client[json.RawMessage]{c.src, c.dst} {
				report, err := db.Audit(t.Context(), immukv.TrustedHead(r.Head))
				if err != nil || report.Err() != nil || report.Entries != entries || len(report.Dialects) != 2 {
					t.Fatalf("%s: %+v, %v", c.name, report, err)
				}
			}
		}
	})
}
