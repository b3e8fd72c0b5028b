package tlog_test

import (
	"context"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	tclient "github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"

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
		}
	}
}

// changeOneByte changes a byte of each kind of file and wants fsck to notice.
func changeOneByte(t *testing.T, folder string, check func() error) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "tile", "*", "000*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no tiles: %v", err)
	}
	size := strings.Split(string(read(t, filepath.Join(folder, "checkpoint"))), "\n")[1]
	for _, path := range append(paths, filepath.Join(folder, "checkpoint")) {
		if strings.HasSuffix(path, ".p") {
			continue // of earlier sizes, most of them
		}
		content := read(t, path)
		for _, at := range []int{0, len(content) / 2} {
			changed := append([]byte{}, content...)
			changed[at] ^= 4
			write(t, path, changed)
			if check() == nil {
				t.Errorf("size %s: fsck does not notice that byte %d of %s is another", size, at, path)
			}
		}
		write(t, path, content)
	}
	if err := check(); err != nil {
		t.Errorf("size %s: fsck after all is as it was: %v", size, err)
	}
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
