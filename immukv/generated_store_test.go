package immukv_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// generated is a log of any length, and its key objects, of which nothing is kept but
// 32 bytes an entry: bodies are made when they are read. Entry n is of key n modulo
// the number of keys. Version IDs are v1, v2, … for each object, and ETags e1, e2, …,
// as those of package blobstore are. It cannot be written to.
type generated struct {
	keys   int
	batch  int // entries of a log version
	hashes [][sha256.Size]byte
	value  string
	reads  atomic.Int64
	onRead func()
}

func generate(t testing.TB, entries, keys, valueBytes int) *generated {
	t.Helper()
	g := &generated{
		keys:   keys,
		batch:  1,
		hashes: make([][sha256.Size]byte, entries),
		value:  `"` + strings.Repeat("x", valueBytes-len(`""`)) + `"`,
	}
	for n := range entries {
		hash, err := immukv.Python.Hash(g.key(n), g.hash(n-1), int64(n), timestamp(n), []byte(g.value))
		if err == nil {
			_, err = hex.Decode(g.hashes[n][:], []byte(strings.TrimPrefix(string(hash), "sha256:")))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func timestamp(n int) int64 { return 1_700_000_000_000 + int64(n) }

// key is the key of entry n. Keys are of one length, so that their objects sort as
// they do.
func (g *generated) key(n int) string { return fmt.Sprintf("key-%07d", n%g.keys) }

func (g *generated) hash(n int) immukv.Hash {
	if n < 0 {
		return immukv.GenesisHash
	}
	return immukv.Hash("sha256:" + hex.EncodeToString(g.hashes[n][:]))
}

// object is version n of the log, from 0, or the version of a key object that holds
// entry n.
func (g *generated) object(name string, n int) backend.Object {
	var b bytes.Buffer
	if name != logObject {
		g.write(&b, n, fmt.Sprintf(`"log_version_id":"v%d","previous_hash":"%s"`, n/g.batch+1, g.hash(n-1)))
		return backend.Object{Version: g.version(name, n), Body: b.Bytes()}
	}
	for i := n * g.batch; i < min((n+1)*g.batch, len(g.hashes)); i++ {
		links := fmt.Sprintf(`"previous_hash":"%s"`, g.hash(i-1))
		if i >= g.keys {
			links += fmt.Sprintf(`,"previous_key_object_etag":"e%d"`, i/g.keys)
		}
		if i > n*g.batch {
			b.WriteByte('\n')
		} else if n > 0 {
			links += fmt.Sprintf(`,"previous_version_id":"v%d"`, n)
		}
		g.write(&b, i, links)
	}
	return backend.Object{Version: g.version(name, n), Body: b.Bytes()}
}

// write writes entry n with what leads to other objects.
func (g *generated) write(b *bytes.Buffer, n int, links string) {
	fmt.Fprintf(b, `{"hash":"%s","key":"%s",%s,"sequence":%d,"timestamp_ms":%d,"value":%s,"write_id":"%032x"}`,
		g.hash(n), g.key(n), links, n, timestamp(n), g.value, n)
}

func (g *generated) version(name string, n int) backend.Version {
	_, step := g.place(name)
	n = n/step + 1
	return backend.Version{ID: backend.VersionID(fmt.Sprint("v", n)), ETag: backend.ETag(fmt.Sprint("e", n))}
}

// place is the first entry that an object holds, or -1, and how far it is from each to
// the next. Of the log it is that of its versions.
func (g *generated) place(name string) (first, step int) {
	if name == logObject {
		return 0, 1
	}
	digits, isKey := strings.CutPrefix(strings.TrimSuffix(name, ".json"), "keys/key-")
	if first, err := strconv.Atoi(digits); isKey && err == nil && first < min(g.keys, len(g.hashes)) {
		return first, g.keys
	}
	return -1, g.keys
}

// entry is the entry that a version of an object holds, or of the log the version's
// number, or the newest if id is empty; -1 if there is none.
func (g *generated) entry(name string, id backend.VersionID) int {
	first, step := g.place(name)
	if first < 0 {
		return -1
	}
	newest := len(g.hashes) - 1 - (len(g.hashes)-1-first)%step
	if name == logObject {
		newest = (len(g.hashes) - 1) / g.batch
	}
	if id == "" {
		return newest
	}
	n, err := strconv.Atoi(strings.TrimPrefix(string(id), "v"))
	if n = first + (n-1)*step; err != nil || n < first || n > newest {
		return -1
	}
	return n
}

func (g *generated) read(op, name string, id backend.VersionID) (backend.Object, error) {
	g.reads.Add(1)
	if g.onRead != nil {
		g.onRead()
	}
	n := g.entry(name, id)
	if n < 0 {
		return backend.Object{}, &backend.Error{Op: op, Name: name, Version: id, Kind: backend.ErrNotFound}
	}
	return g.object(name, n), nil
}

func (g *generated) Get(_ context.Context, name string) (backend.Object, error) {
	return g.read("get", name, "")
}

func (g *generated) GetVersion(_ context.Context, name string, id backend.VersionID) (backend.Object, error) {
	return g.read("get version", name, id)
}

func (g *generated) Head(_ context.Context, name string) (backend.Version, error) {
	o, err := g.read("head", name, "")
	return o.Version, err
}

func (g *generated) Put(_ context.Context, name string, _ []byte, _ backend.Condition) (backend.Version, error) {
	return backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrAccessDenied}
}

func (g *generated) ListVersions(_ context.Context, name string, req backend.VersionsRequest) (page backend.VersionsPage, err error) {
	_, step := g.place(name)
	n := g.entry(name, "")
	if after := cmp.Or(backend.VersionID(req.Token), req.After); after != "" {
		n = g.entry(name, after) - step
	}
	limit := cmp.Or(req.Limit, backend.MaxPageSize)
	for ; n >= 0 && len(page.Versions) < limit; n -= step {
		page.Versions = append(page.Versions, g.version(name, n))
	}
	if n >= 0 {
		page.Next = backend.PageToken(page.Versions[limit-1].ID)
	}
	return page, nil
}

func (g *generated) ListNames(_ context.Context, req backend.NamesRequest) (page backend.NamesPage, err error) {
	n := 0
	if req.Token != "" {
		if n, err = strconv.Atoi(string(req.Token)); err != nil {
			return page, err
		}
	}
	all := min(g.keys, len(g.hashes))
	for ; n < all && len(page.Names) < backend.MaxPageSize; n++ {
		page.Names = append(page.Names, "keys/"+g.key(n)+".json")
	}
	if n < all {
		page.Next = backend.PageToken(strconv.Itoa(n))
	}
	return page, nil
}
