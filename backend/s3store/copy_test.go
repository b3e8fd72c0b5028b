package s3store_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/immukv/immukv-go/backend"
	_ "github.com/immukv/immukv-go/backend/blobstore"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
	"github.com/immukv/immukv-go/immukv"
)

func openFiles(t *testing.T) backend.VersionedStore {
	t.Helper()
	s, err := backend.Open(t.Context(), "file://"+filepath.ToSlash(filepath.Join(t.TempDir(), "store"))+"?create_dir=true")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// copyAll copies a log to another client's store, and fails unless both have the same head
// then, and the audit of the copy finds nothing.
func copyAll(t *testing.T, dst, src *immukv.Client[json.RawMessage], entries, copied int64) {
	t.Helper()
	r, err := immukv.Copy(t.Context(), dst, src)
	if err != nil || r.Copied != copied {
		t.Fatalf("%d entries: %+v, %v", copied, r, err)
	}
	newest, err := src.EntryAt(t.Context(), r.Head.Sequence)
	if err != nil || newest.Checkpoint() != r.Head {
		t.Fatalf("the copy ends with %v, and the source has %v, %v", r.Head, newest, err)
	}
	report, err := dst.Audit(t.Context(), immukv.TrustedHead(r.Head))
	if err != nil || report.Err() != nil || report.Entries != entries || len(report.Orphans) > 0 || report.Head() != r.Head {
		t.Fatalf("%+v, %v", report, err)
	}
}

// TestCopyThereAndBack copies a log from local files to a server, and from there to local
// files again: all three have the same head, and the audit finds nothing. The log begins
// with a store that the Python and the TypeScript client wrote, and continues in both
// dialects. It has 10,000 entries on MinIO, and 2,000 on other servers. The first 1,000
// have a version each; of the others, 50 share a version. With IMMUKV_FULL it has 10,000
// entries on every server, with a version each. That takes long on MinIO, which writes all
// versions of an object anew at each write.
func TestCopyThereAndBack(t *testing.T) {
	if !long() {
		t.Log("left out: it writes thousands of objects to each server; set IMMUKV_LONG=1")
		return
	}
	full := os.Getenv("IMMUKV_FULL") == "1"
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		entries, single := 2000, 1000
		if server.Software == s3test.MinIO || full {
			entries = 10_000
		}
		if full {
			single = entries
		}
		v, log, keys := readVector(t, "../../immukv/testdata/vectors/stores/mixed.json")
		files := openFiles(t)
		replay(t, files, v, log, keys)
		src := client(t, files, immukv.WithPrefix(v.Prefix))
		other := client(t, files, immukv.WithPrefix(v.Prefix), immukv.WithDialect(immukv.TypeScript))
		versions := len(log)
		for n := len(log); n < entries; versions++ {
			db, more := src, 1
			if versions%3 == 0 {
				db = other
			}
			if n >= single {
				more = min(50, entries-n)
			}
			writes := make([]immukv.Write[json.RawMessage], more)
			for i := range writes {
				writes[i] = immukv.Write[json.RawMessage]{Key: fmt.Sprintf("key-%d", n%500), Value: value(fmt.Sprint("value ", n))}
				n++
			}
			if _, err := db.SetAll(t.Context(), writes...); err != nil {
				t.Fatal(err)
			}
		}
		report, err := src.Audit(t.Context())
		if err != nil || report.Err() != nil || report.Entries != int64(entries) || len(report.Dialects) != 2 {
			t.Fatalf("%+v, %v", report, err)
		}
		there := client(t, open(t, server, server.NewBucket(t)), immukv.WithPrefix("copy/"))
		back := client(t, openFiles(t))
		start := time.Now()
		copyAll(t, there, src, int64(entries), int64(entries))
		t.Logf("%d entries in %d versions copied there and audited in %.0f s", entries, versions, time.Since(start).Seconds())
		start = time.Now()
		copyAll(t, back, there, int64(entries), int64(entries))
		t.Logf("and back in %.0f s", time.Since(start).Seconds())
	})
}

// TestOtherClientsGoOnWithACopy copies the beginning of each store that the other clients
// wrote, and has them continue the copy: what they wrote next, with the IDs and ETags that
// the copy has, is accepted, copied again, and accepted there.
func TestOtherClientsGoOnWithACopy(t *testing.T) {
	eachForeign(t, func(t *testing.T, server *s3test.Server, path string) {
		v, log, keys := readVector(t, path)
		files := openFiles(t)
		r := replayer{store: files, prefix: v.Prefix, keys: keys, tags: make(map[string]backend.ETag)}
		begun := (len(log) + 1) / 3
		if begun == 0 {
			t.Fatal("nothing is to be copied")
		}
		write := func(n int) {
			for ; n > 0; n-- {
				r.write(t, log[begun-n])
			}
		}
		write(begun)
		src := client(t, files, immukv.WithPrefix(v.Prefix))
		bucket := open(t, server, server.NewBucket(t))
		there := client(t, bucket, immukv.WithPrefix("copy/"))
		copyAll(t, there, src, int64(begun), int64(begun))

		// They continue at the server.
		more := (len(log) - begun) / 2
		r.goOn(t, bucket, "copy/", log)
		begun += more
		write(more)
		back := client(t, files, immukv.WithPrefix("back/"))
		copyAll(t, back, client(t, bucket, immukv.WithPrefix("copy/")), int64(begun), int64(begun))

		// And they continue the copy of the copy, in files, to their end, which may be an orphan.
		more = len(log) - begun
		r.goOn(t, files, "back/", log)
		begun += more
		write(more)
		next := client(t, files, immukv.WithPrefix("back/"))
		report, err := next.Audit(t.Context())
		if err != nil || report.Err() != nil || report.Entries != int64(begun) || (len(report.Orphans) > 0) != strings.Contains(path, "orphan") {
			t.Fatalf("%+v, %v", report, err)
		}
		if want := parse(t, log[len(log)-1].Body).Hash; string(report.HeadHash) != want {
			t.Errorf("the head is %s, and the others' %s", report.HeadHash, want)
		}
		// Our client continues after them, and the first copy is brought up to date.
		if _, err := next.Set(t.Context(), "ours", value("ours")); err != nil {
			t.Fatal(err)
		}
		copyAll(t, there, next, int64(begun+1), int64(more+1))
	})
}
