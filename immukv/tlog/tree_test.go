package tlog

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// TestRightToLeft: the root is the same whether the leaves come first to last or
// last to first.
func TestRightToLeft(t *testing.T) {
	t.Parallel()
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = stored[index]
		}
		return hashes, nil
	})
	var leaves []tlog.Hash
	for n := range int64(600) {
		h := tlog.RecordHash([]byte{byte(n), byte(n >> 8)})
		leaves = append(leaves, h)
		more, err := tlog.StoredHashesForRecordHash(n, h, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
		want, err := tlog.TreeHash(n+1, reader)
		if err != nil {
			t.Fatal(err)
		}
		var tree rightToLeft
		for i := n; i >= 0; i-- {
			tree.add(i, leaves[i])
		}
		if tree.root() != want {
			t.Fatalf("size %d: another root", n+1)
		}
	}
}

// TestLeaves are JSON in one spelling, ASCII, and never too long for a bundle.
func TestLeaves(t *testing.T) {
	t.Parallel()
	hash := immukv.Hash("sha256:" + strings.Repeat("0", 64))
	for _, key := range []string{"a", "a/b c", "é", "😀", `"\`, "\x7f\x00\n", "<&>", "\u2028", strings.Repeat("\x01", 1024)} {
		data, err := appendLeaf(nil, key, hash, 7, 8)
		if err != nil || len(data) > 65_535 {
			t.Fatalf("key %q: %d bytes, %v", key, len(data), err)
		}
		for _, c := range data {
			if c < ' ' || c > '~' {
				t.Errorf("key %q: the leaf is not ASCII: %s", key, data)
			}
		}
		l, err := parseLeaf(data)
		if err != nil || l.Key != key || l.Sequence != 7 || l.TimestampMS != 8 || l.Hash != hash {
			t.Errorf("key %q: %+v, %v", key, l, err)
		}
		canonical, err := immukv.Python.Canonical(data)
		if err != nil || string(canonical) != string(data) {
			t.Errorf("key %q: %s is not canonical: %s", key, data, canonical)
		}
	}
	for _, text := range []string{``, `{}`, `[]`, `{"hash":"h","key":"k","sequence":1,"timestamp_ms":2} `, `{"key":"k","hash":"h","sequence":1,"timestamp_ms":2}`} {
		if l, err := parseLeaf([]byte(text)); err == nil {
			t.Errorf("%s is read as %+v", text, l)
		}
	}
}

// FuzzParse reads whatever somebody may put in place of a proof or a checkpoint.
func FuzzParse(f *testing.F) {
	_, public, err := GenerateKey("x")
	if err != nil {
		f.Fatal(err)
	}
	policy, err := NewPolicy(public)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("c2sp.org/tlog-proof@v1\nextra e30=\nindex 0\n\nx\n1\n\n\n\n— x AAAA\n"))
	f.Add([]byte("x\n0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— x AAAAAAA=\n"))
	f.Add([]byte(`{"hash":"sha256:","key":"","sequence":0,"timestamp_ms":0}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, _, err := CheckProof(data, policy); err == nil {
			t.Error("it passes as a proof")
		}
		_, _ = parseCheckpoint(data)
		_, _ = parseLeaf(data)
		_, _ = parseDocument(data)
		_, _ = ParseWitnessPolicy(string(data))
	})
}

// TestGrowth: in whatever steps a tree grows, its root and its tiles are those of the
// leaves.
func TestGrowth(t *testing.T) {
	t.Parallel()
	var all []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = all[index]
		}
		return hashes, nil
	})
	leaf := func(n int64) []byte { return fmt.Appendf(nil, "leaf %d", n) }
	const size = 66_000
	for n := range int64(size) {
		hashes, err := tlog.StoredHashes(n, leaf(n), reader)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, hashes...)
	}
	store := &tileStore{tiles: make(map[string]string)}
	before := int64(0)
	for _, size := range []int64{0, 1, 2, 255, 256, 257, 300, 511, 512, 600, 1024, 65_535, 65_536, 65_537, size} {
		l := &sealedLog{store: store, cache: new(tileCache)}
		var leaves [][]byte
		for n := before / 256 * 256; n < before; n++ {
			leaves = append(leaves, leaf(n))
		}
		g, err := l.grow(t.Context(), before, reader, leaves)
		if err != nil {
			t.Fatal(err)
		}
		for n := before; n < size; n++ {
			if err := g.add(leaf(n)); err != nil {
				t.Fatal(err)
			}
		}
		tree, err := g.finish()
		if err != nil {
			t.Fatal(err)
		}
		root, err := tlog.TreeHash(size, reader)
		if err != nil || tree.N != size || tree.Hash != root {
			t.Fatalf("from %d to %d: %v, and the root is %v, %v", before, size, tree, root, err)
		}
		for _, tile := range tlog.NewTiles(torchwood.TileHeight, before, size) {
			want, err := tlog.ReadTileData(tile, reader)
			if err != nil || store.tiles[l.tileName(tile)] != string(want) {
				t.Errorf("from %d to %d: %s is not as it should be: %v", before, size, l.tileName(tile), err)
			}
		}
		before = size
	}
	for name := range store.tiles {
		tile, err := torchwood.ParseTilePath(strings.TrimPrefix(name, dir))
		if err != nil || tile.N<<(8*max(tile.L, 0)+8) >= size {
			t.Errorf("it wrote %s", name)
		}
	}
}

// tileStore keeps what is written.
type tileStore struct {
	backend.VersionedStore
	mu    sync.Mutex
	tiles map[string]string
}

func (s *tileStore) Put(_ context.Context, name string, body []byte, _ backend.Condition) (backend.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tiles != nil {
		s.tiles[name] = string(body)
	}
	return backend.Version{}, nil
}

// BenchmarkGrowth makes and hashes leaves, and all tiles and bundles over them, as a seal
// does.
func BenchmarkGrowth(b *testing.B) {
	e := Entry{Key: "sensor-012352", Hash: immukv.Hash("sha256:" + strings.Repeat("0a", 32)), JSON: json.RawMessage(`1`)}
	l := &sealedLog{store: &tileStore{}, cache: new(tileCache)}
	g, err := l.grow(b.Context(), 0, nilReader, nil)
	for i := 0; i < b.N && err == nil; i++ {
		e.Sequence = int64(i)
		var data []byte
		if data, err = leafOf(e); err == nil {
			err = g.add(data)
		}
	}
	if err == nil {
		_, err = g.finish()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "leaves/s")
}

var nilReader = tlog.HashReaderFunc(func([]int64) ([]tlog.Hash, error) { return nil, nil })

// BenchmarkLeaves makes and hashes leaves, and builds the tree over them.
func BenchmarkLeaves(b *testing.B) {
	e := Entry{Key: "sensor-012352", Hash: immukv.Hash("sha256:" + strings.Repeat("0a", 32)), JSON: json.RawMessage(`1`)}
	var tree rightToLeft
	for i := b.N - 1; i >= 0; i-- {
		e.Sequence = int64(i)
		data, err := leafOf(e)
		if err != nil {
			b.Fatal(err)
		}
		tree.add(int64(i), tlog.RecordHash(data))
	}
	_ = tree.root()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "leaves/s")
}
