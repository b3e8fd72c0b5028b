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
// synced and renamed, its directory synced. One operation is a write to each of
// three stores and a bare one; the stores are
// measured alternately, because the speed of a disk varies.
func BenchmarkPut(b *testing.B) {
	bare := newBareWriter(b)
	var calls []call
	for _, versions := range versionCounts {
		s, _ := openWithVersions(b, "o", versions)
		cond := backend.IfMatch(backend.ETag(fmt.Sprint("e", versions)))
		calls = append(calls, call{size: versions, do: func() error {
			v, err := s.Put(b.Context(), "o", benchBody, cond)
			cond = backend.IfMatch(v.ETag)
			return err
		}})
	}
	compare(b, func() error { return bare.write(benchBody) }, calls)
}

// BenchmarkGet compares reading the newest version with one os.ReadFile of its
// file.
func BenchmarkGet(b *testing.B) {
	var calls []call
	var file string
	for _, versions := range versionCounts {
		s, dir := openWithVersions(b, "o", versions)
		file = versionFile(filepath.Join(dir, "o!"), versions)
		calls = append(calls, call{size: versions, do: func() error { _, err := s.Get(b.Context(), "o"); return err }})
	}
	compare(b, func() error { _, err := os.ReadFile(file); return err }, calls)
}

// call is one of several that are compared: the same one, on stores of different
// sizes.
type call struct {
	size  int
	parts int // that what it took is to be divided by, if there are any
	do    func() error
}

// compare makes the calls alternately, the bare one first if there is one, and
// reports the ratios of their medians: of each to the bare one, and of the last to
// the first, as "growth". A mean would be that of the machine's other work.
func compare(b *testing.B, bare func() error, calls []call) {
	b.Helper()
	var tookBare []time.Duration
	took := make([][]time.Duration, len(calls))
	timed := func(do func() error) time.Duration {
		start := time.Now()
		if err := do(); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	for b.Loop() {
		if bare != nil {
			tookBare = append(tookBare, timed(bare))
		}
		for i, c := range calls {
			took[i] = append(took[i], timed(c.do)/time.Duration(max(c.parts, 1)))
		}
	}
	b.ReportMetric(0, "ns/op") // of all of them
	smallest, largest := median(took[0]), median(took[len(took)-1])
	b.ReportMetric(float64(largest)/float64(smallest), "growth")
	b.ReportMetric(float64(smallest.Nanoseconds()), fmt.Sprintf("ns-%d", calls[0].size))
	if bare == nil {
		return
	}
	b.ReportMetric(float64(median(tookBare).Nanoseconds()), "ns-bare")
	for i, c := range calls {
		b.ReportMetric(float64(median(took[i]))/float64(median(tookBare)), fmt.Sprintf("x-bare-%d", c.size))
	}
}

func median(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)/2]
}

// versionFile is the file of a version in an object's directory.
func versionFile(object string, n int) string {
	return filepath.Join(object, fmt.Sprintf("%016d.v%d", int64(1e16)-1-int64(n), n))
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
		"put": func(s *blobstore.Store) error { // its condition fails: a write to the disk would take longer
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
		if err := os.WriteFile(versionFile(object, n), benchBody, 0o666); err != nil {
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

func (w *bareWriter) write(body []byte) error {
	w.n++
	name := filepath.Join(w.path, fmt.Sprint(w.n))
	f, err := os.Create(name + ".tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	for _, step := range []func() error{
		f.Sync, f.Close,
		func() error { return os.Rename(name+".tmp", name) },
		w.dir.Sync,
	} {
		if err == nil {
			err = step()
		}
	}
	return err
}
