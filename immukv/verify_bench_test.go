package immukv

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/immukv/immukv-go/backend/memstore"
	"github.com/immukv/immukv-go/immukv/internal/wire"
)

// verifiedShapes are values to verify, and verifiedSizes their sizes in bytes.
var (
	verifiedShapes = []struct {
		name  string
		value func(size int) string
	}{
		{"string", func(size int) string { return `"` + strings.Repeat("x", size-2) + `"` }},
		{"records", recordsValue},
	}
	verifiedSizes = []int{100, 4096}
)

// BenchmarkVerifyLog alternately verifies a log in memory and takes the bare SHA-256
// of the same bodies, both on one processor and on all. Of the medians, of-sha256 is
// how fast one processor verifies, as a part of how fast it hashes; x-procs how much
// faster all of them verify than one; and x-procs-sha256 how much faster they hash,
// which is what the machine had to give meanwhile.
func BenchmarkVerifyLog(b *testing.B) {
	const entries = 20_000
	for _, shape := range verifiedShapes {
		for _, size := range verifiedSizes {
			b.Run(fmt.Sprintf("%s/%d", shape.name, size), func(b *testing.B) {
				store := memstore.New()
				db, err := Open[json.RawMessage](b.Context(), store)
				if err != nil {
					b.Fatal(err)
				}
				for i := range entries {
					if _, err := db.Set(b.Context(), fmt.Sprint("sensor-", i%100), json.RawMessage(shape.value(size))); err != nil {
						b.Fatal(err)
					}
				}
				benchmarkVerifyLog(b, store)
			})
		}
	}
}

func benchmarkVerifyLog(b *testing.B, store *memstore.Store) {
	store, bodies, bytes := compact(b, store)
	db, err := Open[json.RawMessage](b.Context(), store)
	if err != nil {
		b.Fatal(err)
	}
	procs := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(procs)
	verify := func() {
		report, err := db.VerifyLog(b.Context())
		if err != nil || !report.Valid() || report.Entries != int64(len(bodies)) {
			b.Fatal("does not verify", report, err)
		}
	}
	// As often as takes about as long as to verify: in moments, a second processor
	// does not get to work.
	const hashings = 5
	hash := func() {
		var hashers sync.WaitGroup
		share := (len(bodies) + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0)
		for some := range slices.Chunk(bodies, share) {
			hashers.Go(func() {
				for range hashings {
					for _, body := range some {
						sum := sha256.Sum256(body)
						runtime.KeepAlive(&sum)
					}
				}
			})
		}
		hashers.Wait()
	}
	var hashOne, hashAll, verifyOne, verifyAll []time.Duration
	for b.Loop() {
		runtime.GOMAXPROCS(1)
		hashOne = append(hashOne, timed(hash))
		verifyOne = append(verifyOne, timed(verify))
		runtime.GOMAXPROCS(procs)
		hashAll = append(hashAll, timed(hash))
		verifyAll = append(verifyAll, timed(verify))
	}
	b.ReportMetric(0, "ns/op") // of four things at once
	b.ReportMetric(ratio(hashOne, verifyOne)/hashings, "of-sha256")
	b.ReportMetric(ratio(verifyOne, verifyAll), "x-procs")
	b.ReportMetric(ratio(hashOne, hashAll), "x-procs-sha256")
	b.ReportMetric(float64(median(verifyOne).Nanoseconds())/float64(len(bodies)), "ns/entry")
	b.ReportMetric(float64(bytes)/1e6/median(verifyOne).Seconds(), "MB/s")
}

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func median(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)/2]
}

// ratio is that of the medians.
func ratio(a, b []time.Duration) float64 { return float64(median(a)) / float64(median(b)) }

// compact returns a store that holds the same, and the bodies of the log's versions
// with the number of their bytes. Both lie in memory one after another, and not
// scattered over what the writing left behind: else the one that is read later would
// be compared with the other's cache misses.
func compact(b *testing.B, store *memstore.Store) (_ *memstore.Store, bodies [][]byte, bytes int64) {
	b.Helper()
	state := store.Dump()
	for _, o := range state.Objects {
		for i, v := range o.Versions {
			o.Versions[i].Body = strings.Clone(v.Body)
			if o.Name == wire.LogName {
				bodies = append(bodies, []byte(v.Body))
				bytes += int64(len(v.Body))
			}
		}
	}
	store, err := memstore.Load(state)
	if err != nil {
		b.Fatal(err)
	}
	return store, bodies, bytes
}

// BenchmarkVerifyDocument parses a stored log version and checks its hash and
// that its bytes are canonical, then as often takes
// the bare SHA-256 of the same bytes. The metric of-sha256 is the ratio of the
// speeds.
func BenchmarkVerifyDocument(b *testing.B) {
	for _, shape := range verifiedShapes {
		for _, size := range verifiedSizes {
			b.Run(fmt.Sprintf("%s/%d", shape.name, size), func(b *testing.B) {
				benchmarkVerify(b, storedLogVersion(b, shape.value(size)))
			})
		}
	}
}

func benchmarkVerify(b *testing.B, body []byte) {
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		docs, err := wire.ParseLog(body)
		if err != nil || docs[0].DialectHint(wire.Python) != wire.Python || !docs[0].IsCanonical() {
			b.Fatal("does not verify", err)
		}
	}
	begin := time.Now()
	for range b.N {
		sum := sha256.Sum256(body)
		runtime.KeepAlive(&sum)
	}
	b.ReportMetric(float64(time.Since(begin))/float64(b.Elapsed()), "of-sha256")
}

// recordsValue is an array of small objects, about size bytes long.
func recordsValue(size int) string {
	var s strings.Builder
	for i := 0; s.Len() < size-40; i++ {
		fmt.Fprintf(&s, `,{"alpha":%d.15,"id":"sensor-%04d","ok":true}`, i, i)
	}
	return "[" + s.String()[1:] + "]"
}

func storedLogVersion(b *testing.B, value string) []byte {
	b.Helper()
	canonical, err := wire.Python.Canonical([]byte(value))
	if err != nil {
		b.Fatal(err)
	}
	return wire.New(wire.Draft{
		Key: "sensor-012352", Value: canonical, Sequence: 4711, TimestampMS: 1700000000000,
		PreviousHash:      Hash("sha256:" + strings.Repeat("0123456789abcdef", 4)),
		PreviousVersionID: "3L4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY", HasPreviousKeyETag: true,
		PreviousKeyETag: `"66fe32fd6620115b7fee589fb1c3b8a0"`,
		WriteID:         "0123456789abcdef0123456789abcdef", Dialect: wire.Python,
	}).LogBody()
}
