package tlog_test

import (
	"context"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	tclient "github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// hashBundle is how fsck learns of the leaves of a bundle.
func hashBundle(bundle []byte) ([][]byte, error) {
	var b api.EntryBundle
	if err := b.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	var hashes [][]byte
	for _, e := range b.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(e))
	}
	return hashes, nil
}

func runFsck(ctx context.Context, k keys, f fsck.Fetcher) error {
	return fsck.New(origin, k.policy.Log, f, hashBundle, fsck.Opts{N: 2}).Check(ctx)
}

// TestJudgedByTessera has the tools of another project check the log at every size:
// fsck on the exported folder and over HTTP, and a client that follows the log from
// checkpoint to checkpoint.
func TestJudgedByTessera(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	store := memstore.New()
	db := open(t, store, immukv.WithPrefix("plant-7/"))
	server := httptest.NewServer(tlog.Handler(db))
	defer server.Close()
	base, err := url.Parse(server.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	overHTTP, err := tclient.NewHTTPFetcher(base, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	sizes := []int{0, 1, 2, 100, 255, 256, 257, 300, 1000, 1024, 3000}
	if !testing.Short() {
		sizes = append(sizes, 65_535, 65_536, 65_537, 70_000)
	}
	checked := map[int]bool{0: true, 1: true, 255: true, 256: true, 257: true, 3000: true, 65_536: true, 70_000: true}
	var tracker *tclient.LogStateTracker
	last := 0
	for _, size := range sizes {
		grow(t, db, last, size)
		last = size
		if c := seal(t, db, k); c.Size != int64(size) {
			t.Fatalf("sealed %d entries instead of %d", c.Size, size)
		}
		if tracker == nil {
			tracker, err = tclient.NewLogStateTracker(t.Context(), overHTTP.ReadTile, nil, k.policy.Log, origin, tclient.UnilateralConsensus(overHTTP.ReadCheckpoint))
		} else {
			_, _, _, err = tracker.Update(t.Context())
		}
		if err != nil {
			t.Fatalf("the client at size %d: %v", size, err)
		}
		if got := tracker.Latest().Size; got != uint64(size) {
			t.Fatalf("the client is at size %d instead of %d", got, size)
		}
		if !checked[size] {
			continue
		}
		if err := runFsck(t.Context(), k, overHTTP); err != nil {
			t.Errorf("fsck over HTTP at size %d: %v", size, err)
		}
		folder := filepath.Join(t.TempDir(), "log")
		if err := tlog.Export(t.Context(), db, folder); err != nil {
			t.Fatal(err)
		}
		files := &tclient.FileFetcher{Root: folder}
		if err := runFsck(t.Context(), k, files); err != nil {
			t.Errorf("fsck of the folder at size %d: %v", size, err)
		}
		if size > 0 && size <= 3000 {
			changeOneByte(t, folder, func() error { return runFsck(t.Context(), k, files) })
			changeOneByteServed(t, store, func() error { return runFsck(t.Context(), k, overHTTP) })
		}
	}
}

// changeOneByte changes a byte of each kind of file and wants fsck to name it.
func changeOneByte(t *testing.T, folder string, check func() error) {
	t.Helper()
	size, err := strconv.Atoi(strings.Split(string(read(t, filepath.Join(folder, "checkpoint"))), "\n")[1])
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{filepath.Join(folder, "checkpoint")}
	for level, hashes := range map[string]int{"entries": size, "0": size, "1": size / 256} {
		switch {
		case hashes >= 256:
			paths = append(paths, filepath.Join(folder, "tile", level, "000"))
		case hashes > 0:
			paths = append(paths, filepath.Join(folder, "tile", level, "000.p", strconv.Itoa(hashes)))
		}
	}
	for _, path := range paths {
		content := read(t, path)
		for _, at := range []int{0, len(content) / 2} {
			changed := append([]byte{}, content...)
			changed[at] ^= 4
			write(t, path, changed)
			name, _ := filepath.Rel(folder, path)
			if err := check(); !names(err, filepath.ToSlash(name)) {
				t.Errorf("size %d: byte %d of %s is another, and fsck says: %v", size, at, path, err)
			}
		}
		write(t, path, content)
	}
	if err := check(); err != nil {
		t.Errorf("size %d: fsck after all is as it was: %v", size, err)
	}
}

// changeOneByteServed does the same in the store, with fsck at work over HTTP.
func changeOneByteServed(t *testing.T, store backend.VersionedStore, check func() error) {
	t.Helper()
	page, err := store.ListNames(t.Context(), backend.NamesRequest{Prefix: "plant-7/tlog/tile/"})
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for _, name := range page.Names {
		if strings.Contains(name, ".p/") || !strings.HasSuffix(name, "/000") {
			continue
		}
		alter(t, store, name)
		if err := check(); !names(err, strings.TrimPrefix(name, "plant-7/tlog/")) {
			t.Errorf("a byte of %s is another, and fsck says: %v", name, err)
		}
		alter(t, store, name) // as it was
		changed++
	}
	if err := check(); err != nil {
		t.Errorf("fsck after all is as it was, %d times: %v", changed, err)
	}
}

// names reports whether fsck finds fault with that file. It computes the tiles from the
// bundles, so that of a bundle it names a tile above it or, if it cannot be read, its
// number.
func names(err error, file string) bool {
	if err == nil {
		return false
	}
	says := err.Error()
	if rest, ok := strings.CutPrefix(file, "tile/entries/"); ok {
		return strings.Contains(says, "tile/0/"+rest+":") || strings.Contains(says, "tile/1/000") || strings.Contains(says, "AppendBundle({Index:0 ") || strings.Contains(says, "AppendBundle({0 ")
	}
	return strings.Contains(says, file)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}
