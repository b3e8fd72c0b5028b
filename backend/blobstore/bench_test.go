package blobstore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/blobstore"
)

// benchBody is as large as an entry of a log with a small value.
var benchBody = []byte(strings.Repeat("x", 400))

// versionCounts are how many versions an object has when it is measured.
var versionCounts = []int{100, 10_000, 100_000}

// BenchmarkPut compares writing a version with its bare cost: a file written,
// synced and renamed, its directory synced. They take turns, because disks have
// moods; "x-bare" is the ratio.
func BenchmarkPut(b *testing.B) {
	for _, versions := range versionCounts {
		b.Run(fmt.Sprint(versions), func(b *testing.B) {
			s, _ := openWithVersions(b, "o", versions)
			bare := newBareWriter(b)
			head, err := s.Head(b.Context(), "o")
			if err != nil {
				b.Fatal(err)
			}
			var put, base []time.Duration
			for b.Loop() {
				start := time.Now()
				bare.write(b)
				between := time.Now()
				if head, err = s.Put(b.Context(), "o", benchBody, backend.IfMatch(head.ETag)); err != nil {
					b.Fatal(err)
				}
				base = append(base, between.Sub(start))
				put = append(put, time.Since(between))
			}
			report(b, put, base)
		})
	}
}

// BenchmarkGet compares reading the newest version with one os.ReadFile of its
// file.
func BenchmarkGet(b *testing.B) {
	for _, versions := range versionCounts {
		b.Run(fmt.Sprint(versions), func(b *testing.B) {
			s, dir := openWithVersions(b, "o", versions)
			file := filepath.Join(dir, "o!", fmt.Sprintf("%016d.v%d", int64(1e16)-1-int64(versions), versions))
			var get, base []time.Duration
			for b.Loop() {
				start := time.Now()
				if _, err := os.ReadFile(file); err != nil {
					b.Fatal(err)
				}
				between := time.Now()
				if _, err := s.Get(b.Context(), "o"); err != nil {
					b.Fatal(err)
				}
				base = append(base, between.Sub(start))
				get = append(get, time.Since(between))
			}
			report(b, get, base)
		})
	}
}

// report gives medians: the mean is that of the machine's other work.
func report(b *testing.B, took, base []time.Duration) {
	b.Helper()
	b.ReportMetric(float64(median(took).Nanoseconds()), "ns/op")
	b.ReportMetric(float64(median(base).Nanoseconds()), "bare-ns/op")
	b.ReportMetric(float64(median(took))/float64(median(base)), "x-bare")
}

func median(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)/2]
}

// TestCostOfVersions: how many versions there are makes no difference. Reading a
// directory of so many takes fifty times as long as reading one of them.
func TestCostOfVersions(t *testing.T) {
	few, _ := openWithVersions(t, "o", 10)
	many, _ := openWithVersions(t, "o", 2000)
	calls := map[string]func(s *blobstore.Store) error{
		"get":  func(s *blobstore.Store) error { _, err := s.Get(t.Context(), "o"); return err },
		"head": func(s *blobstore.Store) error { _, err := s.Head(t.Context(), "o"); return err },
		"list versions": func(s *blobstore.Store) error {
			_, err := s.ListVersions(t.Context(), "o", backend.VersionsRequest{Limit: 5})
			return err
		},
		"put": func(s *blobstore.Store) error { // refused, for a disk takes its time
			_, err := s.Put(t.Context(), "o", nil, backend.IfAbsent())
			if errors.Is(err, backend.ErrPreconditionFailed) {
				return nil
			}
			return fmt.Errorf("created what was there: %w", err)
		},
	}
	for name, call := range calls {
		var took [2][]time.Duration
		for range 100 {
			for i, s := range []*blobstore.Store{few, many} {
				start := time.Now()
				if err := call(s); err != nil {
					t.Fatal(err)
				}
				took[i] = append(took[i], time.Since(start))
			}
		}
		if few, many := median(took[0]), median(took[1]); many > 5*few {
			t.Errorf("%s takes %v with 10 versions and %v with 2000", name, few, many)
		}
	}
}

// openWithVersions returns a store with one object of so many versions. All but
// the last two are written as files, since syncing each takes its time.
func openWithVersions(b testing.TB, name string, versions int) (*blobstore.Store, string) {
	b.Helper()
	dir := b.TempDir()
	s, err := blobstore.OpenDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	object := filepath.Join(dir, name+"!")
	if err := os.Mkdir(object, 0o777); err != nil {
		b.Fatal(err)
	}
	for n := 1; n <= versions-2; n++ {
		path := filepath.Join(object, fmt.Sprintf("%016d.v%d", int64(1e16)-1-int64(n), n))
		if err := os.WriteFile(path, benchBody, 0o666); err != nil {
			b.Fatal(err)
		}
	}
	for n := versions - 2; n < versions; n++ {
		if _, err := s.Put(b.Context(), name, benchBody, backend.IfMatch(backend.ETag(fmt.Sprint("e", n)))); err != nil {
			b.Fatal(err)
		}
	}
	return s, dir
}

// bareWriter writes files as durably as can be done with the fewest calls.
type bareWriter struct {
	path string
	dir  *os.File
	n    int
}

func newBareWriter(b *testing.B) *bareWriter {
	b.Helper()
	path := b.TempDir()
	dir, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { dir.Close() })
	return &bareWriter{path: path, dir: dir}
}

func (w *bareWriter) write(b *testing.B) {
	b.Helper()
	w.n++
	name := filepath.Join(w.path, fmt.Sprint(w.n))
	f, err := os.Create(name + ".tmp")
	if err != nil {
		b.Fatal(err)
	}
	_, err = f.Write(benchBody)
	for _, step := range []func() error{
		f.Sync, f.Close,
		func() error { return os.Rename(name+".tmp", name) },
		w.dir.Sync,
	} {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		b.Fatal(err)
	}
}
